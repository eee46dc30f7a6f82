//! What sending a producer's own access units on costs, and whether any is lost when many do so at once.

mod cameras;

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{
    machine::{Busy, Machine},
    receiver::Receiver,
    report::{self, Row},
    streamers::Streamers,
    units::{FPS, Unit},
};
use cameras::Cameras;

/// What one machine of two cores has to carry.
const MANY: usize = 50;

pub fn run(quick: bool, json: &Path) -> Result<()> {
    let window = Duration::from_secs(if quick { 5 } else { 20 });
    let machine = Machine::this()?;
    let units = cameras::encode()?;
    let mut rows = Vec::new();
    let mut about = Map::new();
    for streams in [1, MANY] {
        eprintln!("measuring: {streams} at once");
        let busy = Busy::now()?;
        rows.extend(measure(streams, &units, window)?);
        about.insert(streams.to_string(), json!({ "cores_used_by_others": busy.others()? }));
    }
    report::publish(&machine, &Value::Object(about), &rows, json)
}

fn measure(streams: usize, units: &[Unit], window: Duration) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let mut cameras = Cameras::start(streams, units, folder.path())?;
    let receivers = cameras.targets().iter().map(|_| Receiver::start()).collect::<Result<Vec<_>>>()?;
    let commands = cameras.targets().iter().zip(&receivers).map(|(target, receiver)| {
        let to = format!("127.0.0.1:{}", receiver.port);
        let arguments =
            ["--input-uri", &target.to_string(), "--input-video-source", "encoded", "--rtp", "--rtp-endpoint", &to];
        arguments.map(str::to_owned).to_vec()
    });
    let streamers = Streamers::start(&commands.collect::<Vec<_>>(), receivers)?;
    // Until each has found its camera, and a keyframe of it.
    cameras.run_until(|| streamers.all_receive())?;
    let (published, before) = (cameras.published(), streamers.settled()?);
    cameras.run_for(window)?;
    let after = streamers.settle(before.units() + cameras.published() - published)?;
    let (sent, received) = (cameras.published() - published, after.units() - before.units());
    let cpu = (after.used.cpu - before.used.cpu).as_secs_f64() / window.as_secs_f64() / streams as f64;
    let memory = after.used.rss_kib as f64 / 1024.0 / streams as f64;
    let summaries = streamers.end()?;
    let what = format!("{streams} of 1080p{FPS}");
    let lost = sent as f64 - received as f64;
    Ok(vec![
        Row::new("passthrough", format!("{what}: units lost of {sent}"), lost, "units")
            .at_most(0.0, "none")
            .details(json!({ "packets_lost": after.packets_lost(), "summaries": summaries })),
        Row::new("passthrough", format!("{what}: CPU of each stream"), cpu * 100.0, "% of a core"),
        Row::new("passthrough", format!("{what}: memory of each stream"), memory, "MiB"),
    ])
}
