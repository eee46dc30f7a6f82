//! Access units that the producer encoded itself go out as they are, and what happens where there are none.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::encoding_camera::{Camera, Pace, Shot, Unit, encode};
use crate::streamer_support::{Names, RtmpServer, RtpReceiver, Running, finish, json, read_until, wait_for};
use cvmmap::Codec;

const SIZE: (u32, u32) = (320, 180);
const FPS: u32 = 60;
const GOP: u32 = 15;

/// A camera that publishes the same second over and over, as long as it lives.
pub struct Loop {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loop {
    /// With access units, or with pictures alone.
    pub fn start(names: &Names, units: Option<(Codec, Vec<Unit>)>) -> Self {
        let mut camera = Camera::start(names);
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut pace = Pace::new(FPS);
            for frame_id in 0.. {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                let unit = units.as_ref().map(|(codec, units)| (*codec, &units[frame_id as usize % units.len()]));
                // Beside the access unit a picture as small as can be.
                let picture = if unit.is_some() { (90, 64, 36) } else { (90, SIZE.0, SIZE.1) };
                camera.publish(Shot { picture, unit, frame_id, timestamp_ns: pace.next() });
            }
        });
        Self { ended, thread: Some(thread) }
    }

    fn encoding(names: &Names, codec: Codec) -> Self {
        Self::start(names, Some((codec, encode(codec, SIZE, FPS, GOP))))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn is_passed_through(name: &str, codec: Codec, flags: &[&str]) {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let receiver = RtpReceiver::start(name);
    let sdp = names.path("stream.sdp");
    let camera = Loop::encoding(&names, codec);
    let mut streamer = Running::start(
        names
            .streamer()
            .args(flags)
            .args(["--json", "--rtp", "--rtp-endpoint", &receiver.endpoint(), "--rtp-sdp", sdp.to_str().unwrap()])
            .args(["--rtmp", "--rtmp-mode", "enhanced", "--rtmp-url", &server.url()]),
    );
    let line = read_until(&mut streamer.stderr(), "encoder: ");
    assert!(line.contains("none") && line.contains("have no effect"), "{line}");
    server.wait_frames();
    receiver.wait_total(60);
    // Whatever was published is sent, the last unit too: nothing waits for a next one.
    drop(camera);
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    let summary = json(&stdout);
    let sent = summary["outputs"]["rtp"]["sent"].as_u64().unwrap();
    assert_eq!((&summary["encoder"], &summary["encoded"]), (&"passthrough".into(), &sent.into()));
    assert_eq!((&summary["frames_in"], &summary["dropped"]), (&sent.into(), &0.into()));
    receiver.wait_total(sent);
    assert_eq!(receiver.pictures(), [((320, 180), sent)]);
    assert!(fs::read_to_string(&sdp).unwrap().contains(&format!("{}/90000", name.to_uppercase())));
    let published = summary["outputs"]["rtmp"]["sent"].as_u64().unwrap();
    assert_eq!(server.decoded(), (published, String::new()));
}

#[test]
fn h264_is_passed_through() {
    is_passed_through("h264", Codec::H264, &["--codec", "h264"]);
}

#[test]
fn h265_is_passed_through_whatever_it_is() {
    is_passed_through("h265", Codec::H265, &["--input-video-source", "encoded"]);
    is_passed_through("h265", Codec::H265, &[]);
}

#[test]
fn units_of_another_codec_than_asked_for() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let _camera = Loop::encoding(&names, Codec::H265);
    let command = || {
        let mut command = names.streamer();
        command.args(["--codec", "h264", "--json", "--rtp", "--rtp-endpoint", &receiver.endpoint()]);
        command.args(["--ingest-max-frames", "40"]);
        command
    };
    let (status, stdout, stderr) = finish(&mut command());
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("H.265 and not H.264"), "{stderr}");
    assert_eq!(json(&stdout)["encoder"], "x264enc");
    receiver.wait_total(30);
    // The picture beside the units.
    assert_eq!(receiver.pictures()[0].0, (64, 36));

    let (status, _, stderr) = finish(command().args(["--input-video-source", "encoded"]));
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.contains("are H.265 and the outputs are for H.264"), "{stderr}");
    let (status, stdout, stderr) = finish(command().args(["--input-video-source", "raw"]));
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(json(&stdout)["encoder"], "x264enc");
}

#[test]
fn a_producer_without_units() {
    let names = Names::new();
    let _camera = Loop::start(&names, None);
    let rtp = ["--rtp", "--rtp-endpoint", "127.0.0.1:9"];
    let (status, _, stderr) = finish(names.streamer().args(rtp).args(["--input-video-source", "encoded"]));
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.contains("no access units") && stderr.contains("--input-video-source auto"), "{stderr}");
    let (status, _, stderr) = finish(names.streamer().args(rtp));
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("give --codec h264 or --codec h265"), "{stderr}");
}

#[test]
fn a_packaging_that_the_units_do_not_have() {
    for (codec, flags) in [(Codec::H264, &["--rtmp-mode", "domestic"][..]), (Codec::H265, &[])] {
        let names = Names::new();
        let _camera = Loop::encoding(&names, codec);
        let url = "rtmp://127.0.0.1:1/live/sekret";
        let (status, _, stderr) = finish(names.streamer().args(["--rtmp", "--rtmp-url", url]).args(flags));
        assert_eq!(status, Some(1), "{stderr}");
        assert!(stderr.contains("--rtmp-mode") && !stderr.contains("sekret"), "{stderr}");
    }
}

#[test]
fn sessions_go_on_when_the_producer_begins_or_ceases_to_encode() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let receiver = RtpReceiver::start("h264");
    let streamer = Running::start(
        names.streamer().args(["--codec", "h264", "--json", "--rtp", "--rtp-endpoint", &receiver.endpoint()]).args([
            "--rtmp",
            "--rtmp-url",
            &server.url(),
        ]),
    );
    for round in 0..4 {
        let before = receiver.total();
        let _camera = match round % 2 {
            0 => Loop::start(&names, None),
            _ => Loop::encoding(&names, Codec::H264),
        };
        receiver.wait_total(before + 30);
    }
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    let encoders = stderr.lines().filter(|line| line.contains("encoder: ")).collect::<Vec<_>>();
    assert_eq!(encoders.len(), 4, "{stderr}");
    for (line, encoder) in encoders.iter().zip(["x264enc", "none", "x264enc", "none"]) {
        assert!(line.contains(&format!("encoder: {encoder}")), "{stderr}");
    }
    let outputs = &json(&stdout)["outputs"];
    assert_eq!(outputs["rtmp"]["connects"], 1);
    receiver.wait_total(outputs["rtp"]["sent"].as_u64().unwrap());
    assert_eq!(server.decoded(), (outputs["rtmp"]["sent"].as_u64().unwrap(), String::new()));
}

#[test]
fn a_signal_ends_the_wait_for_a_keyframe() {
    let names = Names::new();
    // One keyframe, before the launcher was there.
    let mut units = encode(Codec::H264, SIZE, FPS, 1000);
    units.remove(0);
    let _camera = Loop::start(&names, Some((Codec::H264, units)));
    let mut streamer = Running::start(names.streamer().args(["--json", "--rtp", "--rtp-endpoint", "127.0.0.1:9"]));
    read_until(&mut streamer.stderr(), "waiting for the producer");
    wait_for("frames of use to nobody", || names.segment().exists());
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(json(&stdout)["frames_in"], 0);
}
