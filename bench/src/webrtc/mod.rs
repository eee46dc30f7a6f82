//! What those who watch by WebRTC cost, and what they see, beside GStreamer's own `webrtcbin`: one camera's access units go to
//! the same players.

mod camera;
mod sender;
mod viewer;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use self::{
    camera::Camera,
    sender::{Kind, Sender, Video},
    viewer::Viewer,
};
use crate::{
    clip::Size,
    machine::{Busy, Machine},
    pace::unix_now,
    report::{self, Row, quantile},
    units::FPS,
};

const SIZES: [Size; 2] = [Size { width: 640, height: 360 }, Size { width: 1280, height: 720 }];
/// How many watch at once.
const VIEWERS: [usize; 3] = [1, 8, 32];
/// How many come one after the other to a sender that encodes,
const JOINING: usize = 8;
/// with a keyframe for each: `cvmmap_streamer` makes two a second at most.
const JOIN_SPACING: Duration = Duration::from_millis(600);
/// More offers than twenty a second are refused.
const OFFER_SPACING: Duration = Duration::from_millis(100);
/// Until a sender, or who has just come, is like itself.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the last units may be on their way.
const SETTLE: Duration = Duration::from_millis(1500);
/// Until pictures flow.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen of one sender with so many viewers.
#[derive(Clone, Default, serde::Serialize)]
struct Watched {
    /// What each viewer adds, by round.
    cpu_percent: Vec<f64>,
    pss_mib: Vec<f64>,
    threads: Vec<f64>,
    /// Of what was published for all of them, by round.
    received_percent: Vec<f64>,
    /// Of every unit, in milliseconds.
    #[serde(skip)]
    delays_ms: Vec<f64>,
}

/// What was seen of one sender at one size.
#[derive(Clone, Default, serde::Serialize)]
struct Seen {
    watched: [Watched; VIEWERS.len()],
    /// From offer to picture, of a sender that encodes.
    first_pictures_ms: Vec<f64>,
    /// The sender without viewers, by round: CPU in percent of a core, and memory.
    alone: Vec<(f64, f64)>,
}

pub fn run(quick: bool, json: &Path, only: &str) -> Result<()> {
    let (rounds, window) = if quick { (1, 5) } else { (2, 10) };
    let machine = Machine::this()?;
    let mut rows = Vec::new();
    let mut about = Map::new();
    for size in SIZES.into_iter().filter(|size| size.to_string().starts_with(only)) {
        let folder = tempfile::tempdir()?;
        let camera = Camera::start(size, folder.path())?;
        let busy = Busy::now()?;
        let (mut ours, mut theirs) = (Seen::default(), Seen::default());
        // In turn, so that both meet whatever else the machine does.
        for round in 1..=rounds {
            for (kind, seen) in [(Kind::Streamer, &mut ours), (Kind::Webrtcbin, &mut theirs)] {
                eprintln!("measuring: {size}, {kind:?}, {round} of {rounds}");
                watch(kind, &camera, Duration::from_secs(window), seen)?;
                join(kind, &camera, seen)?;
            }
        }
        let said = json!({
            "cores_used_by_others": busy.others()?, "cvmmap_streamer": ours, "webrtcbin": theirs,
        });
        about.insert(size.to_string(), said);
        rows.extend(compare(size, &ours, &theirs));
    }
    report::publish(&machine, &Value::Object(about), &rows, json)
}

/// More and more viewers of the camera's own access units.
fn watch(kind: Kind, camera: &Camera, window: Duration, seen: &mut Seen) -> Result<()> {
    let sender = Sender::start(kind, Video::Passed, camera)?;
    let mut viewers = Vec::new();
    // Until there is a stream.
    drop(start(&sender, camera, 1)?);
    thread::sleep(WARM_UP);
    let alone = over(&sender, window)?;
    seen.alone.push((alone.cpu_percent, alone.pss_mib));
    for (count, watched) in VIEWERS.into_iter().zip(&mut seen.watched) {
        viewers.extend(start(&sender, camera, count - viewers.len())?);
        thread::sleep(WARM_UP);
        let from = unix_now();
        let with = over(&sender, window)?;
        let to = unix_now();
        thread::sleep(SETTLE);
        let of_each = |with: f64, alone: f64| (with - alone) / count as f64;
        watched.cpu_percent.push(of_each(with.cpu_percent, alone.cpu_percent));
        watched.pss_mib.push(of_each(with.pss_mib, alone.pss_mib));
        watched.threads.push(of_each(with.threads, alone.threads));
        let mut received = 0;
        for viewer in &viewers {
            let units = viewer.seen().units.into_iter().filter(|(published, _)| (from..to).contains(published));
            let delays = units.map(|(published, arrived)| arrived.saturating_sub(published) as f64 / 1e6);
            let before = watched.delays_ms.len();
            watched.delays_ms.extend(delays);
            received += watched.delays_ms.len() - before;
        }
        let sent = camera.published(from, to) * count;
        watched.received_percent.push(received as f64 / sent as f64 * 100.0);
    }
    drop(viewers);
    sender.end()
}

/// Viewers who come to a sender that encodes, one after the other.
fn join(kind: Kind, camera: &Camera, seen: &mut Seen) -> Result<()> {
    let sender = Sender::start(kind, Video::Encoded, camera)?;
    drop(start(&sender, camera, 1)?);
    let mut viewers = Vec::new();
    for _ in 0..JOINING {
        thread::sleep(JOIN_SPACING);
        viewers.extend(start(&sender, camera, 1)?);
    }
    let first = viewers.iter().filter_map(|viewer| viewer.seen().first_picture);
    seen.first_pictures_ms.extend(first.map(|first| first.as_secs_f64() * 1e3));
    drop(viewers);
    sender.end()
}

/// Starts viewers; each has seen a picture.
fn start(sender: &Sender, camera: &Camera, count: usize) -> Result<Vec<Viewer>> {
    let mut viewers = Vec::new();
    for _ in 0..count {
        viewers.push(Viewer::start(sender.port, camera.target.instance()));
        thread::sleep(OFFER_SPACING);
    }
    let until = Instant::now() + PATIENCE;
    while let Some(waiting) = viewers.iter().find(|viewer| viewer.seen().first_picture.is_none()) {
        if waiting.has_ended() || Instant::now() > until {
            bail!("a viewer sees nothing: {:?}", waiting.seen());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(viewers)
}

struct Used {
    cpu_percent: f64,
    pss_mib: f64,
    threads: f64,
}

/// What a sender uses within a time, and has at its end.
fn over(sender: &Sender, window: Duration) -> Result<Used> {
    let (before, begun) = (sender.footprint()?, Instant::now());
    thread::sleep(window);
    let (after, took) = (sender.footprint()?, begun.elapsed());
    Ok(Used {
        cpu_percent: (after.cpu - before.cpu).as_secs_f64() / took.as_secs_f64() * 100.0,
        pss_mib: after.pss_kib as f64 / 1024.0,
        threads: after.threads as f64,
    })
}

fn compare(size: Size, ours: &Seen, theirs: &Seen) -> Vec<Row> {
    let row =
        |what: String, unit, ours: f64, theirs: f64| Row::new("webrtc", what, ours, unit).against("webrtcbin", theirs);
    let mut rows = Vec::new();
    for (at, count) in VIEWERS.into_iter().enumerate() {
        let (ours, theirs) = (&ours.watched[at], &theirs.watched[at]);
        let what = format!("{size} at {FPS}, {count} viewers");
        let each = |of: fn(&Watched) -> &[f64]| (mean(of(ours)), mean(of(theirs)));
        let (cpu, their_cpu) = each(|watched| &watched.cpu_percent);
        let (memory, their_memory) = each(|watched| &watched.pss_mib);
        let (threads, their_threads) = each(|watched| &watched.threads);
        let (received, their_received) = each(|watched| &watched.received_percent);
        let delay = |share| [ours, theirs].map(|watched| quantile(&watched.delays_ms, share));
        let ([half, their_half], [most, their_most]) = (delay(0.5), delay(0.95));
        rows.extend([
            row(format!("{what}: CPU for each"), "% of a core", cpu, their_cpu),
            row("... memory (PSS) for each".to_owned(), "MiB", memory, their_memory),
            row("... threads for each".to_owned(), "threads", threads, their_threads),
            row("... published to received, median".to_owned(), "ms", half, their_half),
            row("... published to received, 95th percentile".to_owned(), "ms", most, their_most),
            row("... received of published".to_owned(), "%", received, their_received),
        ]);
    }
    let first = |share| [ours, theirs].map(|seen| quantile(&seen.first_pictures_ms, share));
    let ([half, their_half], [most, their_most]) = (first(0.5), first(1.0));
    rows.extend([
        row(format!("{size}: offer to first picture, encoded, median"), "ms", half, their_half),
        row("... the longest".to_owned(), "ms", most, their_most),
    ]);
    rows
}

/// Of the rounds; there are few.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
