//! `--srt-url`: receivers that are called, receivers that call, and networks that lose packets. The other side is GStreamer's
//! `srtsrc` and FFmpeg.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::gap_counter::GapCounter;
use crate::held::{open_files, resident_kib, threads};
use crate::streamer_support::{ENDLESS, Names, Running, ffmpeg, finish, free_port, json, read_until, wait_for};
use gst::prelude::*;

const PASSPHRASE: &str = "open-sesame";

/// A stock receiver that decodes what comes.
struct Receiver {
    pipeline: gst::Pipeline,
    pictures: Arc<AtomicU64>,
}

impl Receiver {
    fn start(uri: &str, codec: &str) -> Self {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "srtsrc name=source uri=\"{uri}\" ! tsdemux ! {codec}parse ! avdec_{codec} ! appsink name=sink sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let pictures = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&pictures);
        let take = move |sink: &gst_app::AppSink| {
            sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        };
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, pictures }
    }

    fn wait_pictures(&self, count: u64) {
        wait_for(&format!("picture {count}"), || self.pictures.load(Ordering::Relaxed) >= count);
    }

    /// Ends the input, so that the decoder gives what it holds, and counts.
    fn total(&self) -> u64 {
        self.pipeline.by_name("source").unwrap().send_event(gst::event::Eos::new());
        let ended = [gst::MessageType::Eos, gst::MessageType::Error];
        self.pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ended).expect("an end");
        self.pictures.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A network that loses one datagram in so many.
struct Relay {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Relay {
    fn before(port: u16, one_in: u32) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/lossy_relay.py");
        let mut process = Command::new("python3")
            .args([script, &port.to_string(), &one_in.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        Self { process, lines, port: line.trim().parse().unwrap() }
    }

    /// Datagrams that it took, and lost.
    fn end(mut self) -> (u64, u64) {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        let (taken, lost) = text.trim().split_once(' ').unwrap();
        (taken.parse().unwrap(), lost.parse().unwrap())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_picture_arrives_though_one_datagram_in_fifty_is_lost() {
    for codec in ["h264", "h265"] {
        let names = Names::new();
        let port = free_port();
        let receiver = Receiver::start(&format!("srt://127.0.0.1:{port}?mode=listener&latency=500"), codec);
        let relay = Relay::before(port, 50);
        let url = format!("srt://127.0.0.1:{}?latency=500", relay.port);
        let streamer = Running::start(names.simulator().args(["--dummy-frames", "240", "--dummy-fps", "60"]).args([
            "--codec",
            codec,
            "--json",
            "--srt-url",
            &url,
        ]));
        let (status, stdout, stderr) = streamer.wait();
        assert_eq!(status, Some(0), "{stderr}");
        let summary = json(&stdout);
        let srt = &summary["outputs"]["srt"];
        let sent = srt["sent"].as_u64().unwrap();
        assert!(sent > 200 && srt["connects"] == 1, "{summary}");
        receiver.wait_pictures(sent - 1);
        assert_eq!(receiver.total(), sent, "{codec}");
        let (taken, lost) = relay.end();
        assert!(lost >= 10 && lost * 60 > taken, "{lost} of {taken}");
    }
}

#[test]
fn receivers_call_in_the_middle_and_only_with_the_passphrase() {
    let names = Names::new();
    let port = free_port();
    let url = format!("srt://:{port}?mode=listener&passphrase={PASSPHRASE}");
    let mut streamer = Running::start(
        // Without a keyframe for those who come late there would be no second one.
        names.simulator().args(ENDLESS).args(["--codec", "h264", "--gop", "100000", "--json", "--srt-url", &url]),
    );
    let mut stderr = streamer.stderr();
    let line = read_until(&mut stderr, ": publishing");
    assert!(line.contains("passphrase=***") && !line.contains(PASSPHRASE), "{line}");
    let call = |words: &str| format!("srt://127.0.0.1:{port}?passphrase={words}");
    for _ in 0..2 {
        Receiver::start(&call(PASSPHRASE), "h264").wait_pictures(30);
    }
    let file = names.path("called.ts");
    let record = |passphrase: &str| {
        let mut command = ffmpeg();
        command.args(["-loglevel", "error", "-i", &call(passphrase), "-frames:v", "30", "-c", "copy", "-y"]).arg(&file);
        finish(&mut command)
    };
    let (status, _, complaints) = record("wrong-sesame");
    assert!(status != Some(0) && !file.exists(), "{complaints}");
    let (status, _, complaints) = record(PASSPHRASE);
    assert_eq!(status, Some(0), "{complaints}");
    let open = std::fs::read_to_string("/proc/net/udp").unwrap();
    assert!(open.contains(&format!(" 0100007F:{port:04X} ")), "not on this machine alone: {open}");
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0));
    assert_eq!(json(&stdout)["outputs"]["srt"]["dropped"], 0);
}

#[test]
fn a_receiver_that_comes_late_and_again_is_called_until_it_is_there() {
    let names = Names::new();
    let port = free_port();
    let url = format!("srt://127.0.0.1:{port}?passphrase={PASSPHRASE}");
    let rtmp_like = ["--codec", "h264", "--json", "--srt-url", &url];
    let mut streamer = Running::start(names.simulator().args(ENDLESS).args(rtmp_like));
    let mut stderr = streamer.stderr();
    let line = read_until(&mut stderr, "trying again");
    assert!(line.contains("nobody seems to listen there") && !line.contains(PASSPHRASE), "{line}");
    {
        let _other = Receiver::start(&format!("srt://127.0.0.1:{port}?mode=listener&passphrase=wrong-sesame"), "h264");
        let line = read_until(&mut stderr, "somebody listens there");
        assert!(line.contains("same passphrase?") && !line.contains(PASSPHRASE), "{line}");
    }
    for _ in 0..2 {
        let uri = format!("srt://127.0.0.1:{port}?mode=listener&passphrase={PASSPHRASE}");
        Receiver::start(&uri, "h264").wait_pictures(20);
    }
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0));
    assert!(json(&stdout)["outputs"]["srt"]["connects"].as_u64().unwrap() >= 2, "{stdout}");
}

#[test]
fn a_port_that_is_taken_ends_the_run() {
    let names = Names::new();
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("srt://:{}?mode=listener", taken.local_addr().unwrap().port());
    let (status, _, stderr) = finish(names.simulator().args(ENDLESS).args(["--codec", "h264", "--srt-url", &url]));
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("SRT at srt://:"), "{stderr}");
}

#[test]
fn urls_that_are_none_are_refused_without_their_secrets() {
    let names = Names::new();
    for (url, word) in [
        ("srt://127.0.0.1?passphrase=open-sesame", "srt://HOST:PORT"),
        ("srt://127.0.0.1:9000?passphrase=sesame", "10 to 79"),
        ("srt://127.0.0.1:9000?mode=both&passphrase=open-sesame", "caller nor listener"),
    ] {
        let (status, stdout, stderr) = finish(names.streamer().args(["--codec", "h264", "--srt-url", url]));
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(word) && !stderr.contains("sesame"), "{stderr}");
    }
}

#[test]
fn handshakes_that_never_end_leave_nothing_behind_and_disturb_nobody() {
    let names = Names::new();
    let (port, beside) = (free_port(), GapCounter::start());
    let url = format!("srt://:{port}?mode=listener");
    let mut streamer = Running::start(
        names.simulator().args(ENDLESS).args(["--codec", "h264", "--gop", "30", "--json", "--srt-url", &url]).args([
            "--rtp",
            "--rtp-endpoint",
            &beside.endpoint(),
        ]),
    );
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, ": publishing");
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let call = format!("srt://127.0.0.1:{port}");
    Receiver::start(&call, "h264").wait_pictures(10);
    let (open, busy) = (open_files(&streamer), threads(&streamer));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/rude_callers.py");
    let mut memory = Vec::new();
    for _ in 0..2 {
        let mut rude = Command::new("python3");
        rude.args([script, &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (status, stdout, complaints) = finish(&mut rude);
        assert_eq!((status, stdout.as_str()), (Some(0), "survived\n"), "{complaints}");
        Receiver::start(&call, "h264").wait_pictures(10);
        wait_for("everything closed", || open_files(&streamer) <= open + 1 && threads(&streamer) <= busy + 1);
        memory.push(resident_kib(&streamer));
    }
    println!("memory after each round, in KiB: {memory:?}");
    assert!(memory[1] < memory[0] + 8 * 1024, "{memory:?}");
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0));
    let summary = json(&stdout);
    assert_eq!(summary["outputs"]["rtp"]["sent"], summary["encoded"], "{summary}");
    let (packets, gaps) = beside.end();
    assert!(packets > 50 && gaps == 0, "{gaps} gaps in {packets} packets");
}
