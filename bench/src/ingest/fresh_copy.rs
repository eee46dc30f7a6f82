//! What copying a frame costs that was just written by another process.

use std::time::{Duration, Instant};

use anyhow::Result;
use cvmmap::{Address, Event, METADATA_SIZE, Subscriber, Target};

use super::{Bench, Effort, produce, segment_of};
use crate::{copies::Copies, picture::Picture, report::median};

/// What is allowed on top of [`RATIO`] times a memcpy, microseconds.
pub const FIXED: f64 = 60.0;
pub const RATIO: f64 = 1.5;

/// What a memcpy of a frame that another process has just written takes, microseconds.
pub fn fresh_memcpy(effort: &Effort, bench: &Bench, picture: Picture) -> Result<f64> {
    let target = bench.target("fresh")?;
    let _producer = produce(&target, picture, &[])?;
    let mut fresh = Fresh::of(&target, picture)?;
    fresh.measure(effort)?;
    Ok(median(&fresh.memcpys))
}

/// Copies of each frame right after its announcement, without any element: a memcpy and a `pread` by turns. The frame
/// was just written on another core, as it is for the source.
pub struct Fresh {
    subscriber: Subscriber,
    copies: Copies,
    pub memcpys: Vec<f64>,
    pub preads: Vec<f64>,
}

impl Fresh {
    pub fn of(target: &Target, picture: Picture) -> Result<Self> {
        let mut subscriber = Subscriber::connect(&Address::from(target))?;
        // Before its first frame a segment has no room for one.
        while !matches!(subscriber.wait(None)?, Event::Frame(_)) {}
        Ok(Self {
            subscriber,
            copies: Copies::of_segment(&segment_of(target), METADATA_SIZE + picture.bytes())?,
            memcpys: Vec::new(),
            preads: Vec::new(),
        })
    }

    pub fn measure(&mut self, effort: &Effort) -> Result<()> {
        // What was announced meanwhile is not fresh.
        while let Event::Frame(_) = self.subscriber.wait(Some(Duration::ZERO))? {}
        let until = Instant::now() + effort.window;
        while Instant::now() < until {
            let Event::Frame(announced) = self.subscriber.wait(Some(effort.window))? else { continue };
            if announced.frame_id % 2 == 0 {
                self.memcpys.push(self.copies.memcpy().as_nanos() as f64 / 1e3);
            } else {
                self.preads.push(self.copies.pread()?.as_nanos() as f64 / 1e3);
            }
        }
        Ok(())
    }
}
