//! What those who watch by WebRTC cost the streamer, and that they cost the encoder nothing.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{
    machine::{Busy, Machine},
    player::Player,
    report::{self, Row},
    streamers::Streamers,
    usage,
};

/// How many watch at once.
const VIEWERS: [usize; 3] = [1, 8, 32];
/// The simulated camera.
const FPS: u32 = 30;
/// The thread that serves them.
const THREAD: &str = "webrtc";
/// More offers than twenty a second are refused.
const OFFER_SPACING: Duration = Duration::from_millis(200);
/// Until pictures flow.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(quick: bool, json: &Path) -> Result<()> {
    let window = Duration::from_secs(if quick { 5 } else { 20 });
    let machine = Machine::this()?;
    let mut rows = Vec::new();
    let mut about = Map::new();
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let streamer = start(folder.path(), port)?;
    let mut viewers = Vec::new();
    for count in VIEWERS {
        eprintln!("measuring: {count} viewers");
        while viewers.len() < count {
            viewers.push(Viewer::start(port));
            thread::sleep(OFFER_SPACING);
        }
        let busy = Busy::now()?;
        rows.extend(measure(streamer.only(), &viewers, window)?);
        about.insert(count.to_string(), json!({ "cores_used_by_others": busy.others()? }));
    }
    drop(viewers);
    streamer.end()?;
    report::publish(&machine, &Value::Object(about), &rows, json)
}

fn measure(streamer: u32, viewers: &[Viewer], window: Duration) -> Result<Vec<Row>> {
    let until = Instant::now() + PATIENCE;
    let shown = || viewers.iter().map(|viewer| viewer.pictures.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let first = shown();
    while shown().iter().zip(&first).any(|(now, first)| *now < first + u64::from(FPS)) {
        if Instant::now() > until {
            bail!("a viewer sees nothing: {:?}", shown());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let (before, begun, seen) = (usage::by_thread(streamer)?, Instant::now(), shown());
    thread::sleep(window);
    let (after, took, now) = (usage::by_thread(streamer)?, begun.elapsed(), shown());
    let used = |name: &str| after[name].saturating_sub(before.get(name).copied().unwrap_or(0));
    let percent = |cpu_ns: u64| cpu_ns as f64 / took.as_nanos() as f64 * 100.0;
    let serving = percent(after.contains_key(THREAD).then(|| used(THREAD)).context("the streamer serves nobody")?);
    let rest = percent(after.keys().filter(|name| *name != THREAD).map(|name| used(name)).sum());
    let pictures = now.iter().zip(&seen).map(|(now, seen)| now - seen).sum::<u64>() as f64;
    let share = pictures / (took.as_secs_f64() * f64::from(FPS) * viewers.len() as f64);
    let what = format!("{} viewers of 720p{FPS}", viewers.len());
    Ok(vec![
        Row::new("viewers", format!("{what}: CPU for each viewer"), serving / viewers.len() as f64, "% of a core")
            .details(json!({ "by_thread_ns": after.keys().map(|name| (name, used(name))).collect::<Vec<_>>() })),
        Row::new("viewers", format!("{what}: CPU for the picture"), rest, "% of a core"),
        Row::new("viewers", format!("{what}: pictures shown"), share * 100.0, "%"),
    ])
}

/// The launcher with a simulated camera, serving this port.
fn start(folder: &Path, port: u16) -> Result<Streamers> {
    let (camera, fps) = (format!("cvmmap://{CAMERA}@{}", folder.display()), FPS.to_string());
    let (size, http) = (["--dummy-width", "1280", "--dummy-height", "720"], format!("127.0.0.1:{port}"));
    let mut arguments = vec!["--input-mode", "dummy", "--input-uri", &camera, "--dummy-fps", &fps];
    arguments.extend(size);
    arguments.extend(["--dummy-frames", "0", "--codec", "h264", "--bitrate", "3000", "--max-viewers", "64"]);
    arguments.extend(["--nats-url", "", "--http", &http]);
    Streamers::start(&[arguments.into_iter().map(str::to_owned).collect()], Vec::new())
}

const CAMERA: &str = "bench_viewers";

/// One who watches.
struct Viewer {
    pictures: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    fn start(port: u16) -> Self {
        let (pictures, ended) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (counted, until) = (Arc::clone(&pictures), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let mut player = Player::start(port, CAMERA);
            while !until.load(Ordering::Relaxed) {
                let plays = player.play(|_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    until.load(Ordering::Relaxed)
                });
                assert!(plays, "the session ended");
            }
        });
        Self { pictures, ended, thread: Some(thread) }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it complained of is printed.
            let _ = thread.join();
        }
    }
}
