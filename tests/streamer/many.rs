//! Many cameras in one process: `--config`, reloads, restarts, status and the service manager, each judged by programs that
//! share no code with ours (Python, curl, promtool, systemd-analyze).

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::nats_server::NatsServer;
use crate::streamer_support::{Names, Running, finish, free_port, json, program, read_until, wait_for};
use serde_json::Value;

/// Receives RTP, and tells what is missing.
const RECEIVER: &str = r#"
import json, select, socket, sys, time
ports, edited = int(sys.argv[1]), int(sys.argv[2])
sockets = []
for _ in range(ports):
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    it.bind(("127.0.0.1", 0))
    sockets.append(it)
print(json.dumps([it.getsockname()[1] for it in sockets]), flush=True)
seen = [{} for _ in sockets]
until, steady = time.monotonic() + 100, False
while time.monotonic() < until:
    for it in select.select(sockets, [], [], 1)[0]:
        packet = it.recv(2048)
        assert packet[0] >> 6 == 2, "no RTP"
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        flow = seen[sockets.index(it)].setdefault(ssrc, {"packets": 0, "gaps": 0, "last": None})
        if flow["last"] is not None and sequence != (flow["last"] + 1) % 65536:
            flow["gaps"] += 1
        flow["packets"], flow["last"] = flow["packets"] + 1, sequence
    if not steady and all(any(flow["packets"] >= 20 for flow in flows.values()) for flows in seen):
        steady = True
        print("steady", flush=True)
    if len(seen[edited]) == 2 and all(flow["packets"] >= 20 for flow in seen[edited].values()):
        break
print(json.dumps([list(flows.values()) for flows in seen]), flush=True)
"#;

/// Hears what a service tells its manager.
const MANAGER: &str = r#"
import os, socket, subprocess, sys
it = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
it.bind(sys.argv[1])
it.settimeout(60)
while True:
    for line in it.recv(4096).decode().splitlines():
        print(line, flush=True)
"#;

const SMALL: &str = "nats_url = \"\"\ninput_mode = \"dummy\"\ndummy_frames = 0\ndummy_width = 160\ndummy_height = 120\n\
                     dummy_fps = 10\ncodec = \"h264\"\n";

fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// A configuration of this test alone.
struct Scene {
    names: Names,
    port: u16,
}

impl Scene {
    fn new() -> Self {
        Self { names: Names::new(), port: free_port() }
    }

    fn path(&self) -> PathBuf {
        self.names.path("cameras.toml")
    }

    /// Writes the file: `cameras` are names with more keys.
    fn write(&self, defaults: &str, cameras: &[(&str, String)]) {
        let mut text = format!("[http]\nlisten = \"127.0.0.1:{}\"\n[defaults]\n{defaults}", self.port);
        for (name, keys) in cameras {
            // Segments are the machine's; names are short, as labels are.
            let unique = self.names.shm.trim_start_matches("streamer_test_");
            let uri = format!("cvmmap://{name}_{unique}@{}", self.names.path("").display());
            let _ =
                write!(text, "[[camera]]\nname = \"{name}\"\ninput_uri = \"{}\"\n{keys}\n", uri.trim_end_matches('/'));
        }
        fs::write(self.path(), text).unwrap();
    }

    fn start(&self, more: &[&str]) -> Running {
        Running::start(program().arg("--config").arg(self.path()).arg("--json").args(more))
    }

    /// What curl gets: status and body.
    fn get(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        curl(&url, more)
    }

    fn cameras(&self) -> Value {
        let (_, body) = self.get("/api/cameras", &[]);
        serde_json::from_str(&body).unwrap_or_default()
    }
}

fn curl(url: &str, more: &[&str]) -> (u16, String) {
    let output =
        Command::new("curl").args(["-s", "-w", "\n%{http_code}", "-m", "20"]).args(more).arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn line(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_reload_costs_cameras_that_did_not_change_no_packet() {
    const CAMERAS: usize = 8;
    const EDITED: usize = 3;
    let scene = Scene::new();
    let mut receiver = python(RECEIVER, &[&CAMERAS.to_string(), &EDITED.to_string()]).spawn().unwrap();
    let mut heard = BufReader::new(receiver.stdout.take().unwrap());
    let ports: Vec<u16> = serde_json::from_str(&line(&mut heard)).unwrap();
    let names = (0..CAMERAS).map(|index| format!("cam{index}")).collect::<Vec<_>>();
    let write = |edited: &str| {
        let keys = |index: usize| {
            let more = if index == EDITED { edited } else { "" };
            format!("rtp = true\nrtp_endpoint = [\"127.0.0.1:{}\"]\n{more}", ports[index])
        };
        let cameras = names.iter().enumerate().map(|(index, name)| (name.as_str(), keys(index))).collect::<Vec<_>>();
        scene.write(SMALL, &cameras);
    };
    write("");
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    assert_eq!(line(&mut heard), "steady");
    // A broken file changes nothing.
    fs::write(scene.path(), "[[camera]]\nname = 7\n").unwrap();
    streamer.signal("-HUP");
    let told = read_until(&mut stderr, "read again");
    assert!(told.contains("nothing changes") && told.contains("cameras.toml:2:8"), "{told}");
    write("gop = 5");
    streamer.signal("-HUP");
    let told = read_until(&mut stderr, "read again");
    assert!(told.contains("7 as before, 1 changed, 0 new, 0 gone"), "{told}");
    let seen: Vec<Vec<Value>> = serde_json::from_str(&line(&mut heard)).unwrap();
    receiver.wait().unwrap();
    for (index, flows) in seen.iter().enumerate() {
        assert_eq!(flows.len(), if index == EDITED { 2 } else { 1 }, "{index}: {seen:?}");
        assert!(flows.iter().all(|flow| flow["gaps"] == 0), "{index}: {seen:?}");
    }
    let (_, names) = scene.get("/page/cameras.json", &[]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&names).unwrap().len(), CAMERAS, "{names}");
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!((status, json(&stdout)["cameras"].as_object().unwrap().len()), (Some(0), CAMERAS), "{stdout}");
}

#[test]
fn what_ends_one_camera_is_told_and_the_others_do_not_notice() {
    let scene = Scene::new();
    let nobody = free_port();
    let broken = format!("rtmp = true\nrtmp_url = \"rtmp://127.0.0.1:{nobody}/live/a\"\nrtmp_required = true\n");
    scene.write(SMALL, &[("well", String::new()), ("ill", broken)]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    for pause in ["1 s", "2 s"] {
        let told = read_until(&mut stderr, "ill: ");
        let told = if told.contains("started again") { told } else { read_until(&mut stderr, "started again") };
        assert!(told.contains(&format!("it is started again in {pause}")), "{told}");
    }
    wait_for("the ill camera's second start", || scene.cameras()[1]["starts"].as_u64() >= Some(2));
    let (status, body) = scene.get("/healthz", &[]);
    assert!(
        status == 503 && body.contains("\"camera\":\"ill\"") && !body.contains("\"camera\":\"well\""),
        "{status} {body}"
    );
    let well = scene.cameras()[0].clone();
    assert!(well["starts"] == 1 && well["ill"].is_null(), "{well}");
    let before = well["counts"]["frames_in"].as_u64();
    wait_for("more frames", || scene.cameras()[0]["counts"]["frames_in"].as_u64() > before);
    streamer.signal("-TERM");
    assert_eq!(streamer.wait().0, Some(0));
}

#[test]
fn counters_are_the_summary_s_and_promtool_is_content() {
    let scene = Scene::new();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtp = format!("rtp = true\nrtp_endpoint = [\"{}\"]\n", receiver.local_addr().unwrap());
    let limited = format!("{rtp}dummy_frames = 30\nmp4 = \"{}\"\n", scene.names.path("a.mp4").display());
    scene.write(
        &SMALL.replace("dummy_frames = 0\n", ""),
        &[("done", limited), ("goes_on", "dummy_frames = 0".to_owned())],
    );
    let streamer = scene.start(&[]);
    wait_for("end of one", || scene.cameras()[0]["state"] == "done" && scene.cameras()[1]["counts"].is_object());
    let (status, text) = scene.get("/metrics", &[]);
    assert_eq!(status, 200);
    let (_, open) = scene.get("/metrics", &["-H", "Accept: application/openmetrics-text"]);
    assert!(open.ends_with("# EOF\n"), "{open}");
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    let done = json(&stdout)["cameras"]["done"].clone();
    let sample = |name: &str| -> f64 {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    let output = &done["outputs"]["rtp"];
    for (name, value) in [
        ("cvmmap_frames_received_total{camera=\"done\"}", &done["frames_in"]),
        ("cvmmap_frames_dropped_total{camera=\"done\",reason=\"skipped\"}", &done["skipped"]),
        ("cvmmap_encoder_frames_total{camera=\"done\",encoder=\"x264enc\"}", &done["encoded"]),
        ("cvmmap_encoder_bytes_total{camera=\"done\"}", &done["encoded_bytes"]),
        ("cvmmap_output_sent_total{camera=\"done\",output=\"rtp\"}", &output["sent"]),
        ("cvmmap_output_bytes_total{camera=\"done\",output=\"rtp\"}", &output["bytes"]),
        ("cvmmap_capture_to_send_seconds_count{camera=\"done\",output=\"rtp\"}", &output["sent"]),
        ("cvmmap_capture_to_send_seconds_bucket{camera=\"done\",output=\"rtp\",le=\"+Inf\"}", &output["sent"]),
        ("cvmmap_recording_video_total{camera=\"done\",format=\"mp4\"}", &done["recordings"][0]["video"]),
    ] {
        assert!(value.is_number(), "{name}: {done}");
        assert_eq!(Some(sample(name)), value.as_f64(), "{name}");
    }
    assert!(output["sent"].as_u64() > Some(0) && output["bytes"].as_u64() > Some(1000), "{done}");
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("SKIPPED: no promtool; scripts/setup.sh --tests installs it (Debian's prometheus)");
        return;
    };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    let complaints = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
}

#[test]
fn a_token_and_a_certificate_are_asked_for() {
    const TOKEN: &str = "correct-horse-battery-staple";
    let scene = Scene::new();
    let [certificate, key, token] = ["cert.pem", "key.pem", "token"].map(|name| scene.names.path(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    scene.write(SMALL, &[("cam", String::new())]);
    let text = fs::read_to_string(scene.path()).unwrap();
    let access = format!(
        "[http]\ntoken_file = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
        token.display(),
        certificate.display(),
        key.display()
    );
    fs::write(scene.path(), text.replace("[http]\n", &access)).unwrap();
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "watch at https://");
    let url = |path: &str| format!("https://127.0.0.1:{}{path}", scene.port);
    let ca = ["--cacert", certificate.to_str().unwrap()];
    let get = |path: &str, more: &[&str]| curl(&url(path), &[&ca, more].concat());
    for path in ["/", "/metrics", "/healthz", "/api/cameras", "/page/main.js", "/events"] {
        assert_eq!(get(path, &[]).0, 401, "{path}");
        assert_eq!(get(path, &["-H", "Authorization: Bearer correct-horse-battery-stapl"]).0, 401, "{path}");
    }
    assert_eq!(get("/whep/cam", &["-X", "POST", "-H", "Content-Type: application/sdp", "-d", "v=0"]).0, 401);
    assert_eq!(get("/?token=wrong-wrong-wrong-wrong", &[]).0, 401);
    assert_eq!(get("/healthz", &["-H", &format!("Authorization: Bearer {TOKEN}")]).0, 200);
    // A browser: the token in the address once, then a cookie that is not the token.
    let jar = scene.names.path("jar");
    let jar = jar.to_str().unwrap();
    let (status, page) = get(&format!("/?token={TOKEN}"), &["-L", "-c", jar, "-b", jar]);
    assert!(status == 200 && page.contains("<html"), "{status} {page}");
    assert!(!fs::read_to_string(jar).unwrap().contains(TOKEN));
    assert_eq!(get("/api/cameras", &["-b", jar]).0, 200);
    // Who speaks no TLS gets nothing, and holds nobody up.
    assert_eq!(scene.get("/healthz", &[]).0, 0);
    streamer.signal("-INT");
    let (status, stdout, rest) = { streamer.wait() };
    let mut told = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
    assert_eq!(status, Some(0), "{told}");
    assert!(!format!("{stdout}{rest}{told}").contains(TOKEN));
}

#[test]
fn strangers_are_not_served_by_mistake() {
    let names = Names::new();
    let try_with = |more: &[&str]| {
        let mut command = names.simulator();
        finish(command.args(["--codec", "h264", "--nats-url", "", "--dummy-frames", "3"]).args(more))
    };
    let [all, local] = ["0.0.0.0", "127.0.0.1"].map(|address| format!("{address}:{}", free_port()));
    for more in [
        &["--http", &all][..],
        &["--http", &all, "--http-token", "correct-horse-battery-staple"],
        &["--http", &local, "--http-token", "short"],
    ] {
        let (status, _, stderr) = try_with(more);
        assert!(status == Some(1) && !stderr.contains("correct-horse"), "{more:?} {stderr}");
    }
    let (status, _, stderr) = try_with(&["--http", &all, "--http-insecure"]);
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn a_reload_can_be_asked_for_over_nats() {
    let server = NatsServer::start();
    let scene = Scene::new();
    let defaults = SMALL.replace("nats_url = \"\"", &format!("nats_url = \"{}\"", server.url()));
    scene.write(&defaults, &[("a", String::new())]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder");
    let ctl = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
        command.args(["reload", "--json", "--nats-url", &server.url(), "--timeout-ms", "20000"]);
        finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let mut first = ctl();
    // Until the streamer has a connection, nobody answers.
    wait_for("an answer", || {
        let there = first.0 == Some(0);
        if !there {
            first = ctl();
        }
        there
    });
    assert_eq!(json(&first.1)["message"], "1 as before, 0 changed, 0 new, 0 gone", "{first:?}");
    scene.write(&defaults, &[("a", String::new()), ("b", String::new())]);
    assert_eq!(json(&ctl().1)["message"], "1 as before, 0 changed, 1 new, 0 gone");
    wait_for("the new camera", || scene.cameras()[1]["state"] == "running");
    scene.write(&defaults, &[("b", "gopp = 3".to_owned())]);
    let (status, _, refused) = ctl();
    assert!(status == Some(2) && refused.contains("did you mean gop?"), "{status:?} {refused}");
    scene.write(&defaults, &[("b", String::new())]);
    assert_eq!(json(&ctl().1)["message"], "1 as before, 0 changed, 0 new, 1 gone");
    wait_for("the end of the other", || scene.cameras().as_array().is_some_and(|cameras| cameras.len() == 1));
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}

#[test]
fn a_service_manager_hears_how_it_is() {
    let scene = Scene::new();
    scene.write(SMALL, &[("a", String::new())]);
    let socket = scene.names.path("notify");
    let mut manager = Running::start(&mut python(MANAGER, &[socket.to_str().unwrap()]));
    wait_for("the manager", || socket.exists());
    let mut heard = manager.stdout();
    let mut command = program();
    command.arg("--config").arg(scene.path());
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    let streamer = Running::start(&mut command);
    read_until(&mut heard, "READY=1");
    read_until(&mut heard, "STATUS=1 of 1 cameras run");
    for _ in 0..3 {
        read_until(&mut heard, "WATCHDOG=1");
    }
    streamer.signal("-HUP");
    read_until(&mut heard, "RELOADING=1");
    let time = read_until(&mut heard, "MONOTONIC_USEC=");
    assert!(time.trim_end()["MONOTONIC_USEC=".len()..].parse::<u64>().unwrap() > 0, "{time}");
    read_until(&mut heard, "READY=1");
    streamer.signal("-TERM");
    read_until(&mut heard, "STOPPING=1");
    assert_eq!(streamer.wait().0, Some(0));
}

#[test]
fn the_units_are_sound() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no systemd-analyze");
        return;
    }
    let names = Names::new();
    for (unit, instance) in [
        ("cvmmap-streamer.service", "cvmmap-streamer.service"),
        ("cvmmap-streamer@.service", "cvmmap-streamer@front.service"),
    ] {
        // The program need not be installed here.
        let text = fs::read_to_string(units.join(unit)).unwrap().replace("/usr/bin/cvmmap_streamer", "/bin/true");
        let path = names.path(instance);
        fs::write(&path, text).unwrap();
        let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(!complaints.contains(instance), "{complaints}");
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=25"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            rated.status.success(),
            "{}{}",
            String::from_utf8_lossy(&rated.stdout),
            String::from_utf8_lossy(&rated.stderr)
        );
    }
}

/// Every query of the dashboard is understood by a real Prometheus and finds something, but for those that tell of losses.
#[test]
fn the_dashboard_s_queries_find_what_the_streamer_tells() {
    if Command::new("prometheus").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no prometheus; scripts/setup.sh --tests installs it");
        return;
    }
    let scene = Scene::new();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let keys = format!(
        "rtp = true\nrtp_endpoint = [\"{}\"]\nmp4 = \"{}\"\n",
        receiver.local_addr().unwrap(),
        scene.names.path("a.mp4").display()
    );
    scene.write(SMALL, &[("front", keys)]);
    let streamer = scene.start(&[]);
    let config = scene.names.path("prometheus.yml");
    let target = format!(
        "scrape_configs:\n- job_name: cvmmap\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{}']\n",
        scene.port
    );
    fs::write(&config, target).unwrap();
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", scene.names.path("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _prometheus = Running::start(&mut command);
    let ask = |query: &str| -> Value {
        let query = query.replace("$__rate_interval", "30s").replace("$camera", ".+");
        let (_, body) = curl(
            &format!("http://127.0.0.1:{port}/api/v1/query"),
            &["-G", "--data-urlencode", &format!("query={query}")],
        );
        serde_json::from_str(&body).unwrap_or_default()
    };
    let found = |query: &str| ask(query)["data"]["result"].as_array().is_some_and(|result| !result.is_empty());
    wait_for("two scrapes", || found("rate(cvmmap_frames_received_total[30s]) > 0"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana/cvmmap-cameras.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let answer = ask(query);
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            assert!(found(query) || query.ends_with("> 0"), "{query} finds nothing: {answer}");
            asked += 1;
        }
    }
    assert!(asked >= 9, "{asked}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}
