//! What a tag costs: instructions of a pipeline around `flvhevcmux`, and of the same one around `flvmux`.
//!
//! Callgrind counts, so that the figures do not depend on what else the machine does, and need no hardware counters. Starting
//! and stopping cost the same however many units pass: two runs of different length, and their difference, are the units'.

pub mod pass;

use std::{env, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    machine::Machine,
    report::{self, Row, median},
};
use pass::Stream;

const OURS: &str = "flvhevcmux";
/// For a file that is not live it would write an index, which we do not.
const STOCK: &str = "flvmux streamable=true";

const SHORT: u32 = 500;
const LONG: u32 = 3500;
const QUICK_LONG: u32 = 1500;
/// Threads meet a little differently every time, and the middle of some runs levels that.
const ROUNDS: usize = 3;
const QUICK_ROUNDS: usize = 1;

/// Callgrind counts `rep movsb` as one instruction for each byte. This has glibc copy and fill with vector instructions.
const COPIES_BY_VECTOR: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x7fffffff:glibc.cpu.x86_rep_stosb_threshold=0x7fffffff";

const STREAMS: [Stream; 4] = [
    Stream { unit: 500, sound: false },
    Stream { unit: 4_000, sound: false },
    Stream { unit: 20_000, sound: false },
    Stream { unit: 4_000, sound: true },
];

pub fn run(quick: bool, json: &Path) -> Result<()> {
    gst::init()?;
    let (long, rounds) = if quick { (QUICK_LONG, QUICK_ROUNDS) } else { (LONG, ROUNDS) };
    let mut rows = Vec::new();
    for stream in STREAMS {
        eprintln!("measuring: {stream}");
        let mut ours = Vec::new();
        let mut stock = Vec::new();
        for _ in 0..rounds {
            ours.push(instructions_per_tag(OURS, stream, long)?);
            stock.push(instructions_per_tag(STOCK, stream, long)?);
        }
        let row = Row::new("muxer", stream.to_string(), median(&ours), "instructions")
            .against("flvmux", median(&stock))
            .at_most(median(&stock), "flvmux")
            .details(json!({ "flvhevcmux": ours, "flvmux": stock }));
        rows.push(row);
    }
    report::publish(&Machine::this()?, &Value::Null, &rows, json)
}

fn instructions_per_tag(muxer: &str, stream: Stream, long: u32) -> Result<f64> {
    let short = instructions(muxer, stream, SHORT)? as f64;
    let units = f64::from(long - SHORT) * stream.tags_per_unit();
    Ok((instructions(muxer, stream, long)? as f64 - short) / units)
}

/// Runs a pass of this program under callgrind.
fn instructions(muxer: &str, stream: Stream, units: u32) -> Result<u64> {
    let profile = tempfile::NamedTempFile::new()?;
    let output = Command::new("valgrind")
        .env("GLIBC_TUNABLES", COPIES_BY_VECTOR)
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.path().display()))
        .arg(env::current_exe()?)
        .args(["pass", &format!("--muxer={muxer}"), &format!("--units={units}"), &format!("--unit={}", stream.unit)])
        .args(stream.sound.then_some("--sound"))
        .output()
        .context("no valgrind: install it (Debian package valgrind)")?;
    if !output.status.success() {
        bail!("{muxer} under valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let profile = std::fs::read_to_string(profile.path())?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals from callgrind")?;
    Ok(total.trim().parse()?)
}
