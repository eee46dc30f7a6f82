//! A camera in a browser: WHEP and WebRTC as players see them, and depth over a WebSocket.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::browser_support::{Player, SDP, WebSocket, ask, offer};
use crate::nats_server::NatsServer;
use crate::streamer_support::{ENDLESS, Names, Running, finish, free_port, json, program, wait_for};
use str0m::media::KeyframeRequestKind;
use tools_mcap::rvl::Picture;

/// A simulated camera that browsers can watch.
fn camera(names: &Names, extra: &[&str]) -> (Running, u16) {
    let port = free_port();
    let mut command = names.simulator();
    command.args(ENDLESS).args(["--json", "--http", &format!("127.0.0.1:{port}")]).args(extra);
    (Running::start(&mut command), port)
}

fn interrupt(streamer: Running) -> serde_json::Value {
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    json(&stdout)
}

fn is_keyframe(unit: &[u8]) -> bool {
    unit.windows(4).any(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == 5)
}

#[test]
fn each_viewer_sees_every_picture_from_a_keyframe_on() {
    const PICTURES: u32 = 100;
    let names = Names::new();
    // Only whoever asks gets a keyframe.
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000"]);
    for viewer in 0..2 {
        let mut player = Player::start(port, &names.shm);
        let mut pictures = 0;
        let asked = player.started;
        player.play(|picture| {
            if pictures == 0 {
                assert!(is_keyframe(&picture.data), "the first picture needs another one");
                println!("viewer {viewer}: first picture {:?} after the offer", asked.elapsed());
            }
            assert!(pictures == 0 || picture.contiguous, "packets are missing before picture {pictures}");
            pictures += 1;
            pictures == PICTURES
        });
        let left = ask(port, "DELETE", &player.session, &[], b"");
        assert_eq!(left.status, 200);
        // It is told, too.
        assert!(!player.play(|_| false));
        assert_eq!(ask(port, "DELETE", &player.session, &[], b"").status, 404);
    }
    let summary = interrupt(streamer);
    let output = &summary["outputs"]["webrtc"];
    assert_eq!(output["connects"], 2, "{output}");
    assert!(output["sent"].as_u64().unwrap() >= 2 * u64::from(PICTURES), "{output}");
}

#[test]
fn keyframes_are_made_twice_a_second_at_most_however_often_viewers_ask() {
    const PICTURES: usize = 120;
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000"]);
    let mut player = Player::start(port, &names.shm);
    let (mut pictures, mut keyframes) = (0, Vec::new());
    while pictures < PICTURES {
        player.play(|picture| {
            pictures += 1;
            if is_keyframe(&picture.data) {
                keyframes.push(picture.time.as_seconds());
            }
            true
        });
        player.ask_for_keyframe(if pictures % 2 == 0 { KeyframeRequestKind::Pli } else { KeyframeRequestKind::Fir });
    }
    let seconds = keyframes.last().unwrap() - keyframes[0];
    assert!(keyframes.len() > 2, "asking had no effect: {keyframes:?}");
    // A request waits for the next picture, and so may come a picture late.
    assert!((keyframes.len() - 1) as f64 <= seconds * 2.2 + 1.0, "{keyframes:?}");
    drop(player);
    interrupt(streamer);
}

#[test]
fn what_cannot_be_answered_is_refused_with_words_that_help() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--max-viewers", "1"]);
    let path = &format!("/whep/{}", names.shm);
    // Until there is a stream.
    let player = Player::start(port, &names.shm);
    let refuses = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], status: u16, words: &str| {
        let answer = ask(port, method, path, headers, body);
        let text = answer.text();
        assert!(answer.status == status && text.contains(words), "{method} {path}: {} {text}", answer.status);
    };
    let (.., sdp, _, _) = offer(|config| config);
    refuses("POST", path, &[SDP], sdp.as_bytes(), 503, "--max-viewers");
    assert_eq!(ask(port, "DELETE", &player.session, &[], b"").status, 200);
    refuses("POST", "/whep/other", &[SDP], sdp.as_bytes(), 404, &names.shm);
    refuses("POST", path, &[("Content-Type", "text/plain")], sdp.as_bytes(), 415, "application/sdp");
    refuses("POST", path, &[SDP], &[b'a'; 70_000], 413, "bytes");
    refuses("POST", path, &[SDP], b"\xff\xfe", 400, "UTF-8");
    for garbage in ["", "v=0\r\n", "no offer", &sdp.replace("fingerprint", "finger"), &sdp[..sdp.len() / 2]] {
        let answer = ask(port, "POST", path, &[SDP], garbage.as_bytes());
        assert!(matches!(answer.status, 400 | 406), "{garbage:?}: {} {}", answer.status, answer.text());
    }
    let (.., other, _, _) = offer(|config| config.clear_codecs().enable_vp8(true));
    refuses("POST", path, &[SDP], other.as_bytes(), 406, "no H.264 video");
    refuses("GET", "/", &[("Host", "evil.example")], b"", 403, "localhost");
    refuses("POST", path, &[SDP, ("Origin", "http://evil.example")], sdp.as_bytes(), 403, "localhost");
    refuses("PATCH", &format!("{path}/0"), &[("Content-Type", "application/trickle-ice-sdpfrag")], b"", 404, "session");
    // After all of that it is answered as before.
    Player::start(port, &names.shm).play(|_| true);
    interrupt(streamer);
}

#[test]
fn a_stream_with_b_frames_is_refused_by_name() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--b-frames", "2"]);
    let (.., sdp, _, _) = offer(|config| config);
    let mut answer = ask(port, "POST", &format!("/whep/{}", names.shm), &[SDP], sdp.as_bytes());
    wait_for("an answer", || {
        answer = ask(port, "POST", &format!("/whep/{}", names.shm), &[SDP], sdp.as_bytes());
        answer.status != 503
    });
    assert_eq!((answer.status, answer.text().contains("--b-frames 0")), (409, true), "{}", answer.text());
    interrupt(streamer);
}

#[test]
fn whoever_offers_and_does_not_come_holds_no_place() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--max-viewers", "1"]);
    let mut player = Player::start(port, &names.shm);
    player.play(|_| true);
    assert_eq!(ask(port, "DELETE", &player.session, &[], b"").status, 200);
    let (.., sdp, _, _) = offer(|config| config);
    let answer = ask(port, "POST", &format!("/whep/{}", names.shm), &[SDP], sdp.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    // Waits for the place.
    Player::start(port, &names.shm).play(|_| true);
    interrupt(streamer);
}

#[test]
fn skeletons_are_what_the_producer_sent() {
    let server = NatsServer::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [("18", "few"), ("38", "many")] {
        let uri = format!("cvmmap://{name}{}@{}", std::process::id(), folder.path().display());
        let target: cvmmap::Target = uri.parse().unwrap();
        let port = free_port();
        let mut command = program();
        command.args([
            "--input-mode",
            "dummy",
            "--input-uri",
            &uri,
            "--nats-url",
            &server.url(),
            "--dummy-body",
            format,
        ]);
        command.args(ENDLESS).args(["--codec", "h264", "--json", "--http", &format!("127.0.0.1:{port}")]);
        let streamer = Running::start(&mut command);
        let camera = json(&ask_until_there(port))[0].as_str().unwrap().to_owned();
        let mut peer = Command::new(root.join("target/peers/venv/bin/python"));
        peer.arg(root.join("tests/streamer/bodies.py")).args([&server.url(), &target.nats_target_key()]);
        peer.args([&format!("ws://127.0.0.1:{port}/bodies/{camera}"), "50"]);
        let (status, stdout, stderr) = finish(peer.stdout(Stdio::piped()).stderr(Stdio::piped()));
        assert_eq!((status, stdout.trim()), (Some(0), "50"), "{stderr}");
        interrupt(streamer);
    }
}

/// The names of the cameras, once there are some.
fn ask_until_there(port: u16) -> String {
    let mut names = String::new();
    wait_for("a camera", || {
        names = ask(port, "GET", "/page/cameras.json", &[], b"").text();
        names.len() > 2
    });
    names
}

#[test]
fn depth_is_what_the_camera_measured() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--dummy-depth"]);
    let mut socket = WebSocket::open(port, &format!("/depth/{}", names.shm));
    let mut last = 0;
    for _ in 0..20 {
        let message = socket.read();
        let time = u64::from_le_bytes(message[..8].try_into().unwrap());
        assert!(time > last, "{time} after {last}");
        last = time;
        let picture = Picture::unpack(&message[8..]).unwrap();
        assert_eq!((picture.width, picture.height), (320, 180));
        // The simulator's: no measurement in the first column, and one millimetre more each row.
        let top = picture.pixels[1];
        assert!((1000..1500).contains(&top), "{top}");
        for (row, pixels) in picture.pixels.chunks(320).enumerate() {
            assert_eq!(pixels[0], 0);
            assert!(pixels[1..].iter().all(|pixel| usize::from(*pixel) == usize::from(top) + row), "row {row}");
        }
    }
    let mut slow = WebSocket::open(port, &format!("/depth/{}?fps=5", names.shm));
    let times = [(); 4].map(|()| u64::from_le_bytes(slow.read()[..8].try_into().unwrap()));
    assert!(times[3] - times[0] > 400_000_000, "{times:?}");
    let mut events = WebSocket::open(port, "/events");
    let status: serde_json::Value = serde_json::from_slice(&events.read()).unwrap();
    assert_eq!(status["camera"], names.shm);
    assert!(status["counts"]["frames_in"].is_u64(), "{status}");
    interrupt(streamer);
}
