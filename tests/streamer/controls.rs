//! Camera controls and playlists, against a client and a producer that have the contract's messages from elsewhere.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::nats_server::NatsServer;
use crate::streamer_support::{ENDLESS, PATIENCE, Running, finish, program, wait_for};
use cvmmap::{Address, Event, PlaneKind, SnapshotReader, Subscriber, Target};
use serde_json::{Value, json};

const OUT_OF_RANGE: i32 = 5;
const INVALID_PAYLOAD: i32 = 4;
const UNSUPPORTED: i32 = 3;

/// The peer in Python. Ends with its stdin, and when dropped.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(role: &str, server: &NatsServer, key: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/peers/venv/bin/python");
        assert!(python.exists(), "{} is not there: run scripts/setup.sh --tests", python.display());
        let mut child = Command::new(python)
            .arg(root.join("tests/streamer/peer.py"))
            .args([role, &server.url(), key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the peer has ended");
        line
    }

    /// One request of the client, and what came back.
    fn ask(&mut self, request: Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A simulated producer.
struct Simulated {
    uri: String,
    target: Target,
    _folder: tempfile::TempDir,
    _running: Running,
}

impl Simulated {
    fn start(server: &NatsServer, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("cvmmap://{name}{}@{}", std::process::id(), folder.path().display());
        let mut command = program();
        command.args(["--input-mode", "dummy", "--input-uri", &uri, "--nats-url", &server.url()]);
        command.args(["--dummy-width", "64", "--dummy-height", "48", "--dummy-fps", "60"]).args(ENDLESS);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let simulated = Self { target: uri.parse().unwrap(), uri, _folder: folder, _running: running };
        wait_for("an answer", || ctl(server, &["info", &simulated.uri]).0 == Some(0));
        simulated
    }

    /// Waits for a picture whose brightest sample is this one.
    fn wait_brightest(&self, wanted: u8) {
        let address = Address::from(&self.target);
        let mut subscriber = Subscriber::connect(&address).unwrap();
        let mut reader = SnapshotReader::new(&address, cvmmap::Coherence::Metadata);
        let mut seen = None;
        for _ in 0..600 {
            let Event::Frame(announced) = subscriber.wait(Some(PATIENCE)).unwrap() else { panic!("no frame came") };
            let Ok(mut snapshot) = reader.begin(&announced, subscriber.arrival()) else { continue };
            let plane = *snapshot.metadata().plane(PlaneKind::Left).unwrap();
            let mut picture = vec![0; plane.size as usize];
            let read = snapshot.read(PlaneKind::Left, &mut picture, plane.stride as usize).is_ok();
            if !read || snapshot.finish().is_err() {
                continue;
            }
            seen = picture.into_iter().max();
            if seen == Some(wanted) {
                return;
            }
        }
        panic!("the brightest sample is {seen:?} and not {wanted}");
    }
}

fn ctl(server: &NatsServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
    command.args(arguments).args(["--nats-url", &server.url(), "--timeout-ms", "20000"]);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn told(server: &NatsServer, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = ctl(server, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[test]
fn a_foreign_client_turns_the_simulated_camera_brighter_and_darker() {
    let server = NatsServer::start();
    let camera = Simulated::start(&server, "light");
    let mut client = Peer::start("client", &server, &camera.target.nats_target_key());
    let offered = client.ask(json!({ "name": "camera_control.capabilities" }));
    assert_eq!(offered["supported_settings"], json!([1, 2, 3, 11]), "{offered}");
    camera.wait_brightest(255);

    let mut set = |setting, mode, value| {
        client.ask(json!({ "name": "camera_control.set", "setting": setting, "mode": mode, "value": value }))
    };
    let exposed = set(1, 1, 20);
    assert_eq!(exposed["error"], 0, "{exposed}");
    assert_eq!(exposed["control"], json!({ "setting": 1, "kind": 1, "value": 20, "min_value": 0, "max_value": 0 }));
    camera.wait_brightest(102);
    assert_eq!(set(2, 1, 25)["control"]["value"], 25);
    camera.wait_brightest(204);
    for (setting, mode, value, error) in [
        (1, 1, 101, OUT_OF_RANGE),
        (1, 1, -1, OUT_OF_RANGE),
        (1, 1, i32::MIN, OUT_OF_RANGE),
        (1, 0, 10, INVALID_PAYLOAD),
        (11, 1, 10, INVALID_PAYLOAD),
        (0, 1, 10, INVALID_PAYLOAD),
        (6, 1, 1, UNSUPPORTED),
        (99, 1, 1, UNSUPPORTED),
    ] {
        let refused = set(setting, mode, value);
        assert_eq!(refused["error"], error, "{setting} {mode} {value}: {refused}");
        assert_ne!(refused["error_message"], "", "{refused}");
    }
    assert_eq!(set(1, 2, 77)["control"]["value"], 50);
    camera.wait_brightest(255);

    let range = json!({ "name": "camera_control.set_range", "setting": 11, "min_value": 0, "max_value": 10 });
    assert_eq!(
        client.ask(range)["control"],
        json!({ "setting": 11, "kind": 2, "value": 0, "min_value": 0, "max_value": 10 })
    );
    let empty = json!({ "name": "camera_control.set_range", "setting": 11, "min_value": 9, "max_value": -9 });
    assert_eq!(client.ask(empty)["error"], INVALID_PAYLOAD);
    let read = client.ask(json!({ "name": "camera_control.get", "setting": 11 }));
    assert_eq!(read["control"]["max_value"], 10, "{read}");
    for garbage in ["08", "0a01", "ffffffffffffffffffffff01"] {
        for name in ["capabilities", "get", "set", "set_range"] {
            let refused = client.ask(json!({ "name": format!("camera_control.{name}"), "bytes": garbage }));
            assert_eq!(refused["error"], INVALID_PAYLOAD, "{name} {garbage}: {refused}");
        }
    }
}

#[test]
fn a_foreign_client_applies_a_playlist() {
    let server = NatsServer::start();
    let camera = Simulated::start(&server, "list");
    let mut client = Peer::start("client", &server, &camera.target.nats_target_key());
    let none = client.ask(json!({ "name": "source.playlist.info" }));
    assert_eq!((&none["error"], &none["playlist_info"]["has_playlist"]), (&json!(0), &json!(false)), "{none}");
    camera.wait_brightest(255);
    let apply = |paths: &[&str], sort| json!({ "name": "source.playlist.apply", "paths": paths, "sort_by_recording_time": sort });
    let played = client.ask(apply(&["white", "black"], true));
    assert_eq!(played["playlist_info"]["paths"], json!(["black", "white"]), "{played}");
    assert_eq!(played["playlist_info"]["current_path"], "black");
    camera.wait_brightest(0);
    for wrong in [&["black", "/no/such.svo2"][..], &[], &[""], &["a\0b"]] {
        let refused = client.ask(apply(wrong, false));
        assert_eq!(refused["error"], INVALID_PAYLOAD, "{wrong:?}: {refused}");
    }
    let info = client.ask(json!({ "name": "source.playlist.info" }));
    assert_eq!(info["playlist_info"]["paths"], json!(["black", "white"]), "{info}");
    assert_eq!(info["playlist_info"]["sort_by_recording_time"], true);
    camera.wait_brightest(0);
}

#[test]
fn ctl_asks_our_simulator() {
    let server = NatsServer::start();
    let camera = Simulated::start(&server, "ours");
    let uri = camera.uri.as_str();
    let rows = told(&server, &["camera", "list", uri]);
    let exposure = json!({ "setting": "exposure", "kind": "single", "value": 50 });
    let range = json!({ "setting": "auto-analog-gain-range", "kind": "range", "min": 0, "max": 100 });
    assert_eq!((&rows[0], &rows[3]), (&exposure, &range), "{rows}");
    assert_eq!(told(&server, &["camera", "set", uri, "EXPOSURE", "10"])["value"], 10);
    assert_eq!(told(&server, &["camera", "get", uri, "aec_agc"])["value"], 0);
    camera.wait_brightest(51);
    assert_eq!(told(&server, &["camera", "set", uri, "exposure", "auto"])["value"], 50);
    assert_eq!(told(&server, &["camera", "set-range", uri, "auto-analog-gain-range", "5", "9"])["min"], 5);
    assert_eq!(told(&server, &["camera", "get", uri, "gain"])["value"], 5);
    let (_, table, _) = ctl(&server, &["camera", "list", uri]);
    assert!(table.starts_with("SETTING") && table.contains("5 to 9"), "{table}");

    for (arguments, code, words) in [
        (&["camera", "set", uri, "exposure", "-1"][..], 2, "OUT_OF_RANGE: -1 is not 0 to 100"),
        (&["camera", "get", uri, "led-status"], 2, "UNSUPPORTED: this camera has no setting led-status"),
        (&["camera", "set", uri, "auto-analog-gain-range", "3"], 2, "INVALID_PAYLOAD"),
        (&["camera", "set-range", uri, "auto-analog-gain-range", "9", "5"], 2, "INVALID_PAYLOAD"),
        (&["camera", "get", uri, "brightness"], 1, "known are exposure, gain"),
        (&["camera", "set", uri, "gain", "1.5"], 1, "neither auto nor a whole number"),
        (&["playlist", "apply", uri, "/no/such.svo2"], 2, "INVALID_PAYLOAD: no pattern is named /no/such.svo2"),
        (&["playlist", "apply", uri], 1, "PATH"),
        (&["camera", "list", "cvmmap://nobody"], 124, "camera_control.capabilities"),
    ] {
        let (ended, stdout, stderr) = ctl(&server, arguments);
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
    assert_eq!(told(&server, &["playlist", "show", uri])["has_playlist"], false);
    assert_eq!(told(&server, &["playlist", "apply", uri, "snow", "smpte"])["current_path"], "snow");
    let (_, table, _) = ctl(&server, &["playlist", "show", uri]);
    assert!(table.contains("0      snow   now\n1      smpte"), "{table}");
}

#[test]
fn ctl_asks_a_foreign_producer() {
    let server = NatsServer::start();
    let target: Target = "cvmmap://foreign".parse().unwrap();
    let mut producer = Peer::start("producer", &server, &target.nats_target_key());
    assert_eq!(producer.line().trim(), "ready");
    let rows = told(&server, &["camera", "list", "foreign"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 4, "what no contract knows is left out: {rows:?}");
    assert_eq!(rows[0]["value"], -1);
    assert!(rows[1]["error"].as_str().unwrap().contains("camera_control.get"), "{rows:?}");
    assert_eq!(rows[2]["value"], i32::MIN);
    assert_eq!((&rows[3]["min"], &rows[3]["max"]), (&json!(-5), &json!(i32::MAX)));
    for _ in 0..5 {
        producer.line();
    }

    assert_eq!(told(&server, &["camera", "set", "foreign", "gain", "-7"])["value"], -7);
    let heard: Value = serde_json::from_str(&producer.line()).unwrap();
    assert_eq!(heard, json!({ "name": "camera_control.set", "setting": 2, "mode": 1, "value": -7 }));
    assert_eq!(told(&server, &["camera", "set", "foreign", "gain", "auto"])["value"], -2);
    let heard: Value = serde_json::from_str(&producer.line()).unwrap();
    assert_eq!(heard["mode"], 2, "{heard}");
    let range =
        told(&server, &["camera", "set-range", "foreign", "auto-exposure-time-range", "-2147483648", "2147483647"]);
    assert_eq!((&range["min"], &range["max"]), (&json!(i32::MIN), &json!(i32::MAX)));

    let (code, _, stderr) = ctl(&server, &["camera", "get", "foreign", "gain"]);
    assert_eq!(code, Some(7), "another setting's value: {stderr}");
    let (code, _, stderr) = ctl(&server, &["camera", "get", "foreign", "led-status"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("UNSUPPORTED: no such[2J knob"), "{stderr:?}");
    let (code, _, stderr) = ctl(&server, &["camera", "set", "foreign", "gain", "101"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("OUT_OF_RANGE: -1 to 100"), "{stderr}");
    let listed = told(&server, &["playlist", "show", "foreign"]);
    assert_eq!(listed["paths"], json!(["/a.svo2", "/b.svo2"]));
    let applied = told(&server, &["playlist", "apply", "foreign", "/x y.svo2", "/z.svo2", "--sort-by-recording-time"]);
    assert_eq!((&applied["current_index"], &applied["current_path"]), (&json!(1), &json!("/z.svo2")));
}
