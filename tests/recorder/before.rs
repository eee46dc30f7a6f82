//! Recordings that begin before they are asked for, read by FFmpeg and by Python's `mcap`.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::recorder_support::{decoded_frames, read_mcap};
use crate::service::Scene;
use crate::streamer_support::{free_port, wait_for};

/// Asks the streamer, byte by byte.
fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// What the streamer counts.
fn counts(port: u16) -> Value {
    let told = get(port, "/api/cameras").unwrap_or_default();
    serde_json::from_str::<Value>(&told).map_or(Value::Null, |told| told[0]["counts"].clone())
}

/// What it tells of what it keeps.
fn kept(port: u16) -> Value {
    counts(port)["record_before"].clone()
}

/// Access units so far.
fn encoded(port: u16) -> u64 {
    counts(port)["encoded"].as_u64().unwrap_or_default()
}

/// Checksums of the pictures that FFmpeg decodes of a file.
fn pictures(path: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(path)
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    sums.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Times and keyframes of an MP4 file's access units.
fn packets(path: &Path) -> Vec<(f64, bool)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packets = text.lines().map(|line| line.split_once(',').unwrap());
    packets.map(|(time, flags)| (time.parse().unwrap(), flags.starts_with('K'))).collect()
}

/// Where `part` lies in `whole`, all of it and nothing between.
fn place(part: &[String], whole: &[String]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn a_recording_begins_earlier(name: &str, camera: &[&str], streamer: &[&str]) {
    const SECONDS: u64 = 3;
    let port = free_port();
    let http = format!("127.0.0.1:{port}");
    let flags = [streamer, &["--record-before", "3s", "--http", &http]].concat();
    let scene = Scene::of(name, &[camera, &["--dummy-depth", "--dummy-body", "34"]].concat(), &flags);
    let enough = SECONDS as f64;
    wait_for("enough that is kept", || kept(port)["seconds"].as_f64() > Some(enough));
    // Both formats, the one from long before the other's request.
    scene.json(&["record", "start", &scene.uri, "--format", "mp4", "--output", "whole.mp4"]);
    wait_for("frames of the one", || scene.frames("mp4") > 60 + 30 * SECONDS);
    let asked = nanoseconds();
    scene.json(&["record", "start", &scene.uri, "--output", "part.mcap"]);
    wait_for("frames before and behind", || scene.frames("mcap") > 60 + 30 * SECONDS);
    scene.json(&["record", "stop", &scene.uri]);
    scene.json(&["record", "stop", &scene.uri, "--format", "mp4"]);
    let metrics = get(port, "/metrics").unwrap();
    assert!(metrics.contains("cvmmap_record_before_seconds{") && metrics.contains("cvmmap_record_before_bytes{"));
    let root = scene.root();
    let (mcap, mp4) = (root.join("part.mcap"), root.join("whole.mp4"));
    scene.streamer.signal("-TERM");
    let (code, stdout, stderr) = scene.streamer.wait();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("mcap recording begins 3.") && stderr.contains("mp4 recording begins 3."), "{stderr}");
    assert!(stdout.contains("\nrecord_before: seconds=3."), "{stdout}");
    assert_eq!(stdout.matches(" dropped=0 depth_dropped=0 body_dropped=0 damaged=0 ").count(), 2, "{stdout}");

    let recorded = read_mcap(&mcap);
    assert_eq!(recorded["finished"], true);
    let times = |what: &str| {
        let messages = recorded[what].as_array().unwrap();
        messages.iter().map(|message| message["log_time"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let video = times("video");
    assert!(video[0] + SECONDS * 1_000_000_000 <= asked, "{} ms", (asked - video[0]) / 1_000_000);
    // No more than a group of pictures earlier.
    assert!(video[0] + (SECONDS + 2) * 1_000_000_000 > asked, "{} ms", (asked - video[0]) / 1_000_000);
    assert!(video.windows(2).all(|pair| pair[0] < pair[1]));
    for what in ["depth", "body"] {
        let before = times(what).into_iter().filter(|time| *time < asked).count();
        assert!(before > 20, "{before} {what}");
        assert!(times(what)[0] < video[0] + 500_000_000, "{what}");
    }
    // Every depth message is that of a picture, and nearly every picture has one.
    let depth = times("depth");
    assert!(
        depth.iter().all(|time| video.contains(time)) && depth.len() + 5 > video.len(),
        "{} {}",
        depth.len(),
        video.len()
    );
    let stream = mcap.with_extension("mcap.video").with_extension("h264");
    std::fs::rename(root.join("part.mcap.video"), &stream).unwrap();
    let part = pictures(&stream);
    assert_eq!(part.len(), video.len());

    let packets = packets(&mp4);
    assert!(packets[0].1 && packets.windows(2).all(|pair| pair[0].0 < pair[1].0), "{packets:?}");
    assert_eq!(decoded_frames(&mp4), (packets.len() as u64, String::new()));
    // What both have is the same, picture by picture: nothing is missing or twice where the one part joins the other.
    let whole = pictures(&mp4);
    let common = part.len().min(whole.len()) - 40;
    assert!(place(&part[..common], &whole).is_some(), "{} {}", part.len(), whole.len());
}

#[test]
fn what_is_encoded_here_is_recorded_from_before_the_request() {
    a_recording_begins_earlier("bfr", &[], &["--codec", "h264"]);
}

#[test]
fn access_units_of_a_producer_are_recorded_from_before_the_request() {
    a_recording_begins_earlier("bfe", &["--dummy-encoded", "h264"], &["--input-video-source", "encoded"]);
}

#[test]
fn memory_stays_within_what_is_said() {
    let port = free_port();
    let http = format!("127.0.0.1:{port}");
    let flags = ["--codec", "h264", "--bitrate", "4000", "--http", &http];
    let before = ["--record-before", "1h", "--record-before-bytes", "1MiB"];
    let scene = Scene::of("bfm", &["--dummy-depth"], &[&flags[..], &before].concat());
    const LIMIT: u64 = 1 << 20;
    // It is full, and what is oldest made room.
    let mut fullest = 0;
    wait_for("pictures that made room", || {
        let kept = kept(port);
        let [units, bytes] = ["units", "bytes"].map(|what| kept[what].as_u64().unwrap_or_default());
        assert!(bytes <= LIMIT, "{bytes}");
        fullest = fullest.max(bytes);
        fullest > LIMIT / 2 && encoded(port) > units + 200
    });
    scene.json(&["record", "start", &scene.uri, "--output", "a.mcap"]);
    wait_for("frames", || scene.frames("mcap") > 40);
    scene.json(&["record", "stop", &scene.uri]);
    let recorded = read_mcap(&scene.root().join("a.mcap"));
    let stream = scene.root().join("a.h264");
    std::fs::rename(scene.root().join("a.mcap.video"), &stream).unwrap();
    assert_eq!(pictures(&stream).len(), recorded["video"].as_array().unwrap().len());
}

#[test]
fn a_size_without_a_time_is_refused() {
    let mut command = crate::streamer_support::program();
    command.args(["--input-uri", "cvmmap://none", "--codec", "h264", "--record-before-bytes", "64MiB"]);
    let (code, _, stderr) = crate::streamer_support::finish(&mut command);
    assert!(code == Some(1) && stderr.contains("--record-before-bytes needs --record-before"), "{code:?} {stderr}");
}
