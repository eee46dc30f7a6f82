//! From a capture to the decoded picture at a receiver, through `cvmmap_streamer` and through an ffmpeg that does the same
//! job. Both get the same pictures at the same pace, and the same receiver decodes what either of them publishes.

mod number;
mod player;
mod publisher;
mod receiver;
mod row;
mod way;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use self::{
    row::Seen,
    way::{Kind, ROWS},
};
use crate::{
    clip::{CLIP, Clip, Size},
    machine::{Busy, Machine},
    report::{self, Row, median, quantile},
};

const SIZES: [Size; 3] =
    [Size { width: 640, height: 360 }, Size { width: 1280, height: 720 }, Size { width: 1920, height: 1080 }];
const FPS: u32 = 30;
/// An ffmpeg that knows both forms of H.265 in FLV; `scripts/setup.sh --tests` fetches it.
const FFMPEG: &str = "target/peers/ffmpeg";

pub fn run(quick: bool, json: &Path, only: &str) -> Result<()> {
    if !Path::new(FFMPEG).exists() {
        bail!("{FFMPEG} is not there: run scripts/setup.sh --tests");
    }
    let machine = Machine::this()?;
    let rounds = if quick { 1 } else { 3 };
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    let mut about = Map::new();
    for size in SIZES {
        let clip = Clip::load(CLIP, size)?;
        for row in ROWS.iter().filter(|row| row.name.starts_with(only)) {
            let what = format!("{} {size} at {FPS}", row.name);
            eprintln!("measuring: {what}");
            let busy = Busy::now()?;
            let (mut ours, mut theirs) = (Seen::default(), Seen::default());
            // In turn, so that both meet whatever else the machine does.
            for _ in 0..rounds {
                ours.append(row.measure(Kind::Streamer, &clip, folder.path()).with_context(|| what.clone())?);
                if row.can_ffmpeg() {
                    let seen = row.measure(Kind::Ffmpeg, &clip, folder.path());
                    theirs.append(seen.with_context(|| format!("{what}, ffmpeg"))?);
                }
            }
            about.insert(what.clone(), json!({ "cores_used_by_others": busy.others()? }));
            rows.extend(judge(&what, row.held_back(), &ours, row.can_ffmpeg().then_some(&theirs)));
        }
    }
    report::publish(&machine, &Value::Object(about), &rows, json)
}

fn judge(what: &str, held_back: Duration, ours: &Seen, theirs: Option<&Seen>) -> Vec<Row> {
    let interval = Duration::from_secs(1).as_secs_f64() * 1e3 / f64::from(FPS);
    let (p50, encoder) = (median(&ours.delays_ms), median(&ours.encoder_ms));
    let limit = encoder + interval + held_back.as_secs_f64() * 1e3;
    let details = json!({
        "p99_ms": quantile(&ours.delays_ms, 0.99), "pictures": ours.delays_ms.len(), "offered": ours.offered,
        "encoder_p50_ms": encoder, "summaries": ours.summaries,
    });
    let mut rows = vec![
        Row::new("latency", format!("capture to decoded picture, {what}"), p50, "ms")
            .against("encoder alone", encoder)
            .at_most(
                limit,
                format!(
                    "<= encoder + a frame{} = {limit:.1}",
                    if held_back.is_zero() { "" } else { " + SRT's latency" }
                ),
            )
            .details(details),
    ];
    if let Some(theirs) = theirs {
        let their_p50 = median(&theirs.delays_ms);
        let details = json!({
            "p99_ms": quantile(&theirs.delays_ms, 0.99), "pictures": theirs.delays_ms.len(), "offered": theirs.offered,
        });
        rows.push(
            Row::new("latency", "... beside ffmpeg fed through a pipe", p50, "ms")
                .against("ffmpeg", their_p50)
                .goal(p50 < their_p50, "< ffmpeg")
                .details(details),
        );
    }
    rows
}
