//! The measurements of the way from a producer into a pipeline.

mod delay;
mod frame_cost;
mod fresh_copy;
mod leaks;
mod many;
mod planar;
mod reference;
mod transports;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use cvmmap::{Address, Target};
use serde_json::{Map, Value, json};

use crate::{
    child::{Role, Sample},
    machine::{Busy, Machine},
    picture::Picture,
    report::{self, Row},
};

/// How long and how often is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    rounds: usize,
    window: Duration,
    /// Start/stop cycles of a source.
    source_cycles: u32,
    producer_cycles: u32,
}

const FULL: Effort =
    Effort { rounds: 5, window: Duration::from_millis(1500), source_cycles: 1000, producer_cycles: 200 };
const QUICK: Effort = Effort { rounds: 3, window: Duration::from_millis(700), source_cycles: 100, producer_cycles: 20 };

type Section = fn(&Effort, &Bench) -> Result<Vec<Row>>;

/// Where this run's producers live.
struct Bench {
    folder: tempfile::TempDir,
}

pub fn run(quick: bool, json: &Path, only: &str) -> Result<()> {
    let effort = if quick { QUICK } else { FULL };
    let machine = Machine::this()?;
    let bench = Bench { folder: tempfile::tempdir()? };
    let sections: [(&str, Section); 7] = [
        ("frame cost", frame_cost::measure),
        ("planar", planar::measure),
        ("transports", transports::measure),
        ("delay", delay::measure),
        ("many", many::measure),
        ("leaks", leaks::measure),
        ("reference", reference::measure),
    ];
    let mut rows = Vec::new();
    let mut about = Map::new();
    for (name, measure) in sections.into_iter().filter(|(name, _)| name.starts_with(only)) {
        eprintln!("measuring: {name}");
        let busy = Busy::now()?;
        rows.extend(measure(&effort, &bench).with_context(|| name.to_owned())?);
        let others = busy.others()?;
        eprintln!("measured: {name}; something else kept {others:.2} cores busy meanwhile");
        about.insert(name.to_owned(), json!({ "cores_used_by_others": others }));
    }
    report::publish(&machine, &Value::Object(about), &rows, json)
}

impl Bench {
    /// The address of a producer of this run.
    fn target(&self, name: &str) -> Result<Target> {
        let name = format!("b{}-{name}", std::process::id());
        Ok(Target::new(&name, None, Some(self.folder.path().to_str().context("a folder with a plain name")?))?)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// Starts a producer.
fn produce(target: &Target, picture: Picture, more: &[&str]) -> Result<Role> {
    let mut args = picture.args();
    args.push(format!("--uri={target}"));
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    Role::start("produce", &args)
}

/// Starts a consumer of pipelines.
fn read(pipelines: &[String], observe: &str) -> Result<Role> {
    let mut args = vec![format!("--observe={observe}")];
    args.extend(pipelines.iter().map(|pipeline| format!("--pipeline={pipeline}")));
    Role::start("read", &args)
}

/// `cvmmapsrc ! fakesink`, without NATS: looking for a server that is not there is no part of a frame.
fn consumer_of(target: &Target, properties: &str) -> String {
    format!("cvmmapsrc uri={target} nats-url=\"\" {properties} ! fakesink sync=false")
}

/// CPU time of a role for each of these frames, microseconds.
fn cpu_per_frame(before: &Sample, after: &Sample, frames: u64) -> f64 {
    (after.usage.cpu_ns - before.usage.cpu_ns) as f64 / 1e3 / frames as f64
}

/// By how much a counter of the sources rose.
fn rise(before: &Sample, after: &Sample, counter: &str) -> u64 {
    let of = |sample: &Sample| sample.stats.get(counter).copied().unwrap_or(0);
    of(after) - of(before)
}

/// The path of a producer's segment.
fn segment_of(target: &Target) -> std::path::PathBuf {
    Path::new("/dev/shm").join(Address::from(target).shm_name())
}
