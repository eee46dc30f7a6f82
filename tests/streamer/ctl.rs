//! `cvmmap_ctl` and the simulated producer, over a real NATS server.

use std::process::{Command, Stdio};

use crate::nats_server::NatsServer;
use crate::streamer_support::{ENDLESS, PATIENCE, Running, finish, program, read_until, wait_for};
use cvmmap::{
    Address, PlaneKind, SnapshotReader, Subscriber, Target,
    nats::{
        Client, Options, SERVICE_STREAMER, Service, Subjects,
        prost::Message as _,
        proto::{ErrorCode, RecordingStartRequest, RecordingStatusResponse},
    },
};
use serde_json::Value;

struct Camera {
    uri: String,
    target: Target,
    _folder: tempfile::TempDir,
    _running: Running,
}

/// A simulated producer with everything on it.
fn camera(server: &NatsServer, name: &str, more: &[&str]) -> Camera {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("cvmmap://{name}{}@{}", std::process::id(), folder.path().display());
    let mut command = program();
    command.args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()]);
    command.args(["--dummy-width", "64", "--dummy-height", "48", "--dummy-fps", "60"]).args(more);
    let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    Camera { target: uri.parse().unwrap(), uri, _folder: folder, _running: running }
}

fn ctl(server: &NatsServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
    command.args(arguments).args(["--nats-url", &server.url()]);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn json(server: &NatsServer, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = ctl(server, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// Waits until a producer answers with a timeline.
fn await_info(server: &NatsServer, camera: &Camera) -> Value {
    let mut info = Value::Null;
    wait_for("an answer", || {
        let (code, stdout, _) = ctl(server, &["info", &camera.uri, "--json"]);
        info = serde_json::from_str(&stdout).unwrap_or_default();
        code == Some(0) && info["timeline_end_ns"].as_u64() > Some(0)
    });
    info
}

#[test]
fn a_producer_is_found_asked_and_told() {
    let server = NatsServer::start();
    let camera = camera(&server, "a", &["--dummy-frames", "100000", "--dummy-body", "34", "--dummy-depth"]);
    let info = await_info(&server, &camera);
    assert_eq!((info["kind"].as_str(), info["can_seek"].as_bool()), (Some("finite"), Some(true)));
    assert_eq!((info["has_depth"].as_bool(), info["has_body"].as_bool()), (Some(true), Some(true)));

    let found = json(&server, &["list"]);
    let [producer] = found.as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(producer["key"].as_str(), Some(camera.target.nats_target_key().as_str()));
    assert_eq!(producer["metadata"]["ipc_prefix"].as_str(), Some(camera.target.prefix()));
    assert_eq!(producer["namespace"], "cvmmap");
    assert!(producer["offers"].as_array().unwrap().contains(&"source.seek".into()));
    let (_, table, _) = ctl(&server, &["list"]);
    assert!(table.starts_with("KIND") && table.contains(camera.target.instance()), "{table}");

    let target = info["timeline_start_ns"].as_u64().unwrap() + 60_000_000_000;
    let landed = json(&server, &["seek", &camera.uri, &target.to_string()]);
    assert_eq!(landed["landed_timestamp_ns"].as_u64(), Some(target));
    let now = json(&server, &["info", &camera.uri])["current_timestamp_ns"].as_u64().unwrap();
    assert!(now >= target, "{now} is behind {target}");
    assert_eq!(json(&server, &["reset", &camera.uri])["reset"], true);
    let landed = json(&server, &["seek", &camera.uri, "+60"]);
    assert_eq!(landed["landed_timestamp_ns"].as_u64(), Some(target));
    assert_eq!(ctl(&server, &["seek", &camera.uri, "5"]).0, Some(2));
    let (code, _, stderr) = ctl(&server, &["seek", &camera.uri, "+100000000"]);
    assert_eq!(code, Some(2), "behind the end");
    for bound in ["timeline_start_ns", "timeline_end_ns"] {
        assert!(stderr.contains(&info[bound].to_string()), "{bound}: {stderr}");
    }
    for wrong in ["+", "+-1", "+nan", "+inf", "+1e300", "-1", "1.5"] {
        assert_eq!(ctl(&server, &["seek", &camera.uri, wrong]).0, Some(1), "{wrong}");
    }
    assert!(producer["offers"].as_array().unwrap().contains(&"camera_control.set_range".into()));
}

#[test]
fn watch_tells_frames_status_and_bodies() {
    let server = NatsServer::start();
    let camera = camera(&server, "w", &[&ENDLESS[..], &["--dummy-body", "18"]].concat());
    let mut watch = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
    watch.args(["watch", &camera.uri, "--interval-ms", "100", "--json", "--nats-url", &server.url()]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut seen = [false; 3];
    while seen != [true; 3] {
        let line: Value = serde_json::from_str(&read_until(&mut lines, "{")).unwrap();
        assert!(line["frames"] == 0 || line["stall"].is_null(), "{line}");
        seen[0] |= line["fps"].as_f64() > Some(0.0) && line["latency_ms_mean"].is_number();
        seen[1] |= line["bodies"] == 2;
        if seen[0] && seen[1] && !seen[2] {
            json(&server, &["reset", &camera.uri]);
        }
        seen[2] |= line["status"].as_array().unwrap().contains(&"stream-reset".into());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn watch_tells_why_nothing_comes() {
    let server = NatsServer::start();
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("cvmmap://nobody-{}@{}", std::process::id(), folder.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
    command.args(["watch", &uri, "--count", "1", "--interval-ms", "100", "--nats-url", &server.url()]);
    let said = command.output().unwrap();
    assert!(said.status.success());
    let text = String::from_utf8(said.stdout).unwrap();
    for word in ["segment /dev/shm/cvmmap_nobody", "ipc://", "the segment is not there", "the socket is not there"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let line: Value = serde_json::from_slice(&command.arg("--json").output().unwrap().stdout).unwrap();
    assert!(line["stall"].as_str().unwrap().contains("the segment is not there"), "{line}");
}

/// What the server denies is told as a right that is missing, at once, and not as a producer that does not answer.
#[test]
fn a_denied_right_is_told_as_such() {
    let rights = "authorization { users: [\n\
                  { user: camera, password: pw }\n\
                  { user: viewer, password: pw, permissions: { publish: { deny: \"*.*.producer.source.reset\" } } }\n] }";
    let server = NatsServer::with(rights);
    let url = |user: &str| server.url().replace("nats://", &format!("nats://{user}:pw@"));
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("cvmmap://denied{}@{}", std::process::id(), folder.path().display());
    let mut simulator = program();
    simulator.args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &url("camera")]).args(ENDLESS);
    let _camera = Running::start(simulator.stdout(Stdio::null()).stderr(Stdio::null()));
    let ask = |what: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
        command.args([what, &uri, "--timeout-ms", "20000", "--nats-url", &url("viewer")]);
        finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    wait_for("the camera", || ask("info").0 == Some(0));
    let (code, _, stderr) = ask("reset");
    assert!(code == Some(2) && stderr.contains("denies the right"), "{code:?}: {stderr}");
    assert!(!stderr.contains("pw@"), "{stderr}");
}

#[test]
fn a_recorder_is_asked_by_either_subject() {
    let server = NatsServer::start();
    let client = Client::connect(&Options::parse(&server.url()).unwrap(), "recorder").unwrap();
    client.wait_connected(PATIENCE).unwrap();
    let target: Target = "cvmmap://rec".parse().unwrap();
    let subjects = Subjects::from(&target);
    let start = |request: &[u8]| {
        let request = RecordingStartRequest::decode(request).unwrap();
        let (error, error_message) = match request.output_path.as_str() {
            "busy.mcap" => (ErrorCode::Error, "busy: already recording\x1b[2J".to_owned()),
            _ => (ErrorCode::Ok, String::new()),
        };
        let topic = request.mcap_options.and_then(|options| options.topic).unwrap_or_default();
        RecordingStatusResponse {
            error: error.into(),
            is_recording: true,
            active_path: request.output_path + &topic,
            error_message,
            ..RecordingStatusResponse::default()
        }
        .encode_to_vec()
    };
    let _service = Service::builder(SERVICE_STREAMER, "0.1.0")
        .metadata("nats_target_key", target.nats_target_key())
        .endpoint(&subjects.streamer_recorder("mcap", "start"), start)
        .endpoint(&subjects.control_recorder("mcap", "status"), |_| vec![0x20, 1])
        .start(&client);
    wait_for("the service", || !json(&server, &["list"]).as_array().unwrap().is_empty());
    let started = json(&server, &["record", "start", "rec", "--output", "a.mcap", "--topic", "/t"]);
    assert_eq!(started["active_path"], "a.mcap/t");
    let (code, _, stderr) = ctl(&server, &["record", "start", "rec", "--output", "busy.mcap"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("busy: already recording") && !stderr.contains('\x1b'), "{stderr}");
    assert_eq!(json(&server, &["record", "status", "rec"])["is_recording"], true);
    let (code, _, stderr) = ctl(&server, &["record", "stop", "rec", "--format", "mp4"]);
    assert_eq!(code, Some(124), "{stderr}");
    let wrong = ctl(&server, &["record", "start", "rec", "--format", "mp4", "--output", "a", "--topic", "/t"]);
    assert_eq!(wrong.0, Some(1), "{}", wrong.2);
}

#[test]
fn no_server_is_told_in_time_and_without_secrets() {
    let mut server = NatsServer::start();
    server.kill();
    let (code, _, stderr) =
        ctl(&server, &["list", "--timeout-ms", "50", "--nats-user", "u", "--nats-password", "sekret"]);
    assert_eq!(code, Some(124), "{stderr}");
    assert!(stderr.contains("no connection to nats://127.0.0.1") && !stderr.contains("sekret"), "{stderr}");
    let both = ["list", "--nats-token", "sekret", "--nats-user", "u", "--nats-password", "sekret"];
    let (code, _, stderr) = ctl(&server, &both);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!stderr.contains("sekret"), "{stderr}");
}

/// Every plane that consumers know comes from the simulator.
#[test]
fn the_simulator_has_every_plane() {
    let server = NatsServer::start();
    for codec in ["h264", "h265"] {
        let more = ["--dummy-depth", "--dummy-confidence", "--dummy-encoded", codec];
        let camera = camera(&server, codec, &[&ENDLESS[..], &more].concat());
        let address = Address::from(&camera.target);
        let mut subscriber = Subscriber::connect(&address).unwrap();
        let mut reader = SnapshotReader::new(&address, cvmmap::Coherence::Metadata);
        let (unit, depth) = loop {
            let cvmmap::Event::Frame(announced) = subscriber.wait(Some(PATIENCE)).unwrap() else {
                panic!("no frame came");
            };
            let Ok(mut snapshot) = reader.begin(&announced, subscriber.arrival()) else { continue };
            let metadata = *snapshot.metadata();
            let mut bytes = |kind| {
                let plane = metadata.plane(kind)?;
                let mut bytes = vec![0; plane.size as usize];
                snapshot.read(kind, &mut bytes, plane.stride as usize).ok()?;
                Some(bytes)
            };
            let [unit, depth, confidence] =
                [PlaneKind::Encoded, PlaneKind::Depth, PlaneKind::Confidence].map(&mut bytes);
            if snapshot.finish().is_ok() && metadata.encoded.is_some_and(|encoded| encoded.keyframe) {
                assert!(confidence.is_some());
                break (unit.unwrap(), depth.unwrap());
            }
        };
        assert!(unit.starts_with(&[0, 0, 0, 1]), "{:02x?}", &unit[..8]);
        // Parameter sets come with every keyframe. Source: H.264 and H.265, NAL unit types.
        let types: Vec<u8> =
            unit.windows(4).filter(|window| window[..3] == [0, 0, 1]).map(|window| window[3]).collect();
        let parameter_set = |byte: &u8| if codec == "h264" { byte & 0x1F == 7 } else { byte >> 1 & 0x3F == 33 };
        assert!(types.iter().any(parameter_set), "{types:02x?}");
        let rows: Vec<f32> = depth.chunks_exact(4).map(|float| f32::from_le_bytes(float.try_into().unwrap())).collect();
        assert!(rows[0].is_nan());
        assert_eq!(rows[64 + 1] - rows[1], 1.0);
    }
}

/// A source that starts over costs the stream a keyframe, and no output.
#[test]
fn a_reset_goes_through_the_streamer() {
    let server = NatsServer::start();
    let camera = camera(&server, "r", &ENDLESS);
    let mut command = program();
    command.args(["--input-uri", &camera.uri, "--nats-url", &server.url(), "--codec", "h264"]);
    command.args(["--encoder-device", "software", "--rtp", "--rtp-endpoint", "127.0.0.1:9"]);
    let mut streamer = Running::start(&mut command);
    let mut talk = streamer.stderr();
    read_until(&mut talk, "encoder");
    // It listens to the producer's words from some moment on.
    let resets = std::thread::spawn({
        let (url, uri) = (server.url(), camera.uri.clone());
        let said = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = said.clone();
        let asking = std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
                command.args(["reset", &uri, "--nats-url", &url]).stdout(Stdio::null()).stderr(Stdio::null());
                let _ = command.status();
            }
        });
        move || {
            let line = read_until(&mut talk, "producer: stream-reset");
            said.store(true, std::sync::atomic::Ordering::Relaxed);
            asking.join().unwrap();
            line
        }
    });
    resets.join().unwrap();
    streamer.signal("-TERM");
    let (code, stdout, _) = streamer.wait();
    assert_eq!(code, Some(0), "{stdout}");
}
