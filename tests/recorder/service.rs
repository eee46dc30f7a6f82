//! Recordings on request, over a real NATS server: a simulated camera in one process, the streamer in another.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use crate::nats_server::NatsServer;
use crate::recorder_support::{checksum, decoded_frames, names_in, read_mcap};
use crate::streamer_support::{ENDLESS, PATIENCE, Running, finish, program, wait_for};
use cvmmap::{
    Target,
    nats::{
        Client, Consumer, Notice, Options, Subjects,
        prost::Message,
        proto::{
            ErrorCode, McapRecordingOptions, RecordingStartRequest, RecordingStatusRequest, RecordingStatusResponse,
            SvoRecordingOptions,
        },
    },
};
use serde_json::Value;

/// A simulated camera, a streamer that records on request, and whoever asks.
pub struct Scene {
    server: NatsServer,
    pub folder: tempfile::TempDir,
    pub uri: String,
    subjects: Subjects,
    client: Client,
    pub streamer: Running,
    _camera: Running,
}

impl Scene {
    fn start(name: &str, more: &[&str]) -> Self {
        Self::of(name, &["--dummy-depth", "--dummy-body", "34"], &[&["--codec", "h264"], more].concat())
    }

    /// With these flags of the camera and of the streamer.
    pub fn of(name: &str, camera_flags: &[&str], more: &[&str]) -> Self {
        let server = NatsServer::start();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("root/day")).unwrap();
        let uri = format!("cvmmap://{name}{}@{}", std::process::id(), folder.path().display());
        let target: Target = uri.parse().unwrap();
        let mut camera = program();
        camera
            .args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()])
            .args(["--dummy-width", "320", "--dummy-height", "180"])
            .args(camera_flags)
            .args(ENDLESS)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut streamer = program();
        streamer
            .args(["--input-uri", &uri, "--gop", "10", "--nats-url", &server.url(), "--record-root"])
            .arg(folder.path().join("root"))
            .args(more)
            .current_dir(folder.path());
        let (camera, streamer) = (Running::start(&mut camera), Running::start(&mut streamer));
        let client = Client::connect(&Options::parse(&server.url()).unwrap(), "test").unwrap();
        client.wait_connected(PATIENCE).unwrap();
        let scene = Self { server, folder, uri, subjects: Subjects::from(&target), client, streamer, _camera: camera };
        wait_for("the recorder's service", || {
            scene.ask::<RecordingStatusRequest>("mcap", "status", &Default::default()).is_some()
        });
        scene
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    fn ask<R: Message>(&self, format: &str, verb: &str, request: &R) -> Option<RecordingStatusResponse> {
        let subject = self.subjects.streamer_recorder(format, verb);
        let answer = self.client.request(&subject, request.encode_to_vec(), PATIENCE).ok()?;
        Some(RecordingStatusResponse::decode(&*answer).unwrap())
    }

    fn start_at(&self, format: &str, path: &str) -> RecordingStatusResponse {
        let request = RecordingStartRequest { output_path: path.to_owned(), ..Default::default() };
        self.ask(format, "start", &request).unwrap()
    }

    fn ctl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
        command.args(arguments).args(["--nats-url", &self.server.url()]);
        finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let (code, stdout, stderr) = self.ctl(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    fn await_frames(&self, format: &str) {
        wait_for("recorded frames", || self.frames(format) >= 20);
    }

    /// Access units recorded so far.
    pub fn frames(&self, format: &str) -> u64 {
        self.json(&["record", "status", &self.uri, "--format", format])["frames_encoded"].as_u64().unwrap()
    }
}

#[test]
fn video_depth_and_bodies_are_recorded_on_request() {
    let scene = Scene::start("svc", &[]);
    let found = scene.json(&["list"]);
    let streamer = found.as_array().unwrap().iter().find(|found| found["kind"] == "streamer").unwrap();
    assert_eq!(streamer["key"].as_str(), Some(scene.subjects.key()));
    assert_eq!(streamer["metadata"]["recording_formats"], "mcap,mp4");
    let told = scene.json(&["record", "capabilities", &scene.uri]);
    assert_eq!(told["formats"], serde_json::json!(["mcap"]));

    // What the camera publishes meanwhile, byte for byte.
    let (sender, packets) = std::sync::mpsc::channel();
    let listener = Client::connect(&Options::parse(&scene.server.url()).unwrap(), "listener").unwrap();
    listener.wait_connected(PATIENCE).unwrap();
    let _consumer = Consumer::start(listener, scene.subjects.clone(), move |notice| {
        if let Notice::Body(body) = notice {
            let _ = sender.send(checksum(&body.bytes));
        }
    });

    let started = scene.json(&["record", "start", &scene.uri, "--output", "day/one.mcap", "--topic", "/left/video"]);
    assert_eq!((started["is_recording"].as_bool(), started["can_record"].as_bool()), (Some(true), Some(true)));
    scene.json(&["record", "start", &scene.uri, "--format", "mp4", "--output", "one.mp4"]);
    scene.await_frames("mcap");
    scene.await_frames("mp4");
    let stopped = scene.json(&["record", "stop", &scene.uri]);
    assert_eq!(stopped["is_recording"], false);
    scene.json(&["record", "stop", &scene.uri, "--format", "mp4"]);

    let recorded = read_mcap(&scene.root().join("day/one.mcap"));
    assert_eq!(recorded["finished"], true);
    assert_eq!(recorded["channels"]["/left/video"]["schema"], "foxglove.CompressedVideo");
    let count = |what: &str| recorded[what].as_array().unwrap().len();
    assert!(
        count("video") >= 20 && count("depth") >= 15 && count("body") >= 5,
        "{} {} {}",
        count("video"),
        count("depth"),
        count("body")
    );
    let published: HashSet<String> = packets.try_iter().collect();
    for body in recorded["body"].as_array().unwrap() {
        assert!(published.contains(body["sha"].as_str().unwrap()), "{body} was never published");
    }
    assert!(decoded_frames(&scene.root().join("one.mp4")).0 >= 20);

    // The clients that exist ask under another subject.
    let subject = scene.subjects.control_recorder("mcap", "status");
    let answer = scene.client.request(&subject, Vec::new(), PATIENCE).unwrap();
    assert_eq!(RecordingStatusResponse::decode(&*answer).unwrap().error(), ErrorCode::Ok);

    scene.streamer.signal("-TERM");
    let (code, _, stderr) = scene.streamer.wait();
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn refusals_say_why_and_write_nothing() {
    let scene = Scene::start("no", &[]);
    let root = scene.root();
    let outside = scene.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, root.join("link")).unwrap();
    fs::write(root.join("kept.video"), "kept").unwrap();
    fs::write(root.join("file"), "").unwrap();
    let absolute = outside.join("a.video");
    for (path, code, why) in [
        ("", ErrorCode::InvalidPayload, "names no file"),
        ("../a.video", ErrorCode::InvalidPayload, "not below"),
        ("link/a.video", ErrorCode::InvalidPayload, "not below"),
        ("day/../../a.video", ErrorCode::InvalidPayload, "not below"),
        (absolute.to_str().unwrap(), ErrorCode::InvalidPayload, "not below"),
        ("kept.video", ErrorCode::InvalidPayload, "is not replaced"),
        ("file/a.video", ErrorCode::Error, "file"),
        ("nowhere/a.video", ErrorCode::Error, "No such"),
    ] {
        for format in ["mcap", "mp4"] {
            let refused = scene.start_at(format, path);
            assert_eq!(refused.error(), code, "{format} {path}: {}", refused.error_message);
            assert!(refused.error_message.contains(why), "{format} {path}: {}", refused.error_message);
            assert!(!refused.is_recording, "{format} {path}");
        }
    }
    for (format, path) in [("mcap", "b.mp4"), ("mp4", "b.mcap"), ("mcap", "day/b.MP4")] {
        let refused = scene.start_at(format, path);
        assert_eq!(refused.error(), ErrorCode::InvalidPayload, "{format} {path}");
        assert!(refused.error_message.contains("another format"), "{format} {path}: {}", refused.error_message);
    }
    let (code, _, stderr) = scene.ctl(&["record", "start", &scene.uri, "--output", "b.mp4"]);
    assert!(code == Some(1) && stderr.contains("add --format mp4"), "{stderr}");
    let svo = RecordingStartRequest {
        output_path: "a.mcap".to_owned(),
        svo_options: Some(SvoRecordingOptions::default()),
        ..Default::default()
    };
    assert_eq!(scene.ask("mcap", "start", &svo).unwrap().error(), ErrorCode::InvalidPayload);
    let compressed = |compression: &str| RecordingStartRequest {
        output_path: "a.mcap".to_owned(),
        mcap_options: Some(McapRecordingOptions { compression: Some(compression.to_owned()), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(scene.ask("mp4", "start", &compressed("zstd")).unwrap().error(), ErrorCode::InvalidPayload);
    let unknown = scene.ask("mcap", "start", &compressed("rar")).unwrap();
    assert!(unknown.error_message.contains("zstd, lz4 or none"), "{}", unknown.error_message);
    let garbage = scene.client.request(&scene.subjects.streamer_recorder("mcap", "start"), vec![0xFF; 64], PATIENCE);
    let garbage = RecordingStatusResponse::decode(&*garbage.unwrap()).unwrap();
    assert_eq!(garbage.error(), ErrorCode::InvalidPayload);
    assert_eq!(scene.ctl(&["record", "stop", &scene.uri]).0, Some(2));

    assert_eq!(names_in(&root), ["day", "file", "kept.video", "link"]);
    assert_eq!(names_in(&outside), [] as [&str; 0]);
    assert_eq!(fs::read_to_string(root.join("kept.video")).unwrap(), "kept");

    assert_eq!(scene.start_at("mcap", root.join("inside.mcap").to_str().unwrap()).error(), ErrorCode::Ok);
    let busy = scene.start_at("mcap", "other.mcap");
    assert_eq!(busy.error(), ErrorCode::Error);
    assert!(busy.error_message.contains("stop that first") && busy.is_recording, "{}", busy.error_message);
    scene.await_frames("mcap");
    // Ended by a signal, the file is made whole.
    scene.streamer.signal("-TERM");
    assert_eq!(scene.streamer.wait().0, Some(0));
    assert_eq!(read_mcap(Path::new(&root.join("inside.mcap")))["finished"], true);
}
