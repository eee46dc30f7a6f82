//! Recordings that begin and end while a stream runs, and `mcap_replay`: what was recorded comes out again.

#[path = "recorder_support/mod.rs"]
mod recorder_support;
#[path = "streamer_support/mod.rs"]
mod streamer_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use cvmmap::body;
use cvmmap_tools::recorder::{
    Format, Place, RecordError, Recorders, Root, State,
    depth::DepthCoding,
    mcap::{Compression, Settings, Topics},
};
use gst::prelude::*;
use recorder_support::{Camera, checksum, read_mcap};
use serde_json::json;
use streamer_support::{Names, PATIENCE, Running, finish, wait_for};

/// A stream of a producer's own access units, with recorders on it.
struct Tap {
    pipeline: gst::Pipeline,
    recorders: Arc<Recorders>,
}

impl Tap {
    fn start(names: &Names) -> Self {
        gst::init().unwrap();
        gstcvmmap::plugin_register_static().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "cvmmapsrc name=source plane=encoded shm-name={} zmq-endpoint={} ! h264parse config-interval=-1 ! \
             video/x-h264,stream-format=avc,alignment=au ! appsink name=sink sync=false async=false",
            names.shm,
            names.endpoint()
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let recorders = Recorders::new(|line| panic!("{line}"));
        recorders.watch(&pipeline.by_name("source").unwrap(), Arc::new(|| {}));
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let taker = Arc::clone(&recorders);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    taker.offer(&sink.pull_sample().map_err(|_| gst::FlowError::Eos)?);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, recorders }
    }

    fn record(&self, path: &Path) -> Result<(), RecordError> {
        let (topics, depth) = (Topics::of("camera"), DepthCoding::RvlU16);
        let settings = Settings { topics, frame_id: "camera".to_owned(), compression: Compression::Zstd, depth };
        self.recorders.start_mcap(Place::anywhere(path)?, settings, None)
    }

    fn wait_video(&self, count: u64) {
        wait_for(&format!("access unit {count}"), || self.recorders.status(Format::Mcap).video >= count);
    }

    fn attaches_planes(&self) -> bool {
        self.pipeline.by_name("source").unwrap().property("attach-planes")
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Checksums of access unit and depth by capture time.
fn frames(file: &Path) -> BTreeMap<u64, (String, Option<String>)> {
    let read = read_mcap(file);
    let of = |topic: &str| {
        let messages = read[topic].as_array().unwrap().iter();
        let messages = messages
            .map(|message| (message["timestamp"].as_u64().unwrap(), message["sha"].as_str().unwrap().to_owned()));
        messages.collect::<Vec<_>>()
    };
    let depths = of("depth").into_iter().collect::<BTreeMap<_, _>>();
    of("video").into_iter().map(|(time, unit)| (time, (unit, depths.get(&time).cloned()))).collect()
}

fn replay(file: &Path, names: &Names) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcap_replay"));
    command.arg(file).args(["--shm-name", &names.shm, "--zmq-endpoint", &names.endpoint(), "--label", "camera"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn what_was_recorded_comes_out_again() {
    let names = Names::new();
    let file = names.path("a.mcap");
    let camera = Camera::start(&names.shm, &names.endpoint());
    let tap = Tap::start(&names);
    tap.record(&file).unwrap();
    tap.wait_video(1);
    let packet = body::Packet::new(7, 123_456_789, "camera").to_bytes().unwrap();
    tap.recorders.body(&packet);
    tap.recorders.body(&packet[1..]);
    tap.wait_video(30);
    let status = tap.recorders.status(Format::Mcap);
    assert_eq!((status.body, status.invalid_bodies), (1, 1));
    assert_eq!(tap.recorders.stop(Format::Mcap, PATIENCE).unwrap().state, State::Finished);
    let recorded = frames(&file);
    assert!(recorded.len() >= 30);
    let read = read_mcap(&file);
    assert_eq!(read["body"], json!([{"log_time": 123_456_789, "sha": checksum(&packet)}]));
    assert_eq!(
        read["channels"]["/camera/body"],
        json!({"schema": null, "schema_encoding": null, "message_encoding": "cvmmap.body_tracking.v1",
               "metadata": {"packet_layout": "cvmmap_body_tracking_v1", "payload_format": "raw",
                            "source_transport": "cv-mmap-body-pub"}})
    );
    let published = camera.published();
    for (time, (unit, depth)) in &recorded {
        let frame = published.iter().find(|frame| frame.timestamp_ns == *time).unwrap();
        assert_eq!((unit, depth.as_ref()), (&frame.unit, Some(&frame.depth)));
    }
    drop((camera, tap));

    let names = Names::new();
    let again = names.path("b.mcap");
    let tap = Tap::start(&names);
    tap.record(&again).unwrap();
    let player = Running::start(replay(&file, &names).args(["--loop", "--speed", "3", "--json"]));
    // The first pass may have begun before somebody listened.
    tap.wait_video(2 * recorded.len() as u64 + 10);
    assert_eq!(tap.recorders.stop(Format::Mcap, PATIENCE).unwrap().state, State::Finished);
    player.signal("-TERM");
    let (code, stdout, stderr) = player.wait();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let summary = streamer_support::json(&stdout);
    assert_eq!(summary["frames"], summary["depth"]);
    assert!(summary["passes"].as_u64().unwrap() >= 1 && summary["body"].as_u64().unwrap() >= 1);
    assert_eq!(frames(&again), recorded);
}

#[test]
fn recordings_begin_and_end_while_the_stream_runs() {
    let names = Names::new();
    let _camera = Camera::start(&names.shm, &names.endpoint());
    let tap = Tap::start(&names);
    assert_eq!(tap.recorders.status(Format::Mcap).state, State::Idle);
    assert!(tap.recorders.stop(Format::Mcap, PATIENCE).is_none());
    assert!(!tap.attaches_planes());

    let files = ["a.mcap", "b.mcap"].map(|name| names.path(name));
    for file in &files {
        tap.record(file).unwrap();
        assert!(tap.attaches_planes());
        let busy = tap.record(&names.path("c.mcap")).unwrap_err();
        assert!(matches!(&busy, RecordError::Busy(path) if path.ends_with(file.file_name().unwrap())), "{busy}");
        tap.wait_video(12);
        assert_eq!(tap.recorders.status(Format::Mcap).state, State::Recording);
        let status = tap.recorders.stop(Format::Mcap, PATIENCE).unwrap();
        assert_eq!((status.state, status.files), (State::Finished, 1));
        assert!(!tap.attaches_planes());
        let read = read_mcap(file);
        assert_eq!(read["video"].as_array().unwrap().len() as u64, status.video);
        assert_eq!(status.depth, status.video);
    }
    let taken = tap.record(&files[0]).unwrap_err();
    assert!(matches!(taken, RecordError::Exists(_)), "{taken}");
    // Both begin with a keyframe, and share no frame.
    let times = files.each_ref().map(|file| frames(file).into_keys().collect::<BTreeSet<_>>());
    assert!(times[0].is_disjoint(&times[1]));

    // MP4 beside it, asked for below a root.
    let root = Root::open(names.path("a.mcap").parent().unwrap()).unwrap();
    tap.recorders.start_mp4(root.place(Path::new("c.mp4")).unwrap()).unwrap();
    wait_for("MP4 video", || tap.recorders.status(Format::Mp4).video >= 12);
    let status = tap.recorders.stop(Format::Mp4, PATIENCE).unwrap();
    assert_eq!(recorder_support::decoded_frames(&names.path("c.mp4")), (status.video, String::new()));
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let names = Names::new();
    let refused = |content: &[u8], code: i32, says: &str| {
        let file = names.path("broken.mcap");
        fs::write(&file, content).unwrap();
        let (ended, _, stderr) = finish(&mut replay(&file, &names));
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(stderr.contains(says) && !stderr.contains("panicked"), "{stderr}");
    };
    refused(b"this is no recording", 7, "broken.mcap");
    refused(b"", 7, "no video of topic /camera/video");
    let (code, _, stderr) = finish(&mut replay(&names.path("nowhere.mcap"), &names));
    assert_eq!(code, Some(2), "{stderr}");
    let mut unnamed = Command::new(env!("CARGO_BIN_EXE_mcap_replay"));
    unnamed.arg("a.mcap").stdout(Stdio::piped()).stderr(Stdio::piped());
    let (code, _, stderr) = finish(&mut unnamed);
    assert_eq!(code, Some(1), "{stderr}");
}
