//! The time of capture arrives by every way out: read by Python and FFmpeg, compared with what the camera published.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::UNIX_EPOCH,
};

use crate::browser_support::Player;
use crate::recorder_support::{Camera, decoded_frames, read_mcap};
use crate::streamer_support::{
    Names, RtmpServer, RtpReceiver, Running, ffmpeg, finish, free_port, json, read_until, wait_for,
};

const MILLISECOND: u64 = 1_000_000;

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/times.py"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

fn times(text: &str) -> Vec<u64> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A Python program that receives.
struct Listener {
    process: Child,
    lines: BufReader<ChildStdout>,
    /// What it said first.
    first: String,
}

impl Listener {
    fn start(arguments: &[&str]) -> Self {
        let mut process = script(arguments).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        Self { process, lines, first: first.trim().to_owned() }
    }

    fn times(mut self) -> Vec<u64> {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        assert!(self.process.wait().unwrap().success());
        times(&text)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Times in the bit stream of a file.
fn times_in(file: &Path, codec: &str) -> Vec<u64> {
    let stream = file.with_extension(format!("extracted.{codec}"));
    let format = if codec == "h264" { "h264" } else { "hevc" };
    let (status, _, complaints) = finish(
        ffmpeg()
            .args(["-loglevel", "error", "-i"])
            .arg(file)
            .args(["-map", "0:v:0", "-c", "copy", "-f", format, "-y"])
            .arg(&stream),
    );
    assert_eq!(status, Some(0), "{}: {complaints}", file.display());
    units_in(&stream)
}

fn units_in(stream: &Path) -> Vec<u64> {
    let output = script(&["units", stream.to_str().unwrap()]).output().unwrap();
    times(&String::from_utf8(output.stdout).unwrap())
}

/// What `abs-capture-time` says of pictures that a viewer gets by WebRTC.
fn times_shown(port: u16, camera: &str, count: usize) -> Vec<u64> {
    let mut times = Vec::new();
    Player::start(port, camera).play(|picture| {
        let time = picture.ext_vals.abs_capture_time.map(|told| told.capture_time.duration_since(UNIX_EPOCH).unwrap());
        times.extend(time.map(|time| u64::try_from(time.as_nanos()).unwrap()));
        times.len() >= count
    });
    times
}

fn all_ways(codec: &str) {
    let names = Names::new();
    let camera = Camera::start(&names.shm, &names.endpoint());
    let rtp = Listener::start(&["rtp"]);
    let rtmp = RtmpServer::start(&names);
    let srt_port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let srt_file = names.path("srt.mkv");
    let srt = Running::start(
        ffmpeg()
            .args(["-loglevel", "error", "-i", &format!("srt://127.0.0.1:{srt_port}?mode=listener")])
            .args(["-c", "copy", "-flush_packets", "1", "-y"])
            .arg(&srt_file),
    );
    let [rtsp_port, http_port] = [free_port(), free_port()];
    let [mp4, mcap, rtsp_file] = ["a.mp4", "a.mcap", "rtsp.mkv"].map(|name| names.path(name));
    let mut streamer = Running::start(
        names
            .streamer()
            .args(["--codec", codec, "--input-video-source", "raw", "--gop", "10", "--json", "--timestamp-sei"])
            .args(["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{}", rtp.first), "--rtp-capture-time"])
            .args(["--rtmp", "--rtmp-url", &rtmp.url()])
            .args(if codec == "h265" { &["--rtmp-mode", "enhanced"][..] } else { &[] })
            .args(["--srt-url", &format!("srt://127.0.0.1:{srt_port}"), "--rtsp", &format!("127.0.0.1:{rtsp_port}")])
            .args(["--http", &format!("127.0.0.1:{http_port}"), "--mp4"])
            .arg(&mp4)
            .arg("--mcap")
            .arg(&mcap),
    );
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let url = format!("rtsp://127.0.0.1:{rtsp_port}/{}", names.shm);
    wait_for("RTSP", || {
        let mut player = ffmpeg();
        player.args([
            "-loglevel",
            "error",
            "-rtsp_transport",
            "tcp",
            "-i",
            &url,
            "-frames:v",
            "30",
            "-c",
            "copy",
            "-y",
        ]);
        finish(player.arg(&rtsp_file)).0 == Some(0)
    });
    wait_for("SRT", || srt_file.metadata().is_ok_and(|file| file.len() > 8192));
    rtmp.wait_frames();
    let shown = times_shown(http_port, &names.shm, 30);
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{stdout}");
    let rtmp_file = rtmp.file.clone();
    rtmp.process.wait();
    srt.wait();

    let published = camera.published().iter().map(|frame| frame.timestamp_ns).collect::<BTreeSet<_>>();
    let read = read_mcap(&mcap);
    let logged = read["video"].as_array().unwrap().iter().map(|video| video["timestamp"].as_u64().unwrap());
    let logged = logged.collect::<Vec<_>>();
    for (way, found) in [
        ("MCAP, its own field", logged.clone()),
        ("MCAP", units_in(&mcap.with_file_name("a.mcap.video"))),
        ("MP4", times_in(&mp4, codec)),
        ("FLV", times_in(&rtmp_file, codec)),
        ("SRT", times_in(&srt_file, codec)),
        ("RTSP", times_in(&rtsp_file, codec)),
        ("RTP", rtp.times()),
        ("WebRTC", shown),
    ] {
        assert!(found.len() >= 20, "{codec}, {way}: {} times", found.len());
        for time in found {
            let near = published.range(time.saturating_sub(MILLISECOND)..=time + MILLISECOND).count();
            assert!(near > 0, "{codec}, {way}: {time} was not published");
        }
    }
    assert_eq!(units_in(&mcap.with_file_name("a.mcap.video")), logged, "{codec}");
}

#[test]
fn every_way_out_tells_when_h264_was_captured() {
    all_ways("h264");
}

#[test]
fn every_way_out_tells_when_h265_was_captured() {
    all_ways("h265");
}

#[test]
fn sender_reports_tell_when_pictures_were_captured() {
    let names = Names::new();
    let camera = Camera::start(&names.shm, &names.endpoint());
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let reports = Listener::start(&["reports", &port.to_string(), "60"]);
    let sdp = names.path("a.sdp");
    let endpoint = format!("127.0.0.1:{port}");
    let mut streamer = names.streamer();
    streamer
        .args(["--codec", "h264", "--input-video-source", "raw", "--ingest-max-frames", "90", "--json"])
        .args(["--rtp", "--rtp-endpoint", &endpoint, "--rtp-sdp"])
        .arg(&sdp);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    let sent = json(&stdout)["outputs"]["rtp"]["sent"].as_u64().unwrap();
    let found = reports.times();
    assert_eq!(found.len() as u64, sent);
    let published = camera.published().iter().map(|frame| frame.timestamp_ns).collect::<BTreeSet<_>>();
    for time in found {
        assert!(published.range(time - MILLISECOND..=time + MILLISECOND).count() > 0, "{time} was not published");
    }
    let sdp = std::fs::read_to_string(sdp).unwrap();
    assert!(sdp.contains(&format!("a=rtcp:{}\r\n", port + 1)) && sdp.contains("a=ts-refclk:local\r\n"), "{sdp}");
}

#[test]
fn what_a_camera_encodes_itself_tells_it_too() {
    let names = Names::new();
    let camera = Camera::start(&names.shm, &names.endpoint());
    let mp4 = names.path("a.mp4");
    let mut streamer = names.streamer();
    streamer
        .args(["--input-video-source", "encoded", "--ingest-max-frames", "40", "--timestamp-sei", "--mp4"])
        .arg(&mp4);
    let (status, _, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    let found = times_in(&mp4, "h264");
    let published = camera.published().iter().map(|frame| frame.timestamp_ns).collect::<BTreeSet<_>>();
    assert!(found.len() >= 30 && found.iter().all(|time| published.contains(time)), "{found:?}");
    let (frames, complaints) = decoded_frames(&mp4);
    assert_eq!((frames, complaints.as_str()), (found.len() as u64, ""));
    let shown = Command::new("ffprobe").args(["-v", "error", "-show_frames"]).arg(&mp4).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.matches("User Data Unregistered SEI").count() >= found.len(), "{shown}");
}

#[test]
fn the_tester_prints_how_old_pictures_are() {
    let names = Names::new();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let sdp = names.path("a.sdp");
    let mut streamer = Running::start(
        names
            .simulator()
            .args(["--codec", "h264", "--dummy-frames", "0", "--rtp", "--rtp-capture-time"])
            .args(["--rtp-endpoint", &format!("127.0.0.1:{port}"), "--rtp-sdp"])
            .arg(&sdp),
    );
    let mut stderr = streamer.stderr();
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let (status, stdout, complaints) = finish(
        Command::new(env!("CARGO_BIN_EXE_rtp_receiver_tester"))
            .args(["--packet-threshold", "60", "--timeout-ms", "60000", "--json", "--sdp"])
            .arg(&sdp)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    assert_eq!(status, Some(0), "{complaints}");
    let report = json(&stdout);
    let delay = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name}: {report}"));
    let [min, mean, max] = ["delay_min_ms", "delay_mean_ms", "delay_max_ms"].map(delay);
    assert!(0.0 < min && min <= mean && mean <= max && min < 1000.0, "{report}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}

/// Nobody has the port above: the kernel says so to whoever sends there.
#[test]
fn reports_that_nobody_takes_disturb_no_picture() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let (status, stdout, stderr) = finish(
        names.simulator().args(["--codec", "h264", "--dummy-frames", "150", "--dummy-fps", "60", "--json"]).args([
            "--rtp",
            "--rtp-endpoint",
            &receiver.endpoint(),
        ]),
    );
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!stderr.contains("warning"), "{stderr}");
    receiver.wait_total(json(&stdout)["outputs"]["rtp"]["sent"].as_u64().unwrap());
}
