//! What receivers that are not ours get from the launcher.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use crate::streamer_support::{
    self, ENDLESS, Names, Producer, RtmpServer, RtpReceiver, Running, ffmpeg, finish, free_port, json, wait_for,
};

const FRAMES: [&str; 4] = ["--dummy-frames", "60", "--dummy-fps", "60"];

fn rtp_is_received(codec: &str) {
    let names = Names::new();
    let receiver = RtpReceiver::start(codec);
    let mut streamer = names.simulator();
    streamer.args(FRAMES).args(["--codec", codec, "--json", "--rtp", "--rtp-endpoint", &receiver.endpoint()]);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");

    let summary = json(&stdout);
    let rtp = &summary["outputs"]["rtp"];
    let sent = rtp["sent"].as_u64().unwrap();
    assert_eq!(summary["simulator"]["published"], 60);
    assert!(sent > 30, "{summary}");
    assert_eq!(summary["encoded"], sent);
    assert_eq!(summary["frames_in"].as_u64().unwrap() - summary["dropped"].as_u64().unwrap(), sent);
    let percentiles = ["p50", "p95", "p99"].map(|name| rtp["latency_ms"][name].as_f64().unwrap());
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{percentiles:?}");

    receiver.wait_total(sent);
    assert_eq!(receiver.pictures(), [((320, 180), sent)]);
}

#[test]
fn rtp_h264_is_received() {
    rtp_is_received("h264");
}

#[test]
fn rtp_h265_is_received() {
    rtp_is_received("h265");
}

fn ffmpeg_reads_the_session_description(codec: &str) {
    let names = Names::new();
    let sdp = names.path("stream.sdp");
    let port = free_port();
    let streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(["--codec", codec, "--rtp-payload-type", "120", "--rtp", "--rtp-endpoint"])
            .args([&format!("127.0.0.1:{port}"), "--rtp-sdp", sdp.to_str().unwrap()]),
    );
    wait_for("session description", || sdp.exists());

    let text = fs::read_to_string(&sdp).unwrap();
    let sprop = if codec == "h264" { "sprop-parameter-sets=" } else { "sprop-vps=" };
    let rtpmap = format!("a=rtpmap:120 {}/90000", codec.to_uppercase());
    for part in [format!("m=video {port} RTP/AVP 120"), rtpmap, "c=IN IP4 127.0.0.1".into(), sprop.into()] {
        assert!(text.contains(&part), "no '{part}' in {text}");
    }
    assert_eq!(fs::metadata(&sdp).unwrap().permissions().mode() & 0o777, 0o644);
    let in_directory = |name: std::ffi::OsString| name.to_string_lossy().contains("sdp-");
    assert!(!sdp.parent().unwrap().read_dir().unwrap().any(|entry| in_directory(entry.unwrap().file_name())));

    let (status, _, complaints) =
        finish(ffmpeg().args(["-protocol_whitelist", "file,udp,rtp", "-i", sdp.to_str().unwrap()]).args([
            "-frames:v",
            "20",
            "-fps_mode",
            "passthrough",
            "-f",
            "null",
            "-",
        ]));
    assert_eq!(status, Some(0), "{complaints}");
    assert!(complaints.contains("320x180"), "{complaints}");
    streamer.signal("-TERM");
    assert_eq!(streamer.wait().0, Some(0));
}

#[test]
fn ffmpeg_reads_the_h264_session_description() {
    ffmpeg_reads_the_session_description("h264");
}

#[test]
fn ffmpeg_reads_the_h265_session_description() {
    ffmpeg_reads_the_session_description("h265");
}

fn rtmp_is_received(flags: &[&str]) {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let mut streamer = names.simulator();
    streamer.args(FRAMES).args(flags).args(["--json", "--rtmp", "--rtmp-url", &server.url()]);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!stderr.contains("live/key"), "{stderr}");
    let sent = json(&stdout)["outputs"]["rtmp"]["sent"].as_u64().unwrap();
    assert!(sent > 30, "{stdout}");
    assert_eq!(server.decoded(), (sent, String::new()));
}

#[test]
fn rtmp_h264_is_received() {
    rtmp_is_received(&["--codec", "h264"]);
}

#[test]
fn rtmp_h264_with_the_enhanced_mode_is_the_same() {
    rtmp_is_received(&["--codec", "h264", "--rtmp-mode", "enhanced"]);
}

#[test]
fn rtmp_h265_enhanced_is_received() {
    rtmp_is_received(&["--codec", "h265", "--rtmp-mode", "enhanced"]);
}

#[test]
fn rtmp_h265_domestic_is_received() {
    rtmp_is_received(&["--codec", "h265", "--rtmp-mode", "domestic"]);
}

#[test]
fn b_frames_keep_their_order() {
    rtmp_is_received(&["--codec", "h264", "--b-frames", "2"]);
    rtmp_is_received(&["--codec", "h265", "--rtmp-mode", "enhanced", "--b-frames", "2"]);
}

#[test]
fn both_outputs_get_one_encode() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let receiver = RtpReceiver::start("h264");
    let mut streamer = names.simulator();
    streamer.args(FRAMES).args(["--codec", "h264", "--rtp", "--rtp-endpoint", &receiver.endpoint()]);
    streamer.args(["--json", "--rtmp", "--rtmp-url", &server.url()]);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stderr.matches("encoder: ").count(), 1, "{stderr}");
    let summary = json(&stdout);
    let encoded = summary["encoded"].as_u64().unwrap();
    assert_eq!(summary["outputs"]["rtp"]["sent"], encoded);
    // What comes before the server has agreed is not sent to it.
    let [published, missed] = ["sent", "dropped"].map(|name| summary["outputs"]["rtmp"][name].as_u64().unwrap());
    assert!(published > 30 && published + missed == encoded, "{summary}");
    receiver.wait_total(encoded);
    assert_eq!(server.decoded(), (published, String::new()));
}

#[test]
fn a_keyframe_comes_exactly_every_gop() {
    for codec in ["h264", "h265"] {
        let names = Names::new();
        let server = RtmpServer::start(&names);
        let mut streamer = names.simulator();
        streamer.args(FRAMES).args(["--codec", codec, "--gop", "10", "--rtmp", "--rtmp-url", &server.url()]);
        // A busy machine encodes more slowly than frames come.
        streamer.args(["--queue-size", "60"]);
        if codec == "h265" {
            streamer.args(["--rtmp-mode", "enhanced"]);
        }
        assert_eq!(finish(&mut streamer).0, Some(0));
        server.process.wait();
        let output = ffmpeg()
            .args(["-loglevel", "error", "-i", server.file.to_str().unwrap(), "-c", "copy", "-f", "framecrc"])
            .args(["-bsf:v", "noise=drop=not(key)", "-"])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let keyframes = String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.starts_with('#')).count();
        // A frame or two may be lost at the start.
        assert!((5..=6).contains(&keyframes), "{codec}: {keyframes}");
    }
}

#[test]
fn streams_tell_where_their_colour_lies() {
    // Decoders take it for the left where nothing is said, and so does GStreamer for pictures of this height.
    for codec in ["h264", "h265"] {
        let names = Names::new();
        let server = RtmpServer::start(&names);
        let producer = Producer::start(&names, "format=BGR,width=64,height=720,framerate=30/1");
        let mut streamer = names.streamer();
        streamer.args(["--ingest-max-frames", "40", "--codec", codec, "--rtmp", "--rtmp-url", &server.url()]);
        if codec == "h265" {
            streamer.args(["--rtmp-mode", "enhanced"]);
        }
        let (status, _, stderr) = finish(&mut streamer);
        assert_eq!(status, Some(0), "{stderr}");
        drop(producer);
        server.process.wait();
        let file = server.file.to_str().unwrap();
        let output = ffmpeg().args(["-loglevel", "verbose", "-i", file, "-f", "null", "-"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let stream = text.lines().find(|line| line.contains("Video: ")).unwrap_or_default();
        assert!(stream.contains("yuv420p(tv, bt709") && stream.contains("center)"), "{text}");
    }
}

fn every_picture_goes_through(codec: &str, pictures: &[(&str, (i32, i32))]) {
    let names = Names::new();
    let receiver = RtpReceiver::start(codec);
    let streamer =
        Running::start(names.streamer().args(["--codec", codec, "--rtp", "--rtp-endpoint", &receiver.endpoint()]));
    for (caps, size) in pictures {
        let producer = Producer::start(&names, &format!("{caps},framerate=30/1"));
        wait_for(&format!("{caps} as {size:?}"), || {
            receiver.pictures().last().is_some_and(|(last, count)| last == size && *count >= 5)
        });
        drop(producer);
    }
    streamer.signal("-INT");
    let (status, _, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn h264_follows_changes_of_size_and_format() {
    every_picture_goes_through(
        "h264",
        &[
            ("format=BGR,width=640,height=360", (640, 360)),
            ("format=GRAY16_LE,width=321,height=181", (322, 182)),
            ("format=YUY2,width=64,height=36", (64, 36)),
            ("format=v308,width=33,height=34", (34, 34)),
            ("format=RGBA,width=5,height=7", (6, 8)),
            ("format=GRAY8,width=640,height=361", (640, 362)),
        ],
    );
}

#[test]
fn h265_follows_changes_of_size_and_format() {
    every_picture_goes_through(
        "h265",
        &[
            ("format=RGB,width=5,height=7", (16, 16)),
            ("format=BGRA,width=321,height=181", (322, 182)),
            ("format=BGR,width=640,height=360", (640, 360)),
        ],
    );
}

#[test]
fn limits_end_the_run() {
    let names = Names::new();
    let _producer = Producer::start(&names, "format=BGR,width=320,height=180,framerate=30/1");
    let mut streamer = names.streamer();
    streamer.args(["--codec", "h264", "--json", "--ingest-max-frames", "12"]);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(json(&stdout)["encoded"], 12);
    assert!(stderr.contains("no output"), "{stderr}");
}

#[test]
fn a_producer_that_never_comes_ends_the_run_with_a_timeout() {
    let names = Names::new();
    let mut streamer = names.streamer();
    streamer.args(["--codec", "h264", "--rtp", "--rtp-endpoint", "127.0.0.1:9", "--ingest-idle-timeout-ms", "50"]);
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(124), "{stderr}");
    assert!(stderr.contains("no frame came within 50 ms"), "{stderr}");
    assert!(stdout.contains("frames_in=0") && stdout.contains("rtp: sent=0 dropped=0"), "{stdout}");
}

#[test]
fn a_producer_is_found_by_its_name() {
    let names = Names::new();
    let directory = names.path("");
    let uri =
        format!("cvmmap://cam1@{}?namespace={}", directory.display().to_string().trim_end_matches('/'), names.shm);
    let receiver = RtpReceiver::start("h264");
    let simulator =
        Running::start(streamer_support::program().args(ENDLESS).args(["--input-mode", "dummy", "--input-uri", &uri]));
    let mut streamer = streamer_support::program();
    streamer.args(["--input-uri", &uri, "--codec", "h264", "--rtp", "--rtp-endpoint", &receiver.endpoint()]);
    let (status, _, stderr) = finish(streamer.args(["--ingest-max-frames", "10"]));
    assert_eq!(status, Some(0), "{stderr}");
    receiver.wait_total(10);
    simulator.signal("-TERM");
    assert_eq!(simulator.wait().0, Some(0));
}

#[test]
fn the_simulator_alone_publishes_every_frame() {
    let names = Names::new();
    let mut simulator = names.simulator();
    let (status, stdout, stderr) = finish(simulator.args(["--dummy-frames", "320", "--dummy-fps", "200"]));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "simulator: published=320\n");
    assert!(!names.segment().exists());
}
