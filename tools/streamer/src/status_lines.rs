//! A line about each camera, time and again.

use std::time::{Duration, Instant};

use crate::{
    log,
    watch::{self, Camera, Counts},
};

/// Tells lines.
#[derive(Debug)]
pub struct StatusLines {
    /// None are wanted without.
    interval: Option<Duration>,
    last: Instant,
    /// Whether a line says which camera it is about.
    are_named: bool,
    /// Frames of each camera at the last line.
    before: Vec<(String, u64)>,
}

impl StatusLines {
    /// A line every so many seconds; 0 is none.
    pub fn every(seconds: u32, are_named: bool) -> Self {
        let interval = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self { interval, last: Instant::now(), are_named, before: Vec::new() }
    }

    /// Tells lines when they are due.
    pub fn look<'a>(&mut self, cameras: impl Iterator<Item = &'a Camera>) {
        let since = self.last.elapsed();
        if self.interval.is_none_or(|interval| since < interval) {
            return;
        }
        self.last = Instant::now();
        let mut now = Vec::new();
        for camera in cameras {
            let Some(counts) = camera.counts() else {
                continue;
            };
            let name = camera.name();
            let frames = counts.stream.frames_in;
            let before = self.before.iter().find(|(other, _)| other == name).map_or(0, |(_, frames)| *frames);
            // A camera that was started again counts from 0.
            let new = frames.checked_sub(before).unwrap_or(frames);
            let line = line(&counts, new as f64 / since.as_secs_f64(), watch::illness(camera));
            log::tell_always(self.are_named.then_some(name), &line);
            now.push((name.to_owned(), frames));
        }
        self.before = now;
    }
}

fn line(counts: &Counts, fps: f64, illness: Option<String>) -> String {
    let stream = &counts.stream;
    let rate = counts.bit_rate.unwrap_or(0.0) / 1000.0;
    let lost = stream.dropped + stream.torn + stream.late + stream.skipped + stream.invalid;
    let mut line = format!("status: {fps:.1} frames/s, {lost} lost of {}, {rate:.0} kbit/s", stream.frames_in);
    for (name, output) in &stream.outputs {
        line.push_str(&format!(", {name} {}", output.state));
    }
    for recording in &stream.recordings {
        line.push_str(&format!(", {} {}", recording.format, recording.state));
    }
    if let Some(why) = illness {
        line.push_str(&format!("; ill: {why}"));
    }
    line
}
