//! What a frame costs the consumer, beside a bare memcpy of as many bytes in the same seconds.

use std::{collections::BTreeMap, thread};

use anyhow::Result;
use serde_json::json;

use super::{
    Bench, Effort, consumer_of, cpu_per_frame,
    fresh_copy::{FIXED, Fresh, RATIO},
    produce, read, transports,
};
use crate::{
    child::Sample,
    copies::Copies,
    picture::{self, Picture},
    report::{Row, median},
};

const MEMCPYS: u32 = 40;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let pictures = [picture::TINY].into_iter().chain(picture::ALL);
    let rows = pictures.map(|picture| measure_one(effort, bench, picture)).collect::<Result<Vec<_>>>()?;
    let mut rows = rows.into_iter().flatten().collect::<Vec<_>>();
    for picture in [picture::TINY, picture::VGA] {
        let cost = transports::shm_receiver(effort, bench, picture)?;
        rows.push(Row::new("frame cost", format!("CPU of shmsrc ! fakesink, nothing copied, {picture}"), cost, "us"));
    }
    Ok(rows)
}

/// The cost against both memcpys: of the frame that was just written by another process, as it is for the source, and of
/// bytes that are copied again and again.
fn measure_one(effort: &Effort, bench: &Bench, picture: Picture) -> Result<[Row; 2]> {
    let target = bench.target("cost")?;
    let _producer = produce(&target, picture, &[])?;
    let mut reader = read(&[consumer_of(&target, "")], "nothing")?;
    reader.await_frames(20)?;
    let mut bare = Copies::of_own(picture.bytes())?;
    let mut fresh = Fresh::of(&target, picture)?;
    let (mut costs, mut memcpys) = (Vec::new(), Vec::new());
    let mut threads = BTreeMap::<String, f64>::new();
    let (mut faults, mut frames) = (0, 0);
    for _ in 0..effort.rounds {
        reader.ask::<()>("play")?;
        reader.await_frames(10)?;
        let before = reader.sample()?;
        thread::sleep(effort.window);
        let after = reader.sample()?;
        reader.ask::<()>("pause")?;
        costs.push(cpu_per_frame(&before, &after, after.frames - before.frames));
        for (name, cpu_us) in by_thread(&before, &after) {
            *threads.entry(name).or_default() += cpu_us;
        }
        faults += after.usage.minor_faults - before.usage.minor_faults;
        frames += after.frames - before.frames;
        bare.mean_ns(4);
        memcpys.push(bare.mean_ns(MEMCPYS) / 1e3);
        fresh.measure(effort)?;
    }
    threads.values_mut().for_each(|cpu_us| *cpu_us /= frames as f64);
    let (cost, repeated, of_fresh) = (median(&costs), median(&memcpys), median(&fresh.memcpys));
    let against = |what: &'static str, memcpy: f64| {
        let limit = RATIO * memcpy + FIXED;
        Row::new("frame cost", format!("CPU of cvmmapsrc ! fakesink, {picture}"), cost, "us")
            .against(what, memcpy)
            .at_most(limit, format!("<= {RATIO} memcpy + {FIXED} us = {limit:.0}"))
    };
    Ok([
        against("fresh memcpy", of_fresh).details(json!({
            "rounds_us": costs, "memcpy_us": memcpys, "by_thread_us": threads,
            "memcpy_of_a_fresh_frame_us": of_fresh, "pread_of_a_fresh_frame_us": median(&fresh.preads),
            "frames": frames, "minor_faults": faults,
        })),
        against("repeated memcpy", repeated),
    ])
}

fn by_thread(before: &Sample, after: &Sample) -> Vec<(String, f64)> {
    let spent = |(name, now): (&String, &u64)| {
        let then = before.usage.cpu_ns_of.get(name).copied().unwrap_or(0);
        (name.clone(), now.saturating_sub(then) as f64 / 1e3)
    };
    after.usage.cpu_ns_of.iter().map(spent).collect()
}
