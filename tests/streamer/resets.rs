//! Storms of resets: whatever the producer does to its counters, clock, picture and codec parameters, sessions stay up and
//! receivers decode on.

use std::{thread, time::Duration};

use crate::encoding_camera::{Camera, Pace, Shot, Unit, encode};
use crate::rtp_session::Session;
use crate::streamer_support::{Names, RtpReceiver, Running, json, run_strict_server, wait_for};
use cvmmap::Codec;

/// Frames from one reset to the next.
const FRAMES: usize = 3;
const FPS: u32 = 100;
/// Each restart of the producer costs the time until ZeroMQ connects again.
const RESETS_PER_RESTART: u32 = 50;
const SIZES: [(u32, u32); 3] = [(320, 180), (128, 96), (176, 144)];

/// A producer that starts over every few frames; each time something else is not as it was.
fn resets(names: &Names, codec: Option<Codec>, count: u32) {
    let coded: Vec<Vec<Unit>> = SIZES
        .iter()
        .map(|&size| codec.map_or_else(Vec::new, |codec| encode(codec, size, FRAMES as u32, 1000)))
        .collect();
    let mut camera = Camera::start(names);
    let mut pace = Pace::new(FPS);
    let (mut frame_id, mut size, mut shift) = (0_u32, 0, 0_i64);
    for reset in 0..count {
        match reset % 6 {
            // The counter starts over, or somewhere else.
            0 => frame_id = 0,
            1 => frame_id = frame_id.wrapping_sub(100_000),
            // The clock is set back by a second, by an hour, to the beginning, and right again.
            2 => shift = -1_000_000_000,
            3 => shift = -3_600_000_000_000,
            4 => shift = i64::MIN,
            _ => shift = 0,
        }
        if reset % 2 == 1 {
            size = (size + 1) % SIZES.len();
        }
        if reset % RESETS_PER_RESTART == RESETS_PER_RESTART - 1 {
            drop(camera);
            camera = Camera::start(names);
            frame_id = 0;
        }
        for grey in [0, 80, 160] {
            let now = pace.next();
            let timestamp_ns = if shift == i64::MIN { u64::from(frame_id) } else { now.saturating_add_signed(shift) };
            let unit = codec.map(|codec| (codec, &coded[size][usize::from(grey) / 80]));
            let (width, height) = if unit.is_some() { (64, 36) } else { SIZES[size] };
            camera.publish(Shot { picture: (grey, width, height), unit, frame_id, timestamp_ns });
            frame_id = frame_id.wrapping_add(1);
        }
    }
    // Till the last frame was read.
    thread::sleep(Duration::from_millis(100));
}

fn storm(name: &str, encoded: Option<Codec>, count: u32) {
    let names = Names::new();
    let (server, url) = run_strict_server(if name == "h264" { "h264" } else { "h265-enhanced" }, &[]);
    let (session, receiver) = (Session::start(), RtpReceiver::start(name));
    let streamer = Running::start(
        names
            .streamer()
            .args(["--codec", name, "--json", "--rtmp-mode", "enhanced", "--rtmp", "--rtmp-url", &url])
            .args(["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{}", session.port)])
            .args(["--rtp-endpoint", &receiver.endpoint()]),
    );
    resets(&names, encoded, count);
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    let summary = json(&stdout);
    let outputs = &summary["outputs"];
    let sent = outputs["rtp"]["sent"].as_u64().unwrap();
    eprintln!("{count} resets, {} frames: {summary}", count as usize * FRAMES);
    // The strict server heard one publisher, to its end.
    let (status, stdout, complaints) = server.wait();
    assert_eq!((status, &outputs["rtmp"]["connects"]), (Some(0), &1.into()), "{stdout}{complaints}");
    assert_eq!(json(&stdout)["frames"], outputs["rtmp"]["sent"], "{stdout}");
    assert_eq!((&summary["encoded"], &outputs["rtp"]["dropped"]), (&sent.into(), &0.into()));
    assert_eq!(session.frames(), sent);
    // Each access unit is a picture: none refers to one that its decoder does not have.
    wait_for("last picture", || receiver.total() >= sent);
    assert_eq!(receiver.total(), sent);
    // Each change of the picture's size is told by a new sequence header.
    assert!(json(&stdout)["sequence_headers"].as_u64().unwrap() > u64::from(count) / 4, "{stdout}");
    // Enough of them went out for this to mean something. A restart costs the time until ZeroMQ connects again, and a new
    // size that of an encoder's start, which is long on a busy machine.
    assert!(sent > u64::from(count) / 8, "{summary}");
    assert!(receiver.pictures().len() > count as usize / 8, "{}", receiver.pictures().len());
}

const COUNT: u32 = 150;
const LONG_COUNT: u32 = 10_000;

#[test]
fn pictures() {
    storm("h264", None, COUNT);
    storm("h265", None, COUNT);
}

#[test]
fn access_units() {
    storm("h264", Some(Codec::H264), COUNT);
    storm("h265", Some(Codec::H265), COUNT);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_of_pictures() {
    storm("h264", None, LONG_COUNT);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_of_access_units() {
    storm("h264", Some(Codec::H264), LONG_COUNT);
}
