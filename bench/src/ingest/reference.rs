//! A producer in the reference order, which cannot be told from its metadata: how many of its frames come through, and
//! whether any of them is mixed.

use std::thread;

use anyhow::Result;
use serde_json::json;

use super::{Bench, Effort, consumer_of, produce, read, rise};
use crate::{
    child::Sample,
    picture::{self, Picture},
    report::Row,
    roles::read::Seen,
};

/// Frames that leave before counting starts: more than the first eight, which teach the cadence.
const FIRST: u64 = 20;

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for fps in [30, 60] {
        let picture = picture::FULL_HD.at(fps);
        let (before, after, seen) = watch(effort, bench, picture, "cadence", FIRST)?;
        let announced = rise(&before, &after, "frames-announced") + rise(&before, &after, "frames-skipped");
        let share = rise(&before, &after, "frames-pushed") as f64 / announced as f64 * 100.0;
        let losses = json!({
            "announced": announced,
            "late": rise(&before, &after, "frames-late"), "torn": rise(&before, &after, "frames-torn"),
            "dropped": rise(&before, &after, "frames-dropped"), "skipped": rise(&before, &after, "frames-skipped"),
        });
        rows.push(
            Row::new("reference", format!("delivered of a reference producer, {picture}"), share, "%")
                .at_least(99.0, ">= 99 %")
                .details(losses),
        );
        rows.push(mixed(picture, "cadence", &seen).at_most(0.0, "0"));
    }
    let picture = picture::FULL_HD.at(0);
    let (_, _, seen) = watch(effort, bench, picture, "cadence", 0)?;
    rows.push(mixed(picture, "cadence", &seen).at_most(0.0, "0"));
    let (_, _, seen) = watch(effort, bench, picture, "metadata", 0)?;
    rows.push(mixed(picture, "metadata", &seen));
    Ok(rows)
}

fn mixed(picture: Picture, coherence: &str, seen: &Seen) -> Row {
    let what = format!("mixed of {} frames, coherence={coherence}, {picture}", seen.checked);
    Row::new("reference", what, seen.mixed as f64, "")
}

fn watch(
    effort: &Effort,
    bench: &Bench,
    picture: Picture,
    coherence: &str,
    first: u64,
) -> Result<(Sample, Sample, Seen)> {
    let target = bench.target("order")?;
    let _producer = produce(&target, picture, &["--reference"])?;
    let mut reader = read(&[consumer_of(&target, &format!("coherence={coherence}"))], "pixels")?;
    reader.await_frames(first)?;
    let before = reader.sample()?;
    thread::sleep(effort.window * effort.rounds as u32);
    let after = reader.sample()?;
    Ok((before, after, reader.ask("seen")?))
}
