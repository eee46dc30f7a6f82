//! What receivers that are not ours see while the producer is away, and when it is back.
//!
//! Longer than other files: the cases share the watcher that judges all of them.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cvmmap::Codec;
use gst::prelude::*;
use serde_json::Value;

use crate::encoding_camera::{Camera, Pace, Shot, Unit, encode};
use crate::many_support::curl;
use crate::recorder_support::{decoded_frames, read_mcap};
use crate::streamer_support::{
    ENDLESS, Names, PATIENCE, RtmpServer, Running, ffmpeg, finish, free_port, json, read_until, run_strict_server,
    wait_for,
};

const SIZE: (u32, u32) = (320, 180);
const FPS: u32 = 30;
/// Two thirds of a second: nobody can ask a producer for a keyframe.
const GOP: u32 = 20;
/// The producer is away after a second; the rest is a loaded machine's.
const SILENCE_MAX: Duration = Duration::from_secs(3);
const BACK_MAX: Duration = Duration::from_secs(1);
/// From a camera's start to its first frame.
const WARM_UP: Duration = Duration::from_millis(300);

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    /// Luma of the corner, of the middle, of the middle's left edge, and the lightest of the lower half.
    corner: u8,
    middle: u8,
    edge: u8,
    lightest: u8,
}

/// A stock GStreamer receiver, behind a plain socket that looks at every packet.
struct Watcher {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// SSRC and timestamp of each packet.
    packets: Arc<Mutex<Vec<(u32, u32)>>>,
    complaints: Arc<Mutex<Vec<String>>>,
    pipeline: gst::Pipeline,
    ended: Arc<AtomicBool>,
    relay: Option<JoinHandle<()>>,
}

impl Watcher {
    fn start(codec: &str) -> Self {
        gst::init().unwrap();
        let encoding = codec.to_uppercase();
        let pipeline = gst::parse::launch(&format!(
            "appsrc name=source is-live=true format=time do-timestamp=true \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding} ! rtp{codec}depay ! \
             {codec}parse ! avdec_{codec} ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let (seen, complaints) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let all = Arc::clone(&seen);
        let look = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
            let map = sample.buffer().unwrap().map_readable().unwrap();
            let lightest = map[width * height / 2..width * height].iter().max().unwrap();
            let (middle, edge) = (map[height / 2 * width + width / 2], map[height / 2 * width]);
            all.lock().unwrap().push(Seen { at: Instant::now(), corner: map[0], middle, edge, lightest: *lightest });
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(look).build());
        let told = Arc::clone(&complaints);
        pipeline.bus().unwrap().set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Error(error) => told.lock().unwrap().push(error.error().to_string()),
                gst::MessageView::Warning(warning) => told.lock().unwrap().push(warning.error().to_string()),
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (packets, ended) = (Arc::<Mutex<Vec<(u32, u32)>>>::default(), Arc::new(AtomicBool::new(false)));
        let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let (log, until) = (Arc::clone(&packets), Arc::clone(&ended));
        let relay = thread::spawn(move || {
            let mut packet = [0; 2048];
            while !until.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut packet) else { continue };
                let [time, source_id] = [4, 8].map(|at| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap()));
                log.lock().unwrap().push((source_id, time));
                let _ = source.push_buffer(gst::Buffer::from_slice(packet[..length].to_vec()));
            }
        });
        Self { port, seen, packets, complaints, pipeline, ended, relay: Some(relay) }
    }

    fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn wait_total(&self, total: usize) {
        wait_for("pictures", || self.seen.lock().unwrap().len() >= total);
    }

    fn wait_more(&self, more: usize) {
        self.wait_total(self.seen().len() + more);
    }

    /// Since then, pictures that look so.
    fn wait_like(&self, since: Instant, more: usize, like: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen().iter().filter(|seen| seen.at > since && like(seen)).count() < more {
            assert!(Instant::now() < deadline, "no pictures that look so; the last one: {:?}", self.seen().last());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// One source, times that rise, no complaint, and no pause that is longer than the wait for the slate.
    /// When pictures came thick and fast again.
    fn live_since(&self, since: Instant) -> Instant {
        let seen = self.seen();
        let is_live = |five: &[Seen]| five[0].at > since && five[4].at - five[0].at < Duration::from_millis(350);
        seen.windows(5).find(|five| is_live(five)).expect("it is live")[0].at
    }

    fn judge(&self) {
        let packets = self.packets.lock().unwrap().clone();
        assert!(packets.iter().all(|(source, _)| *source == packets[0].0), "another SSRC");
        let rises = |pair: &[(u32, u32)]| pair[1].1.wrapping_sub(pair[0].1).cast_signed() >= 0;
        assert!(packets.windows(2).all(rises), "time went back");
        assert_eq!(self.complaints.lock().unwrap().clone(), [] as [&str; 0]);
        let seen = self.seen();
        let longest = seen.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
        assert!(longest < SILENCE_MAX, "{longest:?}");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.relay.take().unwrap().join();
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A camera of one grey, or of access units, until it is dropped.
struct Loop {
    ended: Arc<AtomicBool>,
    /// Nothing is published.
    paused: Arc<AtomicBool>,
    thread: Option<JoinHandle<Instant>>,
}

impl Loop {
    fn start(names: &Names, grey: u8, units: Option<(Codec, Arc<Vec<Unit>>)>) -> Self {
        Self::start_after(Duration::ZERO, names, grey, units)
    }

    /// Publishes its first frame so long after it can be connected to.
    fn start_after(warm_up: Duration, names: &Names, grey: u8, units: Option<(Codec, Arc<Vec<Unit>>)>) -> Self {
        let mut camera = Camera::start(names);
        let (ended, paused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (until, while_paused) = (Arc::clone(&ended), Arc::clone(&paused));
        let thread = thread::spawn(move || {
            thread::sleep(warm_up);
            let (mut pace, begun) = (Pace::new(FPS), Instant::now());
            let mut frame_id = 0_u32;
            while !until.load(Ordering::Relaxed) {
                let timestamp_ns = pace.next();
                if while_paused.load(Ordering::Relaxed) {
                    continue;
                }
                let unit = units.as_ref().map(|(codec, units)| (*codec, &units[frame_id as usize % units.len()]));
                let picture = if unit.is_some() { (90, 64, 36) } else { (grey, SIZE.0, SIZE.1) };
                camera.publish(Shot { picture, unit, frame_id, timestamp_ns });
                frame_id += 1;
            }
            begun
        });
        Self { ended, paused, thread: Some(thread) }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn decoded(file: &Path) -> String {
    let output = ffmpeg()
        .args(["-loglevel", "error", "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "null", "-"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn state(port: u16) -> Value {
    let (_, body) = curl(&format!("http://127.0.0.1:{port}/api/cameras"), &[]);
    serde_json::from_str::<Value>(&body).map_or(Value::Null, |told| told[0]["state"].clone())
}

#[test]
fn a_killed_producer_costs_no_session_and_no_recording() {
    let names = Names::new();
    let (watcher, lenient, dump) = (Watcher::start("h264"), RtmpServer::start(&names), names.path("strict.flv"));
    let (strict, strict_url) = run_strict_server("h264", &["--dump", dump.to_str().unwrap()]);
    let (mcap, mp4, port) = (names.path("a.mcap"), names.path("a.mp4"), free_port());
    let camera = || Running::start(names.simulator().args(ENDLESS).stdout(Stdio::null()).stderr(Stdio::null()));
    let first = camera();
    let mut streamer = Running::start(
        names
            .streamer()
            .args(["--codec", "h264", "--slate", "freeze", "--json", "--rtp", "--rtp-endpoint", &watcher.endpoint()])
            .args(["--rtmp", "--rtmp-url", &strict_url, "--rtmp-url", &lenient.url()])
            .args(["--http", &format!("127.0.0.1:{port}"), "--mcap"])
            .arg(&mcap)
            .arg("--mp4")
            .arg(&mp4),
    );
    let mut talk = streamer.stderr();
    watcher.wait_total(60);
    first.kill();
    let away = Instant::now();
    let line = read_until(&mut talk, "slate: no signal since ");
    let told = line.split("since ").nth(1).unwrap()[..8].to_owned();
    let local = |seconds: i64| {
        let time = gst::glib::DateTime::now_local().unwrap().add_seconds(seconds as f64).unwrap();
        String::from(time.format("%H:%M:%S").unwrap())
    };
    assert!((-4..=0).any(|ago| local(ago) == told), "{line}");
    wait_for("the state", || state(port) == "slate");
    let (_, metrics) = curl(&format!("http://127.0.0.1:{port}/metrics"), &[]);
    assert!(metrics.lines().any(|line| line.starts_with("cvmmap_slate_shown{") && line.ends_with(" 1.0")), "{metrics}");
    // Ten seconds, five pictures in each.
    let frozen = |since: Instant| watcher.seen().iter().filter(|seen| seen.at > since).count();
    let from = Instant::now();
    wait_for("pictures of a slate", || away.elapsed() > Duration::from_secs(10));
    let (pictures, seconds) = (frozen(from) as f64, from.elapsed().as_secs_f64());
    assert!((3.5..5.6).contains(&(pictures / seconds)), "{pictures} in {seconds} s");
    assert!(watcher.seen().last().unwrap().lightest > 220, "{:?}", watcher.seen().last());
    let second = camera();
    read_until(&mut talk, "slate: the producer is back");
    watcher.wait_more(60);
    wait_for("the state", || state(port) == "running");

    streamer.signal("-INT");
    second.signal("-TERM");
    assert_eq!(second.wait().0, Some(0));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut talk, &mut rest).unwrap();
    assert!(!rest.contains("slate") && !rest.contains("encoder:"), "{rest}");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{rest}");
    let summary = json(&stdout);
    let pictures = summary["slate"]["pictures"].as_u64().unwrap();
    assert!((35..=55).contains(&pictures), "{summary}");
    assert_eq!((&summary["slate"]["times"], &summary["slate"]["shown"]), (&1.into(), &false.into()));
    for output in ["rtmp", "rtmp-2"] {
        assert_eq!(summary["outputs"][output]["connects"], 1, "{summary}");
    }
    watcher.judge();
    let (status, report, complaints) = strict.wait();
    assert_eq!(status, Some(0), "{complaints}");
    // The same parameter sets throughout.
    assert_eq!(json(&report)["sequence_headers"].as_u64().unwrap_or(1), 1, "{report}");
    assert_eq!(decoded(&dump), "");
    let sent = summary["outputs"]["rtmp-2"]["sent"].as_u64().unwrap();
    assert_eq!(lenient.decoded(), (sent, String::new()));

    let recorded = read_mcap(&mcap);
    let times = recorded["video"].as_array().unwrap().iter().map(|unit| unit["log_time"].as_u64().unwrap());
    let times = times.collect::<Vec<_>>();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "times rise");
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(u128::from(longest) < SILENCE_MAX.as_nanos(), "{longest}");
    assert_eq!(decoded_frames(&mp4), (times.len() as u64, String::new()));
}

/// Pictures on their way through an encoder lose a little.
fn near(value: u8, expected: u8) -> bool {
    value.abs_diff(expected) < 12
}

#[test]
fn the_slate_is_what_was_asked_for() {
    let names = Names::new();
    let image = names.path("logo.png");
    // White, and square: the picture is not.
    let mut file = fs::File::create(&image).unwrap();
    let mut encoder = png::Encoder::new(&mut file, 64, 64);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[255; 64 * 64]).unwrap();
    // The camera's grey 200 is 188 of 16 to 235.
    for (slate, corner, middle, edge) in
        [("freeze", 84, 84, 84), ("black", 16, 16, 16), (image.to_str().unwrap(), 16, 235, 16)]
    {
        let watcher = Watcher::start("h264");
        let camera = Loop::start(&names, 200, None);
        let streamer = Running::start(
            names.streamer().args(["--codec", "h264", "--input-video-source", "raw", "--slate", slate]).args([
                "--rtp",
                "--rtp-endpoint",
                &watcher.endpoint(),
            ]),
        );
        watcher.wait_total(40);
        assert!(watcher.seen().iter().all(|seen| near(seen.corner, 188) && near(seen.lightest, 188)));
        drop(camera);
        let away = Instant::now();
        let like = |seen: &Seen| near(seen.corner, corner) && near(seen.middle, middle) && near(seen.edge, edge);
        watcher.wait_like(away, 5, |seen| like(seen) && seen.lightest > 200);
        let back = Instant::now();
        let _camera = Loop::start(&names, 200, None);
        watcher.wait_like(back, 20, |seen| near(seen.corner, 188));
        let first = watcher.seen().into_iter().find(|seen| seen.at > back && near(seen.corner, 188)).unwrap();
        assert!(first.at - back < BACK_MAX, "{slate}: back after {:?}", first.at - back);
        eprintln!("{slate}: back after {:?}", first.at - back);
        watcher.judge();
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

fn access_units_are_followed_by_a_slate(name: &str, codec: Codec, slate: &str) {
    let names = Names::new();
    let (watcher, dump) = (Watcher::start(name), names.path("strict.flv"));
    let (strict, url) = {
        let mode = if codec == Codec::H264 { "h264" } else { "h265-enhanced" };
        run_strict_server(mode, &["--dump", dump.to_str().unwrap()])
    };
    let units = Arc::new(encode(codec, SIZE, FPS * 2, GOP));
    let start = || Loop::start(&names, 0, Some((codec, Arc::clone(&units))));
    let camera = start();
    let mut streamer = Running::start(
        names.streamer().args(["--slate", slate, "--json", "--rtp", "--rtp-endpoint", &watcher.endpoint()]).args([
            "--rtmp",
            "--rtmp-mode",
            "enhanced",
            "--rtmp-url",
            &url,
        ]),
    );
    let mut talk = streamer.stderr();
    watcher.wait_total(40);
    drop(camera);
    let away = Instant::now();
    watcher.wait_like(away, 8, |seen| seen.lightest > 200);
    let back = Instant::now();
    let camera = start();
    read_until(&mut talk, "slate: the producer is back");
    watcher.wait_more(40);
    let first = watcher.live_since(back) - back;
    eprintln!("{name} {slate}: back after {first:?}");
    assert!(first < BACK_MAX, "back after {first:?}");

    // It stands still in the middle of a group of pictures: what comes then is of no use before the next keyframe.
    camera.paused.store(true, Ordering::Relaxed);
    read_until(&mut talk, "slate: no signal");
    watcher.wait_more(5);
    camera.paused.store(false, Ordering::Relaxed);
    read_until(&mut talk, "slate: the producer is back");
    watcher.wait_more(60);
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{stdout}");
    let summary = json(&stdout);
    assert_eq!((&summary["slate"]["times"], &summary["encoder"]), (&2.into(), &"passthrough".into()), "{summary}");
    assert_eq!(summary["outputs"]["rtmp"]["connects"], 1, "{summary}");
    watcher.judge();
    let (status, _, complaints) = strict.wait();
    assert_eq!(status, Some(0), "{complaints}");
    assert_eq!(decoded(&dump), "");
}

#[test]
fn h264_access_units_are_followed_by_their_last_picture() {
    access_units_are_followed_by_a_slate("h264", Codec::H264, "freeze");
}

#[test]
fn h265_access_units_are_followed_by_black() {
    access_units_are_followed_by_a_slate("h265", Codec::H265, "black");
}

/// A camera takes a while to its first frame, which is a keyframe: nobody has to wait for the one behind it.
#[test]
fn long_groups_of_pictures_are_live_at_once_behind_a_slate() {
    let names = Names::new();
    let watcher = Watcher::start("h264");
    let units = Arc::new(encode(Codec::H264, SIZE, FPS * 20, FPS * 20));
    let start = || Loop::start_after(WARM_UP, &names, 0, Some((Codec::H264, Arc::clone(&units))));
    let camera = start();
    let mut streamer = Running::start(names.streamer().args([
        "--slate",
        "freeze",
        "--json",
        "--rtp",
        "--rtp-endpoint",
        &watcher.endpoint(),
    ]));
    let mut talk = streamer.stderr();
    watcher.wait_total(40);
    drop(camera);
    let away = Instant::now();
    watcher.wait_like(away, 8, |seen| seen.lightest > 200);
    let back = Instant::now() + WARM_UP;
    let _camera = start();
    read_until(&mut talk, "slate: the producer is back");
    watcher.wait_more(40);
    let first = watcher.live_since(back).saturating_duration_since(back);
    eprintln!("long groups: back after {first:?}");
    assert!(first < BACK_MAX, "back after {first:?}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
    watcher.judge();
}

#[test]
fn a_slow_producer_is_not_away() {
    let names = Names::new();
    let watcher = Watcher::start("h264");
    let streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(["--dummy-fps", "1", "--codec", "h264", "--slate", "black", "--json", "--rtp", "--rtp-endpoint"])
            .arg(watcher.endpoint()),
    );
    watcher.wait_total(6);
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(json(&stdout)["slate"]["pictures"], 0, "{stdout} {stderr}");
}

#[test]
fn an_image_that_is_none_is_told_before_anything_runs() {
    let names = Names::new();
    let file = names.path("none.png");
    for slate in ["/nowhere.png", file.to_str().unwrap()] {
        fs::write(&file, "no picture").unwrap();
        let (status, stdout, stderr) = finish(names.streamer().args(["--codec", "h264", "--slate", slate]));
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(&format!("--slate {slate}: ")), "{stderr}");
    }
}
