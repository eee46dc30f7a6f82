//! Many producers into one process.

use std::thread;

use anyhow::Result;
use serde_json::json;

use super::{Bench, Effort, consumer_of, produce, read, rise};
use crate::{
    picture,
    report::{Row, median},
};

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let picture = picture::HD.at(30);
    let mut rows = Vec::new();
    let mut one = None;
    for count in [1_u32, 2, 4, 8, 16] {
        let targets = (0..count).map(|index| bench.target(&format!("many{index}"))).collect::<Result<Vec<_>>>()?;
        let _producers = targets.iter().map(|target| produce(target, picture, &[])).collect::<Result<Vec<_>>>()?;
        let pipelines = targets.iter().map(|target| consumer_of(target, "")).collect::<Vec<_>>();
        let mut reader = read(&pipelines, "nothing")?;
        reader.await_frames(20 * u64::from(count))?;
        let (mut loads, mut shares) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            let before = reader.sample()?;
            thread::sleep(effort.window);
            let after = reader.sample()?;
            let announced = rise(&before, &after, "frames-announced") + rise(&before, &after, "frames-skipped");
            let frames = rise(&before, &after, "frames-pushed");
            shares.push(frames as f64 / announced as f64 * 100.0);
            // At the rate that was asked for, however much came.
            let per_frame = (after.usage.cpu_ns - before.usage.cpu_ns) as f64 / 1e9 / frames as f64;
            loads.push(per_frame * f64::from(picture.fps * count) * 100.0);
        }
        let threads = reader.sample()?.usage.threads;
        let load = median(&loads);
        let linear = *one.get_or_insert(load) * f64::from(count);
        rows.push(
            Row::new(
                "many",
                format!("{count} x {picture}, one process, {:.1} % delivered", median(&shares)),
                load,
                "% CPU",
            )
            .against("linear", linear)
            .at_most(linear * 1.5, "<= 1.5 linear")
            .details(json!({ "rounds": loads, "delivered_percent": shares, "threads": threads })),
        );
    }
    Ok(rows)
}
