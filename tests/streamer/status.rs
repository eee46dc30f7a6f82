//! How a streamer tells how it is, and whom: metrics, health, tokens, HTTPS, the service manager, the log. Judged by curl, openssl,
//! promtool, Prometheus, systemd-analyze and Python.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::many_support::{SMALL, Scene, curl, python};
use crate::streamer_support::{Names, Running, finish, free_port, json, program, read_until, wait_for};
use serde_json::Value;

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

/// A program of Prometheus', as Debian has it.
fn peer(program: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(program))
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
        ("cvmmap_encoder_rate_changes_total{camera=\"done\"}", &done["rate_changes"]),
        ("cvmmap_output_sent_total{camera=\"done\",output=\"rtp\"}", &output["sent"]),
        ("cvmmap_output_bytes_total{camera=\"done\",output=\"rtp\"}", &output["bytes"]),
        ("cvmmap_capture_to_send_seconds_count{camera=\"done\",output=\"rtp\"}", &output["sent"]),
        ("cvmmap_capture_to_send_seconds_bucket{camera=\"done\",output=\"rtp\",le=\"+Inf\"}", &output["sent"]),
        ("cvmmap_recording_video_total{camera=\"done\",format=\"mp4\"}", &done["recordings"][0]["video"]),
    ] {
        assert!(value.is_number(), "{name}: {done}");
        assert_eq!(Some(sample(name)), value.as_f64(), "{name}");
    }
    let asked_for = done["kbit"].as_f64().unwrap();
    assert_eq!(sample("cvmmap_encoder_bitrate_bps{camera=\"done\"}"), 1000.0 * asked_for);
    assert!(output["sent"].as_u64() > Some(0) && output["bytes"].as_u64() > Some(1000), "{done}");
    let Ok(mut promtool) = peer("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("SKIPPED: no promtool; scripts/setup.sh --tests fetches it");
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

#[test]
fn the_dashboard_s_queries_find_what_the_streamer_tells() {
    if peer("prometheus").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no prometheus; scripts/setup.sh --tests fetches it");
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
    let mut command = peer("prometheus");
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

#[test]
fn each_line_of_the_log_can_be_an_object_and_tells_how_cameras_are() {
    let scene = Scene::new();
    scene.write(SMALL, &[("front", String::new())]);
    let mut streamer = scene.start(&["--log-format", "json", "--status-interval", "1"]);
    let mut stderr = streamer.stderr();
    let status = read_until(&mut stderr, "status: ");
    // Python reads it, as a collector would.
    let script = "import json, sys; it = json.loads(sys.argv[1]); print(it['camera'], it['level'], it['time'][:2])";
    let read = finish(&mut python(script, &[&status]));
    assert!(read.0 == Some(0) && read.1 == "front INFO 20\n", "{read:?} {status}");
    assert!(status.contains("frames/s"), "{status}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
    // What is told can be less.
    let mut quiet = scene.start(&["--log-level", "warn"]);
    let mut stderr = quiet.stderr();
    wait_for("frames", || scene.cameras()[0]["counts"]["frames_in"].as_u64() > Some(0));
    quiet.signal("-INT");
    assert_eq!(quiet.wait().0, Some(0));
    let mut told = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
    assert_eq!(told, "");
}

/// What a terminal shows of the output: rewritten lines are gone.
fn on_screen(output: &str) -> Vec<&str> {
    output.split('\n').map(|line| line.rsplit("\r\u{1b}[2K").next().unwrap_or_default().trim_end()).collect()
}

#[test]
fn a_terminal_shows_one_line_that_changes_below_the_others() {
    let names = Names::new();
    let streamer = format!(
        "{} --input-mode dummy --shm-name {} --zmq-endpoint {} --codec h264 --dummy-width 64 --dummy-height 48 --dummy-frames 100 \
         --rtp --rtp-endpoint 127.0.0.1:9",
        env!("CARGO_BIN_EXE_cvmmap_streamer"),
        names.shm,
        names.endpoint()
    );
    // util-linux' script runs it on a pseudo-terminal.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &streamer, "/dev/null"]).env("TERM", "xterm");
    let (status, output, _) = finish(terminal.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(status, Some(0), "{output}");
    let shown = output.matches("frames/s, ").count();
    assert!(shown >= 2, "{output:?}");
    let screen = on_screen(&output);
    assert!(screen.iter().any(|line| line.starts_with("cvmmap_streamer: encoder: ")), "{screen:?}");
    // Nothing of it is left at the end, and no line is torn by it.
    assert!(!screen.iter().any(|line| line.contains("frames/s")), "{screen:?}");
    // 80 columns, as this terminal says nothing else.
    let longest =
        output.split("\r\u{1b}[2K").skip(1).map(|part| part.split(['\r', '\n']).next().unwrap().chars().count());
    assert!(output.matches("\u{1b}[2K").count() >= shown && longest.clone().max() > Some(40), "{output:?}");
}
