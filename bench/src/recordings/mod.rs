//! How fast recordings are converted, beside an ffmpeg that decodes, crops and encodes the same pictures with the same
//! encoder and the same settings, what a program's start takes, and whether memory grows with the length of a recording.

mod conversion;
mod footage;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use self::{
    conversion::{Job, Program, Ran},
    footage::{FPS, Footage},
};
use crate::{
    machine::{Busy, Machine},
    report::{self, Row, median},
};

/// Pictures of a recording.
const FRAMES: usize = 300;
const CAMERAS: usize = 4;
/// What a long recording is to a short one.
const LONGER: usize = 4;
const CODECS: [&str; 2] = ["h264", "h265"];
/// Pictures of a recording whose conversion is mostly a program's start.
const FEW_FRAMES: usize = 10;
/// What a start may take more than ffmpeg's.
const START_MORE_MS: f64 = 50.0;

pub fn run(quick: bool, json: &Path, only: &str) -> Result<()> {
    let machine = Machine::this()?;
    let rounds = if quick { 1 } else { 3 };
    let frames = if quick { FRAMES / 3 } else { FRAMES };
    let folder = tempfile::tempdir()?;
    let cameras = (1..=CAMERAS).map(|camera| Footage::make(folder.path(), camera, frames));
    let cameras = cameras.collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    let mut about = Map::new();
    for codec in CODECS {
        for job in [Job::One, Job::Batch, Job::Grid] {
            let what = format!("{job} as {codec}");
            if !what.starts_with(only) {
                continue;
            }
            eprintln!("measuring: {what}");
            let busy = Busy::now()?;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            // In turn, so that both meet whatever else the machine does.
            for _ in 0..rounds {
                let measure = |program| job.run(program, codec, &cameras, folder.path()).with_context(|| what.clone());
                ours.push(measure(Program::Ours)?);
                theirs.push(measure(Program::Ffmpeg)?);
            }
            about.insert(what.clone(), json!({ "cores_used_by_others": busy.others()? }));
            rows.push(judge(&what, job.frames(frames), &ours, &theirs));
        }
    }
    for codec in CODECS {
        let what = format!("ten pictures as {codec}");
        if what.starts_with(only) {
            rows.push(start(&what, codec, 7 * rounds, folder.path())?);
        }
    }
    if "memory".starts_with(only) {
        rows.push(memory(&cameras[0], frames, folder.path())?);
    }
    report::publish(&machine, &Value::Object(about), &rows, json)
}

fn judge(what: &str, frames: usize, ours: &[Ran], theirs: &[Ran]) -> Row {
    let rates = |ran: &[Ran]| ran.iter().map(|ran| frames as f64 / ran.seconds).collect::<Vec<_>>();
    let bytes = |ran: &[Ran]| ran.last().map_or(0, |ran| ran.bytes);
    let (rate, their_rate) = (median(&rates(ours)), median(&rates(theirs)));
    Row::new("recordings", what, rate, "frames/s")
        .against("ffmpeg", their_rate)
        .at_least(0.95 * their_rate, format!(">= 0.95 of ffmpeg = {:.1}", 0.95 * their_rate))
        .details(json!({
            "rates": rates(ours), "ffmpeg_rates": rates(theirs), "bytes": bytes(ours), "ffmpeg_bytes": bytes(theirs),
            "peak_kib": ours.last().map(|ran| ran.peak_kib), "ffmpeg_peak_kib": theirs.last().map(|ran| ran.peak_kib),
        }))
}

/// How long a conversion of few pictures takes, from a program's start to its end.
fn start(what: &str, codec: &str, rounds: usize, folder: &Path) -> Result<Row> {
    eprintln!("measuring: {what}");
    let few = Footage::make(folder, CAMERAS + 2, FEW_FRAMES)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let measure = |program| Job::One.run(program, codec, std::slice::from_ref(&few), folder);
        ours.push(measure(Program::Ours)?);
        theirs.push(measure(Program::Ffmpeg)?);
    }
    let times = |ran: &[Ran]| ran.iter().map(|ran| 1000.0 * ran.seconds).collect::<Vec<_>>();
    let (time, their_time) = (median(&times(&ours)), median(&times(&theirs)));
    Ok(Row::new("recordings", what, time, "ms")
        .against("ffmpeg", their_time)
        .at_most(their_time + START_MORE_MS, format!("<= ffmpeg + {START_MORE_MS} = {:.0}", their_time + START_MORE_MS))
        .details(json!({ "times": times(&ours), "ffmpeg_times": times(&theirs) })))
}

/// The most memory that a conversion had, of a recording and of a longer one.
fn memory(short: &Footage, frames: usize, folder: &Path) -> Result<Row> {
    eprintln!("measuring: memory");
    let long = Footage::make(folder, CAMERAS + 1, LONGER * frames)?;
    let peak = |footage: &Footage| {
        let ran = Job::One.run(Program::Ours, "h264", std::slice::from_ref(footage), folder)?;
        anyhow::Ok(ran.peak_kib as f64 / 1024.0)
    };
    let (short, long) = (peak(short)?, peak(&long)?);
    let seconds = frames / FPS;
    Ok(Row::new("recordings", format!("memory, {LONGER} x {seconds} s"), long, "MiB")
        .against("a fourth of the length", short)
        .at_most(1.1 * short, format!("<= 1.1 of it = {:.0}", 1.1 * short)))
}
