//! The page in Debian's Chromium and Firefox, where they are installed (`scripts/setup.sh --with-browser`).

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cvmmap::{Abi, Address, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher};
use serde_json::Value;

use crate::nats_server::NatsServer;
use crate::recorder_support::decoded_frames;
use crate::streamer_support::{ENDLESS, Names, Running, free_port, json};

const CHROMIUM: &str = "/usr/bin/chromium";
const FIREFOX: &str = "/usr/bin/firefox-esr";

pub fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Chromium and what drives it. `None` where they are not installed.
pub fn browser(script: &str) -> Option<Command> {
    let playwright = root("target/peers/browser/node_modules/playwright-core");
    if !Path::new(CHROMIUM).exists() || !playwright.exists() {
        eprintln!(
            "SKIPPED: no {CHROMIUM} or no {}; scripts/setup.sh --with-browser installs them",
            playwright.display()
        );
        return None;
    }
    let mut browser = bounded("node");
    browser.arg(root("tests/streamer").join(script)).arg(playwright).arg(CHROMIUM);
    Some(browser)
}

/// A program that is ended when it takes longer than a browser does on the busiest machine.
fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "150"]).arg(program).stdin(Stdio::null());
    command
}

/// What a script saw.
pub fn seen(browser: &mut Command) -> Value {
    let output = browser.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{stdout}{stderr}");
    json(&stdout)
}

pub fn interrupt(streamer: Running) {
    streamer.signal("-INT");
    let (status, _, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn a_person_can_watch_use_each_switch_and_change_what_can_be_changed() {
    let Some(mut browser) = browser("page.mjs") else { return };
    let server = NatsServer::start();
    let folder = tempfile::tempdir().unwrap();
    let name = format!("page{}", std::process::id());
    let uri = format!("cvmmap://{name}@{}", folder.path().display());
    let (port, recordings) = (free_port(), folder.path().join("recordings"));
    fs::create_dir(&recordings).unwrap();
    let mut command = crate::streamer_support::program();
    command.args(["--input-mode", "dummy", "--input-uri", &uri, "--dummy-depth", "--dummy-body", "18"]).args(ENDLESS);
    command.args(["--dummy-width", "320", "--dummy-height", "180", "--codec", "h264", "--bitrate", "1000"]);
    command
        .args(["--nats-url", &server.url(), "--http", &format!("127.0.0.1:{port}"), "--record-root"])
        .arg(&recordings);
    let streamer = Running::start(&mut command);
    // Whoever reaches this one may watch, and change nothing.
    let names = Names::new();
    let open_port = free_port();
    let open = Running::start(names.simulator().args(ENDLESS).args([
        "--codec",
        "h264",
        "--http",
        &format!("0.0.0.0:{open_port}"),
        "--http-insecure",
    ]));
    browser.args([&format!("http://127.0.0.1:{port}"), &name]).arg(folder.path());
    let seen = seen(browser.args([&format!("http://127.0.0.1:{open_port}"), &names.shm]));
    println!("{seen:#}");
    assert!(seen["foreign"].as_array().unwrap().is_empty(), "{seen}");
    assert!(seen["state"].as_str().unwrap().contains("fps"), "{seen}");
    assert!(seen["statistics"].as_str().unwrap().contains("320x180"), "{seen}");
    assert!(seen["delay_ms"].as_f64().is_some_and(|delay| (0.0..10_000.0).contains(&delay)), "{seen}");
    assert_eq!(seen["depth"]["wrong"], 0, "{seen}");
    assert_eq!((&seen["depth"]["width"], &seen["depth"]["height"]), (&320.into(), &180.into()), "{seen}");
    assert!(seen["pointer"].as_str().unwrap().ends_with(" mm"), "{seen}");
    for switch in [
        "statistics_visible",
        "statistics_hidden",
        "palette_changes",
        "depth_ends",
        "bodies_visible",
        "bodies_painted",
        "phone_fits",
        "nothing_to_change",
    ] {
        assert_eq!(seen[switch], true, "{switch}: {seen}");
    }
    assert_eq!(seen["wall"], 2, "{seen}");
    let recorded = Path::new(seen["recorded"].as_str().unwrap());
    assert!(decoded_frames(recorded).0 >= 10, "{}", decoded_frames(recorded).1);
    for (what, value) in [("rate", "700"), ("exposure", "30"), ("range", "60")] {
        assert_eq!((&seen[what]["status"], &seen[what]["value"]), (&200.into(), &value.into()), "{what}: {seen}");
    }
    assert_eq!((&seen["refused"]["status"], &seen["refused"]["value"]), (&400.into(), &"30".into()), "{seen}");
    assert!(seen["refused"]["told"].as_str().unwrap().contains("OUT_OF_RANGE"), "{seen}");
    interrupt(streamer);
    interrupt(open);
}

/// Pictures that are read.
const PICTURES: usize = 200;
/// Bits of the time that a camera writes into its picture.
const BITS: u32 = 24;

/// A camera whose picture tells when it was captured: 30 a second, until dropped.
struct Clock {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start(names: &Names, width: u32, height: u32) -> Self {
        let address = Address::new(&names.shm, &names.endpoint(), Some("clock")).unwrap();
        let mut publisher = Publisher::create(&address, Abi::V2 { minor: 1 }).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let mut data = vec![100; (width * height * 3) as usize];
            for index in 0_u32.. {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                // Something moves, as before a camera.
                let edge = index * 8 % width;
                for row in data.chunks_exact_mut(width as usize * 3).skip(height as usize / 2) {
                    row.fill(100);
                    row[edge as usize * 3..].fill(160);
                }
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let bands = height as usize / 16;
                for (row, line) in data.chunks_exact_mut(width as usize * 3).take(2 * bands).enumerate() {
                    for (column, pixel) in line.chunks_exact_mut(3).enumerate() {
                        let bit = BITS - 1 - column as u32 * BITS / width;
                        let is_white = (now.as_millis() >> bit & 1 == 1) == (row < bands);
                        pixel.fill(if is_white { 235 } else { 16 });
                    }
                }
                let plane = PlaneImage {
                    kind: PlaneKind::Left,
                    pixel_format: PixelFormat::Bgr,
                    depth: Depth::U8,
                    width,
                    height,
                    stride: width * 3,
                    data: &data,
                };
                let frame = Frame {
                    timestamp_ns: now.as_nanos() as u64,
                    planes: &[plane],
                    depth_unit: DepthUnit::Unknown,
                    encoded: None,
                };
                publisher.publish(&frame).unwrap();
                // The camera's cadence.
                let due = Duration::from_secs(1) / 30 * (index + 1);
                thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn median(numbers: &Value) -> f64 {
    let mut numbers = numbers.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect::<Vec<_>>();
    assert!(!numbers.is_empty());
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The delay that the page tells is that of a number in the picture.
fn tells_the_delay((width, height): (u32, u32)) {
    let Some(mut browser) = browser("delay.mjs") else { return };
    let names = Names::new();
    let _camera = Clock::start(&names, width, height);
    let port = free_port();
    let mut command = names.streamer();
    command.args(["--codec", "h264", "--gop", "60", "--http", &format!("127.0.0.1:{port}")]);
    let streamer = Running::start(&mut command);
    browser
        .args([&format!("http://127.0.0.1:{port}"), &names.shm])
        .arg(names.path("browser"))
        .arg(PICTURES.to_string());
    fs::create_dir(names.path("browser")).unwrap();
    let seen = seen(&mut browser);
    let (delay, difference) = (median(&seen["delays"]), median(&seen["differences"]));
    println!("{width}x{height}: {delay:.0} ms, {difference:.1} ms beside what the page tells");
    assert_eq!((&seen["width"], &seen["height"]), (&width.into(), &height.into()), "{seen}");
    assert!(seen["delays"].as_array().unwrap().len() >= PICTURES, "{seen}");
    // A browser that is late reads the next picture.
    assert!((0.0..5_000.0).contains(&delay) && difference < 10.0, "{delay} ms, {difference} ms");
    interrupt(streamer);
}

#[test]
fn the_delay_is_that_of_a_number_in_a_small_picture() {
    tells_the_delay((640, 360));
}

#[test]
fn the_delay_is_that_of_a_number_in_a_large_picture() {
    tells_the_delay((1280, 720));
}

#[test]
fn firefox_shows_depth_and_says_why_there_is_no_picture() {
    if !Path::new(FIREFOX).exists() {
        eprintln!("SKIPPED: no {FIREFOX}; scripts/setup.sh --with-browser installs it");
        return;
    }
    let names = Names::new();
    let port = free_port();
    let mut command = names.simulator();
    command.args(ENDLESS).args(["--codec", "h264", "--dummy-depth", "--http", &format!("127.0.0.1:{port}")]);
    let streamer = Running::start(&mut command);
    let mut browser = bounded(root("target/peers/venv/bin/python"));
    browser.arg(root("tests/streamer/firefox.py")).arg(FIREFOX);
    browser.args([&format!("http://127.0.0.1:{port}"), &names.shm]).arg(names.path("profile"));
    let seen = seen(&mut browser);
    assert_eq!((&seen["tiles"], &seen["depth"]["wrong"]), (&1.into(), &0.into()), "{seen}");
    assert_eq!((&seen["depth"]["width"], &seen["depth"]["height"]), (&320.into(), &180.into()), "{seen}");
    assert_eq!(seen["recorders"], 2, "{seen}");
    // A Firefox that has fetched OpenH264 decodes the picture; one that has not is told about it.
    match seen["decodes"].as_bool().unwrap() {
        true => assert!(seen["state"].as_str().unwrap().contains("fps"), "{seen}"),
        false => assert!(seen["trouble"].as_str().unwrap().contains("OpenH264"), "{seen}"),
    }
    interrupt(streamer);
}
