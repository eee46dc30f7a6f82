//! Recordings that begin and end while a stream runs, and `mcap_replay`: what was recorded comes out again.
//!
//! Longer than other files: a recording is made, replayed and compared, by one stage for all cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    time::Instant,
};

use crate::nats_server::NatsServer;
use crate::recorder_support::{self, Camera, checksum, read_mcap};
use crate::streamer_support::{self, ENDLESS, Names, PATIENCE, Running, finish, program, wait_for};
use cvmmap::{
    Address, PlaneKind, SnapshotReader, Subscriber, Target, body,
    nats::{Client, Consumer, Notice, Options, StatusCode, Subjects},
};
use gst::prelude::*;
use serde_json::json;
use tools_cli::file_format::FileFormat;
use tools_mcap::{
    depth::DepthCoding,
    writer::{Compression, Topics},
};
use tools_streamer::recorder::{McapSettings, Place, RecordError, Recorders, Root, State};

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
        let recorders = Recorders::new(Arc::new(|line: &str| panic!("{line}")));
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
        let settings = McapSettings { topics, frame_id: "camera".to_owned(), compression: Compression::Zstd, depth };
        self.recorders.start_mcap(Place::anywhere(path)?, settings, None)
    }

    fn wait_video(&self, count: u64) {
        wait_for(&format!("access unit {count}"), || self.recorders.status(FileFormat::Mcap).video >= count);
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
    // Nobody is there: it plays all the same.
    command.args(["--nats-url", "nats://127.0.0.1:9"]);
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
    let status = tap.recorders.status(FileFormat::Mcap);
    assert_eq!((status.body, status.invalid_bodies), (1, 1));
    assert_eq!(tap.recorders.stop(FileFormat::Mcap, PATIENCE).unwrap().state, State::Finished);
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
    let player = Running::start(replay(&file, &names).args(["--loop", "--speed", "3", "--json", "--perms", "0640"]));
    // Whatever the umask.
    names.wait_modes(0o640, 0o660);
    // The first pass may have begun before somebody listened.
    tap.wait_video(2 * recorded.len() as u64 + 10);
    assert_eq!(tap.recorders.stop(FileFormat::Mcap, PATIENCE).unwrap().state, State::Finished);
    player.signal("-TERM");
    let (code, stdout, stderr) = player.wait();
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let summary = streamer_support::json(&stdout);
    assert_eq!(summary["frames"], summary["depth"]);
    assert!(summary["passes"].as_u64().unwrap() >= 1 && summary["body"].as_u64().unwrap() >= 1);
    assert_eq!(summary["body_unsent"], summary["body"]);
    assert_eq!(frames(&again), recorded);
}

#[test]
fn recordings_begin_and_end_while_the_stream_runs() {
    let names = Names::new();
    let _camera = Camera::start(&names.shm, &names.endpoint());
    let tap = Tap::start(&names);
    assert_eq!(tap.recorders.status(FileFormat::Mcap).state, State::Idle);
    assert!(tap.recorders.stop(FileFormat::Mcap, PATIENCE).is_none());
    assert!(!tap.attaches_planes());

    let files = ["a.mcap", "b.mcap"].map(|name| names.path(name));
    for file in &files {
        tap.record(file).unwrap();
        assert!(tap.attaches_planes());
        let busy = tap.record(&names.path("c.mcap")).unwrap_err();
        assert!(matches!(&busy, RecordError::Busy(path) if path.ends_with(file.file_name().unwrap())), "{busy}");
        tap.wait_video(12);
        assert_eq!(tap.recorders.status(FileFormat::Mcap).state, State::Recording);
        let status = tap.recorders.stop(FileFormat::Mcap, PATIENCE).unwrap();
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
    wait_for("MP4 video", || tap.recorders.status(FileFormat::Mp4).video >= 12);
    let status = tap.recorders.stop(FileFormat::Mp4, PATIENCE).unwrap();
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
    let (code, _, stderr) = finish(replay(&names.path("nowhere.mcap"), &names).args(["--perms", "0755"]));
    assert_eq!(code, Some(1), "{stderr}");
    let (code, _, stderr) = finish(&mut replay(&names.path("nowhere.mcap"), &names));
    assert_eq!(code, Some(2), "{stderr}");
    let mut unnamed = Command::new(env!("CARGO_BIN_EXE_mcap_replay"));
    unnamed.arg("a.mcap").stdout(Stdio::piped()).stderr(Stdio::piped());
    let (code, _, stderr) = finish(&mut unnamed);
    assert_eq!(code, Some(1), "{stderr}");
}

/// Log times and checksums of body-tracking packets.
fn bodies(file: &Path) -> BTreeSet<(u64, String)> {
    let read = read_mcap(file);
    let packets = read["body"].as_array().unwrap().iter();
    packets.map(|packet| (packet["log_time"].as_u64().unwrap(), packet["sha"].as_str().unwrap().to_owned())).collect()
}

/// Programs that know each other by a producer's name and a NATS server.
struct Stage {
    server: NatsServer,
    folder: tempfile::TempDir,
    uri: String,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("cvmmap://replay{}@{}", std::process::id(), folder.path().display());
        Self { server: NatsServer::start(), folder, uri }
    }

    fn start(&self, command: &mut Command, arguments: &[&str]) -> Running {
        command.args(["--nats-url", &self.server.url()]).args(arguments).current_dir(self.folder.path());
        Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn replay(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcap_replay"));
        self.start(command.args(["a.mcap", "--json", "--uri", &self.uri]), arguments)
    }

    /// A recording of so many frames.
    fn record(&self, name: &str, frames: u32) -> std::path::PathBuf {
        let limit = frames.to_string();
        let recorder =
            self.start(&mut program(), &["--input-uri", &self.uri, "--mcap", name, "--ingest-max-frames", &limit]);
        let (code, stdout, stderr) = recorder.wait();
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        self.folder.path().join(name)
    }

    fn ctl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
        self.start(command.args(arguments), &["--json"]).wait()
    }

    fn answer(&self, arguments: &[&str]) -> serde_json::Value {
        let (code, stdout, stderr) = self.ctl(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        streamer_support::json(&stdout)
    }

    /// The producer's status events from now on.
    fn statuses(&self) -> (Consumer, mpsc::Receiver<StatusCode>) {
        let client = Client::connect(&Options::parse(&self.server.url()).unwrap(), "test").unwrap();
        client.wait_connected(PATIENCE).unwrap();
        let (sender, statuses) = mpsc::channel();
        let subjects = Subjects::from(&self.uri.parse::<Target>().unwrap());
        let consumer = Consumer::start(client, subjects, move |notice| {
            if let Notice::Status(status) = notice {
                let _ = sender.send(status.code);
            }
        });
        (consumer, statuses)
    }
}

/// What consumers see of a producer.
struct Viewer {
    subscriber: Subscriber,
    reader: SnapshotReader,
}

impl Viewer {
    fn new(uri: &str) -> Self {
        let address = Address::from(&uri.parse::<Target>().unwrap());
        let reader = SnapshotReader::new(&address, cvmmap::Coherence::Metadata);
        Self { subscriber: Subscriber::connect(&address).unwrap(), reader }
    }

    /// Frame id, time and checksum of the picture of the next frame that is read whole.
    fn next(&mut self) -> (u32, u64, String) {
        loop {
            let event = self.subscriber.wait(Some(PATIENCE)).unwrap();
            let cvmmap::Event::Frame(announced) = event else { panic!("no frame came") };
            let Ok(mut snapshot) = self.reader.begin(&announced, self.subscriber.arrival()) else { continue };
            let plane = *snapshot.metadata().plane(PlaneKind::Left).unwrap();
            let mut bytes = vec![0; plane.size as usize];
            let read = snapshot.read(PlaneKind::Left, &mut bytes, plane.stride as usize);
            if read.is_ok() && snapshot.finish().is_ok() {
                return (announced.frame_id, announced.timestamp_ns, checksum(&bytes));
            }
        }
    }
}

/// A camera with depth and bodies is recorded, replayed and recorded again; then consumers move about in it.
#[test]
fn a_replay_speaks_nats_as_the_camera_did() {
    let stage = Stage::new();
    let mut camera = program();
    camera.args(["--input-mode", "dummy", "--input-uri", &stage.uri, "--dummy-encoded", "h264", "--dummy-depth"]);
    camera.args(["--dummy-width", "320", "--dummy-height", "180", "--dummy-body", "34"]).args(ENDLESS);
    let camera = stage.start(camera.stdout(Stdio::null()).stderr(Stdio::null()), &[]);
    let file = stage.record("a.mcap", 90);
    drop(camera);
    let (recorded, packets) = (frames(&file), bodies(&file));
    assert_eq!(recorded.len(), 90);
    assert!(packets.len() > 60, "{}", packets.len());

    let player = stage.replay(&["--loop", "--speed", "2"]);
    let again = stage.record("b.mcap", 4 * 90);
    assert_eq!(frames(&again), recorded);
    assert_eq!(bodies(&again), packets);
    player.signal("-TERM");
    let (code, stdout, stderr) = player.wait();
    assert_eq!(code, Some(0), "{stderr}");
    let summary = streamer_support::json(&stdout);
    assert!(summary["body"].as_u64() >= Some(packets.len() as u64), "{summary}");
    assert_eq!((summary["body_invalid"].as_u64(), summary["depth_invalid"].as_u64()), (Some(0), Some(0)));

    let (_consumer, statuses) = stage.statuses();
    let player = stage.replay(&["--loop"]);
    let await_status = |wanted| while statuses.recv_timeout(PATIENCE).unwrap() != wanted {};
    await_status(StatusCode::Online);
    let mut viewer = Viewer::new(&stage.uri);
    // Once around: each picture as it is when nobody seeks.
    let mut pictures = BTreeMap::new();
    while pictures.len() < recorded.len() {
        let (_, time, picture) = viewer.next();
        pictures.insert(time, picture);
    }
    await_status(StatusCode::StreamReset);

    let times = recorded.keys().copied().collect::<Vec<_>>();
    let info = stage.answer(&["info", &stage.uri]);
    assert_eq!((info["kind"].as_str(), info["timestamp_domain"].as_str()), (Some("finite"), Some("unix")));
    for flag in ["can_seek", "loops", "loop_emits_reset", "has_depth", "has_body"] {
        assert_eq!(info[flag], true, "{flag}");
    }
    assert_eq!(info["can_record"], false);
    let [start, end] = ["timeline_start_ns", "timeline_end_ns"].map(|name| info[name].as_u64().unwrap());
    assert_eq!((start, end), (times[0], times[89]));
    assert_eq!(info["duration_ns"].as_u64(), Some(end - start));
    assert!(times.contains(&info["current_timestamp_ns"].as_u64().unwrap()));
    let found = stage.answer(&["list"]);
    let names = found.as_array().unwrap().iter().map(|found| found["kind"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["producer"]);

    for (target, at) in [(times[47], 47), (times[20] + 1, 20), (end, 89), (start, 0)] {
        // The viewer, on a busy machine, may miss the frame.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let landed = stage.answer(&["seek", &stage.uri, &target.to_string()]);
            assert_eq!(landed["landed_timestamp_ns"].as_u64(), Some(times[at]));
            assert_eq!(landed["exact_match"], target == times[at]);
            assert_eq!(landed["landed_frame_count"], 0);
            await_status(StatusCode::StreamReset);
            let came =
                std::iter::repeat_with(|| viewer.next()).take(100).find(|came| (came.0, came.1) == (0, times[at]));
            if let Some((.., picture)) = came {
                assert_eq!(Some(&picture), pictures.get(&times[at]), "frame {at}");
                break;
            }
            assert!(Instant::now() < deadline, "no frame {at}");
        }
    }
    let (code, _, stderr) = stage.ctl(&["seek", &stage.uri, &(end + 1).to_string()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("OUT_OF_RANGE"), "{stderr}");
    assert_eq!(stage.answer(&["reset", &stage.uri])["reset"], true);
    player.signal("-TERM");
    await_status(StatusCode::Offline);
    let (code, stdout, stderr) = player.wait();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(streamer_support::json(&stdout)["seeks"].as_u64() >= Some(4), "{stdout}");

    // Without its end a file is played, and nothing more.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let player = stage.replay(&["--speed", "0.05"]);
    await_status(StatusCode::Online);
    wait_for("an answer", || stage.ctl(&["info", &stage.uri]).0 == Some(0));
    let info = stage.answer(&["info", &stage.uri]);
    assert_eq!((info["can_seek"].as_bool(), info["timeline_end_ns"].as_u64()), (Some(false), Some(0)));
    let (code, _, stderr) = stage.ctl(&["seek", &stage.uri, &start.to_string()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("UNSUPPORTED"), "{stderr}");
    drop(player);
}
