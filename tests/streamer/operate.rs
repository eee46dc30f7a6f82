//! What may be changed over HTTP while a camera runs, and by whom.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::browser_support::{Response, ask};
use crate::nats_server::NatsServer;
use crate::recorder_support::{decoded_frames, names_in};
use crate::streamer_support::{ENDLESS, Names, Running, free_port, wait_for};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A simulated camera with a folder for recordings, and what can be asked of it.
struct Site {
    names: Names,
    streamer: Running,
    port: u16,
    root: std::path::PathBuf,
}

impl Site {
    fn start(extra: &[&str]) -> Self {
        Self::start_at("127.0.0.1", extra)
    }

    fn start_at(host: &str, extra: &[&str]) -> Self {
        let names = Names::new();
        let (port, root) = (free_port(), names.path("recordings"));
        fs::create_dir(&root).unwrap();
        let mut command: Command = names.simulator();
        command
            .args(ENDLESS)
            .args(["--codec", "h264", "--http", &format!("{host}:{port}"), "--record-root"])
            .arg(&root);
        Self { streamer: Running::start(command.args(extra)), names, port, root }
    }

    fn path(&self, what: &str) -> String {
        format!("/api/cameras/{}/{what}", self.names.shm)
    }

    fn get(&self, what: &str) -> Value {
        let answer = ask(self.port, "GET", &self.path(what), &[], b"");
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    fn post(&self, what: &str, body: &Value) -> Response {
        ask(self.port, "POST", &self.path(what), &[JSON], body.to_string().as_bytes())
    }

    /// Asks for what has to work.
    fn change(&self, what: &str, body: &Value) -> Value {
        let answer = self.post(what, body);
        assert_eq!(answer.status, 200, "{what} {body}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn wait_encoder(&self) {
        wait_for("encoder", || self.get("encoder")["kbit"].is_u64());
    }

    fn end(self) {
        self.streamer.signal("-INT");
        let (status, _, stderr) = self.streamer.wait();
        assert_eq!(status, Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn recordings_begin_and_end_over_http() {
    let site = Site::start(&[]);
    site.wait_encoder();
    for (format, path) in [("mcap", None), ("mp4", Some("mine.mp4"))] {
        let begun = site.change("record", &json!({ "format": format, "record": true, "path": path }));
        assert_eq!(begun[format]["recording"], true, "{begun}");
        wait_for("recorded frames", || site.get("record")[format]["frames"].as_u64() >= Some(20));
        let busy = site.post("record", &json!({ "format": format, "record": true }));
        assert_eq!(busy.status, 409, "{}", busy.text());
        let ended = site.change("record", &json!({ "format": format, "record": false }));
        assert_eq!(ended[format]["recording"], false, "{ended}");
        let file = Path::new(ended[format]["path"].as_str().unwrap()).to_owned();
        assert_eq!(file.parent().unwrap().canonicalize().unwrap(), site.root.canonicalize().unwrap());
        if format == "mp4" {
            assert!(decoded_frames(&file).0 >= 20, "{}", decoded_frames(&file).1);
            let again = site.post("record", &json!({ "format": format, "record": true, "path": path }));
            assert!(again.status == 400 && again.text().contains("mine.mp4"), "{}", again.text());
        } else {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with(&format!("{}-20", site.names.shm)) && name.ends_with(".mcap"), "{name}");
        }
        let none = site.post("record", &json!({ "format": format, "record": false }));
        assert!(none.status == 200 || none.status == 409, "{}", none.text());
    }
    for outside in
        ["../outside.mp4", "/tmp/outside.mp4", "a/../../outside.mp4", "", "no/such/folder.mp4", "a.mcap", "\0"]
    {
        let refused = site.post("record", &json!({ "format": "mp4", "record": true, "path": outside }));
        assert!(matches!(refused.status, 400 | 409), "{outside:?}: {} {}", refused.status, refused.text());
    }
    assert_eq!(names_in(&site.root).len(), 2, "{:?}", names_in(&site.root));
    site.end();
}

#[test]
fn the_bit_rate_changes_over_http() {
    let site = Site::start(&["--bitrate", "800", "--nats-url", ""]);
    site.wait_encoder();
    assert_eq!(site.get("encoder")["kbit"], 800);
    assert_eq!(site.change("encoder", &json!({ "kbit": 300 }))["kbit"], 300);
    assert_eq!(site.get("encoder")["kbit"], 300);
    for wrong in
        [json!({ "kbit": 0 }), json!({ "kbit": -1 }), json!({ "kbit": 1e9 }), json!({ "kbit": "300" }), json!({})]
    {
        let refused = site.post("encoder", &wrong);
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.text());
    }
    // Without NATS there is nobody to ask for the camera's settings.
    assert_eq!(site.get("controls"), Value::Null);
    let refused = site.post("controls", &json!({ "setting": "gain", "value": 3 }));
    assert!(refused.status == 409 && refused.text().contains("--nats-url"), "{}", refused.text());
    site.end();
}

#[test]
fn camera_controls_change_over_http_when_there_is_nats() {
    let server = NatsServer::start();
    let site = Site::start(&["--nats-url", &server.url()]);
    wait_for("settings", || site.get("controls").as_array().is_some_and(|rows| rows.len() == 4));
    let changed = site.change("controls", &json!({ "setting": "exposure", "value": 20 }));
    assert_eq!(changed, json!({ "setting": "exposure", "value": 20 }));
    assert_eq!(site.get("controls")[0], changed);
    assert_eq!(site.change("controls", &json!({ "setting": "exposure", "auto": true }))["value"], 50);
    let range = json!({ "setting": "auto-analog-gain-range", "min": 2, "max": 9 });
    assert_eq!(site.change("controls", &range), range);
    for (wrong, status) in [
        (json!({ "setting": "exposure", "value": 101 }), 400),
        (json!({ "setting": "exposure", "value": 1e10 }), 400),
        (json!({ "setting": "exposure" }), 400),
        (json!({ "setting": "exposure", "value": 1, "auto": true }), 400),
        (json!({ "setting": "exposure", "min": 1, "max": 2 }), 400),
        (json!({ "setting": "auto-analog-gain-range", "min": 9, "max": 2 }), 400),
        (json!({ "setting": "auto-analog-gain-range", "min": 9 }), 400),
        (json!({ "setting": "led-status", "value": 1 }), 409),
        (json!({ "setting": "nonsense", "value": 1 }), 400),
    ] {
        let refused = site.post("controls", &wrong);
        assert_eq!(refused.status, status, "{wrong}: {}", refused.text());
        assert!(!refused.text().trim().is_empty());
    }
    site.end();
}

#[test]
fn whoever_may_not_or_makes_no_sense_changes_nothing() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let site = Site::start(&["--http-token", TOKEN]);
    let bearer = ("Authorization", &*format!("Bearer {TOKEN}"));
    let start = json!({ "format": "mp4", "record": true, "path": "a.mp4" }).to_string();
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| ask(site.port, "POST", path, headers, body);
    wait_for("encoder", || {
        let answer = ask(site.port, "GET", &site.path("encoder"), &[bearer], b"");
        answer.status == 200 && answer.text().contains("x264enc")
    });
    let own = ("Origin", &*format!("http://127.0.0.1:{}", site.port));
    let other_port = ("Origin", &*format!("http://127.0.0.1:{}", site.port ^ 1));
    for path in ["record", "encoder", "controls"].map(|what| site.path(what)) {
        for (headers, body, status) in [
            (&[JSON][..], &start[..], 401),
            (&[JSON, ("Authorization", "Bearer wrong")], &start, 401),
            (&[JSON, ("Authorization", "Basic MDEyMw==")], &start, 401),
            (&[JSON, ("Cookie", "cvmmap_session=")], &start, 401),
            (&[JSON, bearer, ("Origin", "http://evil.example")], &start, 403),
            (&[JSON, bearer, ("Origin", "null")], &start, 403),
            (&[JSON, bearer, other_port], &start, 403),
            (&[JSON, bearer, ("Host", "evil.example")], &start, 403),
            // What a form of a foreign page can send.
            (&[("Content-Type", "text/plain"), bearer], &start, 415),
            (&[("Content-Type", "application/x-www-form-urlencoded"), bearer], &start, 415),
            (&[bearer], &start, 415),
            (&[JSON, bearer, own], "", 400),
            (&[JSON, bearer, own], "null", 400),
            (&[JSON, bearer, own], "{", 400),
            (&[JSON, bearer, own], "\"a\\u0000b\"", 400),
            (&[JSON, bearer, own], r#"{"format":"mp4","record":true,"path":"a.mp4","more":1}"#, 400),
            (&[JSON, bearer, own], r#"{"format":"avi","record":true}"#, 400),
            (&[JSON, bearer, own], r#"{"format":"mp4","record":false,"path":"a.mp4"}"#, 400),
        ] {
            let answer = post(&path, headers, body.as_bytes());
            assert_eq!(answer.status, status, "{path} {headers:?} {body}: {}", answer.text());
        }
        assert_eq!(post(&path, &[JSON, bearer], b"\xff\xfe").status, 400);
        assert_eq!(post(&path, &[JSON, bearer], "[".repeat(8000).as_bytes()).status, 400);
        assert_eq!(post(&path, &[JSON, bearer], &[b' '; 1 << 20]).status, 413);
        assert_eq!(ask(site.port, "PUT", &path, &[JSON, bearer], start.as_bytes()).status, 405);
        let other = path.replace(&site.names.shm, "nobody");
        let answer = post(&other, &[JSON, bearer], start.as_bytes());
        assert!(answer.status == 404 && answer.text().contains(&site.names.shm), "{}", answer.text());
    }
    assert!(names_in(&site.root).is_empty(), "{:?}", names_in(&site.root));
    let recorded = post(&site.path("record"), &[JSON, bearer, own], start.as_bytes());
    assert_eq!(recorded.status, 200, "{}", recorded.text());
    site.end();
}

#[test]
fn strangers_change_nothing_even_where_they_may_watch() {
    let site = Site::start_at("0.0.0.0", &["--http-insecure"]);
    for what in ["record", "encoder", "controls"] {
        for method in ["GET", "POST"] {
            let answer = ask(site.port, method, &site.path(what), &[JSON], b"{}");
            assert!(answer.status == 403 && answer.text().contains("--http-token"), "{}", answer.text());
        }
    }
    assert_eq!(ask(site.port, "GET", "/api/cameras", &[], b"").status, 200);
    site.end();
}
