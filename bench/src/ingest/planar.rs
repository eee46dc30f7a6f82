//! What a picture costs in the formats that encoders take, beside a memcpy of the packed frame, and how much longer the
//! producer has to leave it alone.

use std::thread;

use anyhow::Result;
use serde_json::json;

use super::{Bench, Effort, cpu_per_frame, fresh_copy::Fresh, produce, read};
use crate::{
    child::Role,
    picture::{self, Format, Picture},
    report::{Row, median},
    roles::read::Seen,
};

/// By how much longer the way out of the source may take.
const LONGER: f64 = 1.1;

/// Ways of a picture: its name and what stands behind the source.
const WAYS: [(&str, &str); 4] = [
    ("cvmmapsrc, as it is", ""),
    ("cvmmapsrc to I420", "! video/x-raw,format=I420"),
    ("cvmmapsrc to NV12", "! video/x-raw,format=NV12"),
    ("cvmmapsrc ! videoconvert to I420", "! videoconvert ! video/x-raw,format=I420"),
];

pub fn measure(effort: &Effort, bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for picture in [picture::VGA, picture::HD, picture::FULL_HD, Picture { format: Format::Bgr, ..picture::UHD }] {
        for format in [Format::Bgr, Format::Bgra] {
            rows.extend(measure_one(effort, bench, Picture { format, ..picture })?);
        }
    }
    Ok(rows)
}

fn measure_one(effort: &Effort, bench: &Bench, picture: Picture) -> Result<Vec<Row>> {
    let target = bench.target("planar")?;
    let _producer = produce(&target, picture, &[])?;
    let mut ways = WAYS.map(|(_, behind)| Way::start(&format!("cvmmapsrc uri={target} nats-url=\"\" {behind}")));
    let mut fresh = Fresh::of(&target, picture)?;
    for _ in 0..effort.rounds {
        for way in &mut ways {
            way.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?.measure(effort)?;
        }
        fresh.measure(effort)?;
    }
    let memcpy = median(&fresh.memcpys);
    let ways = ways.into_iter().collect::<Result<Vec<_>>>()?;
    let own_delay = median(&ways[0].delays);
    let mut rows = Vec::new();
    for ((name, _), way) in WAYS.iter().zip(&ways) {
        let row = Row::new("planar", format!("CPU of {name}, {picture}"), median(&way.costs), "us")
            .against("fresh memcpy", memcpy)
            .details(json!({ "rounds_us": way.costs }));
        let is_judged = name.contains(" to ") && !name.contains('!');
        rows.push(if is_judged && picture.height >= 720 { row.at_most(memcpy, "<= memcpy") } else { row });
        if is_judged {
            let delay = median(&way.delays);
            let row = Row::new("planar", format!("capture to the end of the copy, {name}, {picture}"), delay, "us");
            rows.push(row.against("as it is", own_delay).at_most(LONGER * own_delay, "<= 1.1 times"));
        }
    }
    Ok(rows)
}

/// A consumer, which plays only while it is measured.
struct Way {
    reader: Role,
    costs: Vec<f64>,
    delays: Vec<f64>,
}

impl Way {
    fn start(source: &str) -> Result<Self> {
        let mut reader = read(&[format!("{source} ! fakesink sync=false")], "times")?;
        reader.await_frames(20)?;
        reader.ask::<()>("pause")?;
        Ok(Self { reader, costs: Vec::new(), delays: Vec::new() })
    }

    fn measure(&mut self, effort: &Effort) -> Result<()> {
        self.reader.ask::<()>("play")?;
        self.reader.await_frames(10)?;
        self.reader.ask::<Seen>("seen")?;
        let before = self.reader.sample()?;
        thread::sleep(effort.window);
        let after = self.reader.sample()?;
        self.reader.ask::<()>("pause")?;
        self.costs.push(cpu_per_frame(&before, &after, after.frames - before.frames));
        let seen = self.reader.ask::<Seen>("seen")?;
        self.delays.extend(seen.delays.iter().map(|delay| *delay as f64 / 1e3));
        Ok(())
    }
}
