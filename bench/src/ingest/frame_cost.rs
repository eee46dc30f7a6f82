//! What a frame costs the consumer, beside a bare memcpy of as many bytes in the same seconds.

use std::{thread, time::Instant};

use anyhow::Result;
use cvmmap::{Address, Event, METADATA_SIZE, Subscriber, Target};
use serde_json::json;

use super::{Bench, Effort, consumer_of, cpu_per_frame, produce, read, segment_of};
use crate::{
    memcpy::Memcpy,
    picture::{self, Picture},
    report::{Row, median},
};

const COPIES: u32 = 40;
/// What is allowed on top of [`RATIO`] times a memcpy, microseconds.
pub const FIXED: f64 = 60.0;
pub const RATIO: f64 = 1.5;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    picture::ALL.iter().map(|&picture| measure_one(effort, bench, picture)).collect()
}

fn measure_one(effort: &Effort, bench: &Bench, picture: Picture) -> Result<Row> {
    let target = bench.target("cost")?;
    let _producer = produce(&target, picture, &[])?;
    let mut reader = read(&[consumer_of(&target, "")], "nothing")?;
    reader.await_frames(20)?;
    let mut memcpy = Memcpy::of_own(picture.bytes())?;
    let mut of_segment = Memcpy::of_segment(&segment_of(&target), METADATA_SIZE + picture.bytes())?;
    let (mut costs, mut copies, mut fresh_copies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut faults, mut frames) = (0, 0);
    for _ in 0..effort.rounds {
        reader.ask::<()>("play")?;
        reader.await_frames(10)?;
        let before = reader.sample()?;
        thread::sleep(effort.window);
        let after = reader.sample()?;
        reader.ask::<()>("pause")?;
        costs.push(cpu_per_frame(&before, &after, after.frames - before.frames));
        faults += after.usage.minor_faults - before.usage.minor_faults;
        frames += after.frames - before.frames;
        memcpy.mean_ns(4);
        copies.push(memcpy.mean_ns(COPIES) / 1e3);
        fresh_copies.push(fresh_copy(&target, &mut of_segment, effort)?);
    }
    let (cost, copy) = (median(&costs), median(&copies));
    let limit = RATIO * copy + FIXED;
    Ok(Row::new("frame cost", format!("CPU of cvmmapsrc ! fakesink, {picture}"), cost, "us")
        .against("memcpy", copy)
        .at_most(limit, format!("<= {RATIO} memcpy + {FIXED} us = {limit:.0}"))
        .details(json!({
            "rounds_us": costs, "memcpy_us": copies,
            "memcpy_of_the_frame_just_announced_us": fresh_copies,
            "frames": frames, "minor_faults": faults,
        })))
}

/// CPU time of a memcpy of each frame right after its announcement: the bytes come from another core's cache, as they
/// do for the source.
fn fresh_copy(target: &Target, memcpy: &mut Memcpy, effort: &Effort) -> Result<f64> {
    let mut subscriber = Subscriber::connect(&Address::from(target))?;
    let until = Instant::now() + effort.window;
    let mut costs = Vec::new();
    while Instant::now() < until {
        if let Event::Frame(_) = subscriber.wait(Some(effort.window))? {
            costs.push(memcpy.copy().as_nanos() as f64 / 1e3);
        }
    }
    Ok(costs.iter().sum::<f64>() / costs.len() as f64)
}
