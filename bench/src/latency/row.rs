//! One way from capture to receiver, and what was seen on it.

use std::{
    path::Path,
    sync::PoisonError,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    FPS,
    number::{self, Arrivals},
    publisher::Publisher,
    receiver::Receiver,
    way::{Kind, Way},
};
use crate::{clip::Clip, pace::Pace};

/// Pictures before those that count: encoder, connection and decoder are under way behind them.
const WARM_UP: usize = 60;
const COUNTED: usize = 90;
/// How long the last pictures may be on their way.
const LAST: Duration = Duration::from_secs(2);

/// What came out at the end of a way, in one or more runs.
#[derive(Default)]
pub struct Seen {
    /// From capture to decoded picture.
    pub delays_ms: Vec<f64>,
    pub offered: usize,
    /// The encoder's own time, the median of each run, where the publisher tells it.
    pub encoder_ms: Vec<f64>,
    /// What the publisher said of each run.
    pub summaries: Vec<Value>,
}

impl Seen {
    pub fn append(&mut self, mut run: Self) {
        self.delays_ms.append(&mut run.delays_ms);
        self.offered += run.offered;
        self.encoder_ms.append(&mut run.encoder_ms);
        self.summaries.append(&mut run.summaries);
    }
}

impl Way {
    /// What `rtmp_stub_tester` calls it.
    pub fn tester_mode(&self) -> &'static str {
        match self.rtmp_mode {
            None => "h264",
            Some("enhanced") => "h265-enhanced",
            Some(_) => "h265-domestic",
        }
    }

    /// ffmpeg writes no codec-id 12.
    pub fn can_ffmpeg(&self) -> bool {
        self.rtmp_mode != Some("domestic")
    }

    pub fn measure(&self, kind: Kind, clip: &Clip, folder: &Path) -> Result<Seen> {
        let arrivals = Arrivals::default();
        let receiver = Receiver::start(self, kind, clip.size, &arrivals)?;
        let mut publisher = Publisher::start(kind, self, clip.size, &receiver.destination, folder)?;

        let mut pace = Pace::new(FPS);
        let mut picture = clip.picture(0).to_vec();
        let mut captures: Vec<Instant> = Vec::new();
        while captures.len() < WARM_UP + COUNTED {
            pace.wait();
            picture.copy_from_slice(clip.picture(captures.len()));
            number::draw(&mut picture, clip.size.stride() as usize, captures.len() as u16);
            captures.push(Instant::now());
            publisher.offer(&picture)?;
        }
        let last = captures.len() as u16 - 1;
        let deadline = Instant::now() + LAST;
        let has_arrived = || arrivals.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(n, _)| *n == last);
        while !has_arrived() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let summary = publisher.finish()?;
        drop(receiver);

        let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let delays_ms = arrivals
            .iter()
            .filter(|(number, _)| (WARM_UP..captures.len()).contains(&usize::from(*number)))
            .map(|(number, at)| at.duration_since(captures[usize::from(*number)]).as_secs_f64() * 1e3)
            .collect::<Vec<_>>();
        ensure!(delays_ms.len() * 10 >= COUNTED, "{} of {COUNTED} pictures came", delays_ms.len());
        let encoder_ms = summary["encode_ms"]["p50"].as_f64().into_iter().collect();
        Ok(Seen { delays_ms, offered: COUNTED, encoder_ms, summaries: vec![summary] })
    }
}
