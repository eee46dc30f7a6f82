//! `--rtsp`: players that come, go, break the rules or have no password. They are FFmpeg, GStreamer's `rtspsrc` and a raw socket.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::gap_counter::GapCounter;
use crate::held::{open_files, resident_kib, threads};
use crate::streamer_support::{ENDLESS, Names, Running, ffmpeg, finish, free_port, json, read_until, wait_for};
use gst::prelude::*;

/// The program, serving a camera at a port.
struct Served {
    streamer: Running,
    port: u16,
    url: String,
}

impl Served {
    fn start(names: &Names, extra: &[&str]) -> Self {
        let port = free_port();
        let rtsp = format!("127.0.0.1:{port}");
        // Without a keyframe for those who come late there would be no second one.
        let fixed = ["--gop", "100000", "--json", "--rtsp", &rtsp];
        let mut streamer = Running::start(names.simulator().args(ENDLESS).args(fixed).args(extra));
        let mut stderr = streamer.stderr();
        read_until(&mut stderr, "listening");
        read_until(&mut stderr, "encoder: ");
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let served = Self { streamer, port, url: format!("rtsp://127.0.0.1:{port}/{}", names.shm) };
        // Before the first access unit there is nothing to describe.
        wait_for("something to play", || play(&served.url, "tcp", 1).0 == Some(0));
        served
    }

    fn end(self) -> serde_json::Value {
        self.streamer.signal("-INT");
        let (status, stdout, _) = self.streamer.wait();
        assert_eq!(status, Some(0), "{stdout}");
        json(&stdout)
    }
}

fn player(url: &str, transport: &str, frames: u32) -> Command {
    let mut command = ffmpeg();
    command
        .args(["-loglevel", "error", "-timeout", "20000000", "-rtsp_transport", transport, "-i", url])
        .args(["-frames:v", &frames.to_string(), "-f", "null", "-"])
        .stdout(Stdio::piped());
    command
}

/// Exit code, and what FFmpeg complains of.
fn play(url: &str, transport: &str, frames: u32) -> (Option<i32>, String) {
    let (status, _, complaints) = finish(&mut player(url, transport, frames));
    (status, complaints)
}

/// Pictures that `rtspsrc` and a decoder give.
fn play_with_gstreamer(url: &str, codec: &str, pictures: u32) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={url} latency=0 ! rtp{codec}depay ! {codec}parse ! avdec_{codec} ! \
         identity eos-after={pictures} ! fakesink"
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.map(|end| end.type_()), Some(gst::MessageType::Eos), "{url}");
}

#[test]
fn players_come_at_any_time_by_tcp_and_udp() {
    for codec in ["h264", "h265"] {
        let names = Names::new();
        let served = Served::start(&names, &["--codec", codec]);
        for transport in ["tcp", "udp", "tcp"] {
            assert_eq!(play(&served.url, transport, 30), (Some(0), String::new()), "{codec} {transport}");
        }
        play_with_gstreamer(&served.url, codec, 30);
        let summary = served.end();
        let rtsp = &summary["outputs"]["rtsp"];
        assert!(rtsp["connects"].as_u64().unwrap() >= 5 && rtsp["sent"].as_u64().unwrap() > 60, "{summary}");
    }
}

#[test]
fn twenty_watch_at_once() {
    let names = Names::new();
    let served = Served::start(&names, &["--codec", "h264"]);
    let transport = |index| if index % 2 == 0 { "tcp" } else { "udp" };
    let players =
        (0..20).map(|index| Running::start(&mut player(&served.url, transport(index), 60))).collect::<Vec<_>>();
    for (index, player) in players.into_iter().enumerate() {
        let (status, _, complaints) = player.wait();
        assert_eq!((status, complaints.as_str()), (Some(0), ""), "player {index}");
    }
    served.end();
}

#[test]
fn rude_players_leave_nothing_behind_and_disturb_nobody() {
    let names = Names::new();
    let receiver = GapCounter::start();
    let served = Served::start(&names, &["--codec", "h264", "--rtp", "--rtp-endpoint", &receiver.endpoint()]);
    let (open, threads) = (open_files(&served.streamer), threads(&served.streamer));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/rude_players.py");
    let path = format!("/{}", names.shm);
    let mut memory = Vec::new();
    for _ in 0..2 {
        let mut rude = Command::new("python3");
        rude.args([script, &served.port.to_string(), &path])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (status, stdout, complaints) = finish(&mut rude);
        assert_eq!((status, stdout.as_str()), (Some(0), "survived\n"), "{complaints}");
        assert_eq!(play(&served.url, "tcp", 30), (Some(0), String::new()));
        wait_for("everything closed", || {
            open_files(&served.streamer) <= open + 2 && self::threads(&served.streamer) <= threads + 2
        });
        memory.push(resident_kib(&served.streamer));
    }
    println!("memory after each round, in KiB: {memory:?}");
    assert!(memory[1] < memory[0] + 8 * 1024, "{memory:?}");
    let summary = served.end();
    assert_eq!(summary["outputs"]["rtp"]["dropped"], 0, "{summary}");
    assert_eq!(summary["outputs"]["rtp"]["sent"], summary["encoded"], "{summary}");
    let (packets, gaps) = receiver.end();
    assert!(packets > 100 && gaps == 0, "{gaps} gaps in {packets} packets");
}

#[test]
fn those_who_know_the_password_watch() {
    let names = Names::new();
    let file = names.path("password");
    fs::write(&file, "s3same open\n").unwrap();
    let login = ["--codec", "h264", "--rtsp-user", "anna", "--rtsp-password-file", file.to_str().unwrap()];
    let port = free_port();
    let rtsp = format!("127.0.0.1:{port}");
    let mut streamer =
        Running::start(names.simulator().args(ENDLESS).args(login).args(["--gop", "100000", "--rtsp", &rtsp]));
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    let url = |login: &str| format!("rtsp://{login}127.0.0.1:{port}/{}", names.shm);
    wait_for("a login", || play(&url("anna:s3same%20open@"), "tcp", 10).0 == Some(0));
    for wrong in ["", "anna:wrong@", "bert:s3same%20open@", "anna:@"] {
        let (status, complaints) = play(&url(wrong), "tcp", 10);
        assert!(status != Some(0) && complaints.contains("401"), "{wrong}: {complaints}");
    }
    streamer.signal("-INT");
    let (status, stdout, rest) = streamer.wait();
    assert_eq!(status, Some(0));
    assert!(!(stdout + &rest).contains("s3same"));
}

#[test]
fn an_open_address_needs_a_password() {
    let names = Names::new();
    let with = |extra: &[&str]| finish(names.streamer().args(["--codec", "h264"]).args(extra));
    let (status, _, stderr) = with(&["--rtsp", "0.0.0.0:8554"]);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("--rtsp-user") && stderr.lines().count() == 1, "{stderr}");
    let (status, _, stderr) = with(&["--rtsp", "8554"]);
    assert_eq!(status, Some(1), "{stderr}");
    let nothing = names.path("nothing");
    let login = ["--rtsp", ":8554", "--rtsp-user", "anna", "--rtsp-password-file", nothing.to_str().unwrap()];
    let (status, _, stderr) = with(&login);
    assert_eq!(status, Some(2), "{stderr}");
}
