//! A line about each camera, time and again; on a terminal, one line about all that changes every second.

use std::time::{Duration, Instant};

use crate::{
    log,
    watch::{self, Camera, Counts},
};

/// How often a terminal shows what is new.
const LIVE: Duration = Duration::from_secs(1);

/// Tells lines.
#[derive(Debug)]
pub struct StatusLines {
    /// None are wanted without.
    interval: Option<Duration>,
    /// Whether they are shown in place.
    are_live: bool,
    last: Instant,
    /// Whether a line says which camera it is about.
    are_named: bool,
    /// Frames of each camera at the last line.
    before: Vec<(String, u64)>,
}

impl StatusLines {
    /// A line every so many seconds, or one that is `live`; 0 is none.
    pub fn every(seconds: u32, are_live: bool, are_named: bool) -> Self {
        let every = if are_live { LIVE } else { Duration::from_secs(seconds.into()) };
        let interval = (seconds > 0).then_some(every);
        Self { interval, are_live, last: Instant::now(), are_named, before: Vec::new() }
    }

    /// Tells lines when they are due.
    pub fn look<'a>(&mut self, cameras: impl Iterator<Item = &'a Camera>) {
        let since = self.last.elapsed();
        if self.interval.is_none_or(|interval| since < interval) {
            return;
        }
        self.last = Instant::now();
        let (mut now, mut lines) = (Vec::new(), Vec::new());
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
            match (self.are_live, self.are_named) {
                (true, true) => lines.push(format!("{name}: {line}")),
                (true, false) => lines.push(line),
                (false, are_named) => log::tell_always(are_named.then_some(name), &format!("status: {line}")),
            }
            now.push((name.to_owned(), frames));
        }
        self.before = now;
        if self.are_live {
            log::show(&lines.join(" | "));
        }
    }
}

impl Drop for StatusLines {
    fn drop(&mut self) {
        if self.are_live {
            log::show("");
        }
    }
}

fn line(counts: &Counts, fps: f64, illness: Option<String>) -> String {
    let stream = &counts.stream;
    let rate = counts.bit_rate.unwrap_or(0.0) / 1000.0;
    let lost = stream.dropped + stream.torn + stream.late + stream.skipped + stream.invalid;
    let mut line = format!("{fps:.1} frames/s, {lost} lost of {}, {rate:.0} kbit/s", stream.frames_in);
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
