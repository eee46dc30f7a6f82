//! WHEP over networks and with players that are not kind.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cvmmap::Codec;
use str0m::media::KeyframeRequestKind;

use crate::browser_support::{Loses, Player, SDP, ask, is_rtp, offer};
use crate::encoding_camera::encode;
use crate::passthrough::Loop;
use crate::rtp_session::Session;
use crate::streamer_support::{ENDLESS, Names, Running, ffmpeg, free_port, json};

/// A simulated camera that players can watch.
fn camera(names: &Names, extra: &[&str]) -> (Running, u16) {
    let port = free_port();
    let mut command = names.simulator();
    command.args(ENDLESS).args(["--json", "--http", &format!("127.0.0.1:{port}")]).args(extra);
    (Running::start(&mut command), port)
}

fn interrupt(streamer: Running) -> (serde_json::Value, String) {
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (json(&stdout), stderr)
}

/// Loses packets of RTP: `share` of a hundred, spread by a generator that always does the same. Counts them.
fn network(share: u32, until: Option<Instant>) -> (Loses, Arc<AtomicU32>) {
    let lost = Arc::new(AtomicU32::new(0));
    let (counted, mut state) = (Arc::clone(&lost), 1_u32);
    let loses = move |datagram: &[u8]| {
        if !is_rtp(datagram) || until.is_some_and(|until| Instant::now() > until) {
            return false;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let is_lost = (state >> 16) % 100 < share;
        counted.fetch_add(u32::from(is_lost), Ordering::Relaxed);
        is_lost
    };
    (Box::new(loses), lost)
}

/// Pictures that FFmpeg decodes, and what it complains of.
fn decode(codec: &str, stream: &[u8]) -> (usize, String) {
    let mut child = ffmpeg()
        .args(["-v", "error", "-f", codec, "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let stream = stream.to_owned();
    let writer = thread::spawn(move || input.write_all(&stream));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let pictures = String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count();
    (pictures, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What comes of so many pictures.
fn watch(player: &mut Player, pictures: usize) -> Vec<u8> {
    let (mut stream, mut count) = (Vec::new(), 0);
    let plays = player.play(|picture| {
        assert!(count == 0 || picture.contiguous, "packets are missing before picture {count}");
        stream.extend_from_slice(&picture.data);
        count += 1;
        count == pictures
    });
    assert!(plays, "the session ended after {count} pictures");
    stream
}

#[test]
fn lost_packets_are_sent_again() {
    let names = Names::new();
    // Nothing but the packets themselves can help.
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000", "--bitrate", "3000"]);
    let mut player = Player::start(port, &names.shm);
    let (loses, lost) = network(5, None);
    player.loses = loses;
    let stream = watch(&mut player, 300);
    let lost = lost.load(Ordering::Relaxed);
    println!("{lost} packets were lost");
    assert!(lost > 20, "{lost} packets were lost: that shows nothing");
    let (pictures, complaints) = decode("h264", &stream);
    assert!(pictures == 300 && complaints.is_empty(), "{pictures} pictures, {complaints}");
    interrupt(streamer);
}

#[test]
fn a_full_intra_request_is_answered_with_a_keyframe() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000"]);
    let mut player = Player::start(port, &names.shm);
    let is_keyframe = |unit: &[u8]| unit.windows(4).any(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == 5);
    let mut pictures = 0;
    player.play(|_| {
        pictures += 1;
        pictures == 60
    });
    player.ask_for_keyframe(KeyframeRequestKind::Fir);
    let mut waited = 0;
    player.play(|picture| {
        waited += 1;
        is_keyframe(&picture.data)
    });
    assert!(waited < 30, "{waited} pictures later");
    interrupt(streamer);
}

#[test]
fn a_viewer_that_cannot_keep_up_goes_on_with_keyframes_and_is_let_go_and_the_others_see_every_picture() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000", "--bitrate", "2000"]);
    let mut well = Player::start(port, &names.shm);
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || {
            let mut pictures = 0;
            well.play(|picture| {
                assert!(pictures == 0 || picture.contiguous, "packets are missing before picture {pictures}");
                pictures += 1;
                is_over.load(Ordering::Relaxed)
            });
            pictures
        })
    };
    // One that is bad for a while recovers.
    let mut passing = Player::start(port, &names.shm);
    let seconds = |seconds| Instant::now() + Duration::from_secs(seconds);
    passing.loses = network(85, Some(seconds(4))).0;
    let recovering = {
        let until = seconds(20);
        thread::spawn(move || passing.play(|_| Instant::now() > until))
    };
    let mut bad = Player::start(port, &names.shm);
    let (mut loses, _) = network(85, None);
    let (begun, pauses) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let (mut last, counted) = (None::<Instant>, Arc::clone(&pauses));
    bad.loses = Box::new(move |datagram| {
        if is_rtp(datagram) {
            let before = last.replace(Instant::now());
            let is_pause = before.is_some_and(|before| before.elapsed() > Duration::from_millis(800));
            counted.fetch_add(u32::from(is_pause), Ordering::Relaxed);
        }
        loses(datagram)
    });
    let plays = bad.play(|_| false);
    let (stayed, pauses) = (begun.elapsed(), pauses.load(Ordering::Relaxed));
    println!("let go after {stayed:?} with {pauses} pauses");
    assert!(!plays && pauses >= 2, "{pauses} pauses");
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&stayed), "it stayed {stayed:?}");
    assert!(recovering.join().unwrap(), "one that recovered was let go");
    is_over.store(true, Ordering::Relaxed);
    let pictures = watching.join().unwrap();
    assert!(pictures > 200, "{pictures}");
    let (_, stderr) = interrupt(streamer);
    assert_eq!(stderr.matches("it could not keep up").count(), 1, "{stderr}");
}

#[test]
fn a_player_of_h265_gets_h265_and_one_of_h264_the_advice() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h265", "--gop", "100000"]);
    let stream = watch(&mut Player::start(port, &names.shm), 60);
    let (pictures, complaints) = decode("hevc", &stream);
    assert!(pictures == 60 && complaints.is_empty(), "{pictures} pictures, {complaints}");
    let (.., sdp, _, _) = offer(|config| config.clear_codecs().enable_h264(true));
    let refused = ask(port, "POST", &format!("/whep/{}", names.shm), &[SDP], sdp.as_bytes());
    assert_eq!((refused.status, refused.text().contains("--codec h264")), (406, true), "{}", refused.text());
    interrupt(streamer);
}

/// Slices of an access unit, without what parsers add and leave out.
fn slices(unit: &[u8]) -> Vec<Vec<u8>> {
    let mut starts = unit.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0, 0, 1]).map(|(at, _)| at + 3);
    let mut units = Vec::new();
    let mut begin = starts.next();
    while let Some(from) = begin {
        begin = starts.next();
        let end = begin.map_or(unit.len(), |next| next - 3);
        let unit = &unit[from..end];
        let length = unit.len() - unit.iter().rev().take_while(|byte| **byte == 0).count();
        units.push(unit[..length].to_vec());
    }
    units.retain(|unit| matches!(unit[0] & 0x1f, 1 | 5));
    units
}

#[test]
fn what_a_producer_encodes_reaches_players_as_it_is() {
    let names = Names::new();
    let units = encode(Codec::H264, (320, 180), 60, 15);
    let published = units.iter().map(|unit| slices(&unit.data)).collect::<Vec<_>>();
    let _camera = Loop::start(&names, Some((Codec::H264, units)));
    let port = free_port();
    let mut command = names.streamer();
    let streamer = Running::start(command.args(["--json", "--http", &format!("127.0.0.1:{port}")]));
    let mut player = Player::start(port, &names.shm);
    let (mut last, mut count, mut jumps) = (None, 0, 0);
    player.play(|picture| {
        let index = published.iter().position(|unit| *unit == slices(&picture.data));
        let index = index.unwrap_or_else(|| panic!("picture {count} was not published"));
        // From a keyframe on, one after the other.
        // A machine that is busy may leave some out, up to the next keyframe.
        let follows = last.is_some_and(|last| index == (last + 1) % published.len());
        assert!(follows || index % 15 == 0, "{index} after {last:?}");
        (last, count, jumps) = (Some(index), count + 1, jumps + u32::from(!follows));
        count == 150
    });
    assert!(jumps <= 4, "{jumps} jumps");
    interrupt(streamer);
}

#[test]
fn addresses_may_come_later_and_nonsense_among_them_harms_nobody() {
    let names = Names::new();
    let (streamer, port) = camera(&names, &["--codec", "h264"]);
    let without = |sdp: String| {
        let lines = sdp.split_inclusive("\r\n").filter(|line| !line.starts_with("a=candidate:"));
        lines.collect::<String>()
    };
    let mut player = Player::start_with(port, &names.shm, without);
    let patch = |body: &str| {
        ask(port, "PATCH", &player.session, &[("Content-Type", "application/trickle-ice-sdpfrag")], body.as_bytes())
    };
    let candidate = player.candidate();
    let nonsense = "a=candidate:1 1 udp 1 name.local 9 typ host\r\na=candidate:\r\na=candidate:x\r\na=\r\n\r\nm=\r\n";
    for body in
        [nonsense.to_owned(), nonsense.repeat(500), String::new(), format!("a={candidate}\r\na=end-of-candidates\r\n")]
    {
        let answer = patch(&body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let wrong = ask(port, "PATCH", &player.session, &[SDP], candidate.as_bytes());
    assert_eq!(wrong.status, 415, "{}", wrong.text());
    watch(&mut player, 30);
    interrupt(streamer);
}

#[test]
fn a_flood_of_offers_costs_rtp_beside_it_no_packet() {
    const FLOODERS: usize = 4;
    const OFFERS: u32 = 400;
    const FLOOD_MAX: Duration = Duration::from_secs(25);
    let names = Names::new();
    let rtp = Session::start();
    let endpoint = format!("127.0.0.1:{}", rtp.port);
    let (streamer, port) =
        camera(&names, &["--codec", "h264", "--rtp", "--rtp-endpoint", &endpoint, "--max-viewers", "8"]);
    let mut player = Player::start(port, &names.shm);
    watch(&mut player, 10);
    let path = format!("/whep/{}", names.shm);
    let counts = Arc::new(Mutex::new(std::collections::BTreeMap::<u16, u32>::new()));
    let flooders = (0..FLOODERS).map(|number| {
        let (path, counts) = (path.clone(), Arc::clone(&counts));
        thread::spawn(move || {
            let (.., sdp, _, _) = offer(|config| config);
            let (until, mut body) = (Instant::now() + FLOOD_MAX, sdp.clone().into_bytes());
            for round in 0.. {
                if Instant::now() > until || counts.lock().unwrap().values().sum::<u32>() >= OFFERS {
                    return;
                }
                // Offers, and offers that are damaged somewhere.
                body.clone_from(&sdp.clone().into_bytes());
                if round % 2 == 1 {
                    let at = (round * 7919 + number) % body.len();
                    body[at] ^= 0x15;
                }
                let status = ask(port, "POST", &path, &[SDP], &body).status;
                *counts.lock().unwrap().entry(status).or_default() += 1;
            }
        })
    });
    let flooders = flooders.collect::<Vec<_>>();
    // Meanwhile one watches, and loses nothing either.
    while flooders.iter().any(|flooder| !flooder.is_finished()) {
        watch(&mut player, 10);
    }
    flooders.into_iter().for_each(|flooder| flooder.join().unwrap());
    let counts = counts.lock().unwrap().clone();
    println!("{counts:?}");
    assert!(counts.values().sum::<u32>() > OFFERS / 4 && counts[&201] >= 7, "that was no flood: {counts:?}");
    assert!(counts.keys().all(|status| matches!(status, 201 | 400 | 406 | 429 | 503)), "{counts:?}");
    let (summary, _) = interrupt(streamer);
    let output = &summary["outputs"]["rtp"];
    assert_eq!((&output["dropped"], &output["sent"]), (&0.into(), &summary["encoded"]), "{summary}");
    assert_eq!(rtp.frames(), output["sent"].as_u64().unwrap(), "{summary}");
}

#[test]
fn aiortc_decodes_the_picture() {
    let names = Names::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is not there: run scripts/setup.sh --tests", python.display());
    let (streamer, port) = camera(&names, &["--codec", "h264", "--gop", "100000"]);
    // It offers once.
    let mut ready = Player::start(port, &names.shm);
    watch(&mut ready, 5);
    let mut peer = Command::new(python);
    peer.arg(root.join("tests/streamer/whep.py")).arg(format!("http://127.0.0.1:{port}/whep/{}", names.shm)).arg("100");
    let (status, stdout, stderr) =
        Running::start(peer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).wait();
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    let seen = json(&stdout);
    assert_eq!((&seen["pictures"], &seen["width"], &seen["height"]), (&100.into(), &320.into(), &180.into()), "{seen}");
    assert!(seen["different"].as_u64() > Some(50), "{seen}");
    interrupt(streamer);
}
