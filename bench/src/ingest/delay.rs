//! From the announcement to the source pad, how steady the PTS are, and what is allocated on the way.

use std::thread;

use anyhow::Result;
use serde_json::json;

use super::{Bench, Effort, consumer_of, produce, read};
use crate::{
    child::{Role, Sample},
    picture::{self, Picture},
    report::{Row, median, quantile},
    roles::read::Seen,
};

/// Memory that a pool may have in use without allocating for each frame.
const MEMORIES_MAX: usize = 8;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for picture in [picture::TINY].into_iter().chain(picture::ALL) {
        rows.push(announcement_to_pad(effort, bench, picture)?);
    }
    for fps in [30, 60] {
        for (clock, stamp) in [("Unix", "unix"), ("boot", "boot")] {
            rows.extend(steadiness(effort, bench, picture::FULL_HD.at(fps), clock, stamp)?);
        }
    }
    Ok(rows)
}

/// Frames that left a source in this effort's time, after a warm-up, and what it used for them.
fn watch(effort: &Effort, reader: &mut Role) -> Result<(Seen, Sample, Sample)> {
    reader.await_frames(40)?;
    reader.ask::<Seen>("seen")?;
    let before = reader.sample()?;
    thread::sleep(effort.window * effort.rounds as u32);
    let after = reader.sample()?;
    Ok((reader.ask("seen")?, before, after))
}

fn announcement_to_pad(effort: &Effort, bench: &Bench, picture: Picture) -> Result<Row> {
    let target = bench.target("delay")?;
    let _producer = produce(&target, picture, &["--reference", "--stamp=send"])?;
    let mut reader = read(&[consumer_of(&target, "coherence=metadata")], "times")?;
    let (seen, ..) = watch(effort, &mut reader)?;
    let delays = seen.delays.iter().map(|&delay| delay as f64 / 1e3).collect::<Vec<_>>();
    let p50 = median(&delays);
    Ok(Row::new("delay", format!("announcement to source pad p99, {picture}"), quantile(&delays, 0.99), "us")
        .against("p50", p50)
        .details(
            json!({ "frames": delays.len(), "p50": p50, "p90": quantile(&delays, 0.9), "max": quantile(&delays, 1.0) }),
        ))
}

fn steadiness(effort: &Effort, bench: &Bench, picture: Picture, clock: &str, stamp: &str) -> Result<Vec<Row>> {
    let target = bench.target("steady")?;
    let _producer = produce(&target, picture, &[&format!("--stamp={stamp}")])?;
    let mut reader = read(&[consumer_of(&target, "")], "times")?;
    let (seen, before, after) = watch(effort, &mut reader)?;
    let offsets = seen.pts_offsets.iter().map(|&offset| offset as f64 / 1e6).collect::<Vec<_>>();
    let middle = median(&offsets);
    let errors = offsets.iter().map(|offset| (offset - middle).abs()).collect::<Vec<_>>();
    let of = format!("{picture}, {clock} time");
    let frames = after.frames - before.frames;
    let allocations = after.usage.large_allocations - before.usage.large_allocations;
    let faults = after.usage.minor_faults - before.usage.minor_faults;
    Ok(vec![
        Row::new("delay", format!("PTS against capture p99, {of}"), quantile(&errors, 0.99), "ms")
            .at_most(1.0, "<= 1 ms")
            .details(json!({ "frames": errors.len(), "max_ms": quantile(&errors, 1.0) })),
        Row::new("delay", format!("... frame-size allocations in {frames} frames"), allocations as f64, "")
            .at_most(0.0, "0")
            .details(json!({ "minor_faults": faults })),
        Row::new(
            "delay",
            format!("... places in memory of {} frames", seen.delays.len()),
            seen.memories.len() as f64,
            "",
        )
        .at_most(MEMORIES_MAX as f64, format!("<= {MEMORIES_MAX}")),
    ])
}
