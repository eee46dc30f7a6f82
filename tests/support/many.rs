//! What tests of many cameras share: a configuration of their own, and programs that ask the streamer.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    fmt::Write as _,
    fs,
    io::BufRead,
    path::PathBuf,
    process::{Command, Stdio},
};

use cvmmap::Target;
use serde_json::Value;

use crate::streamer_support::{Names, Running, free_port, program};

pub const SMALL: &str = "nats_url = \"\"\ninput_mode = \"dummy\"\ndummy_frames = 0\ndummy_width = 160\ndummy_height = 120\n\
                     dummy_fps = 10\ncodec = \"h264\"\n";

pub fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// A configuration of this test alone.
pub struct Scene {
    pub names: Names,
    pub port: u16,
}

impl Scene {
    pub fn new() -> Self {
        Self { names: Names::new(), port: free_port() }
    }

    pub fn path(&self) -> PathBuf {
        self.names.path("cameras.toml")
    }

    /// Writes the file: `cameras` are names with more keys.
    pub fn write(&self, defaults: &str, cameras: &[(&str, String)]) {
        let mut text = format!("[http]\nlisten = \"127.0.0.1:{}\"\n[defaults]\n{defaults}", self.port);
        for (name, keys) in cameras {
            let _ = write!(text, "[[camera]]\nname = \"{name}\"\ninput_uri = \"{}\"\n{keys}\n", self.uri(name));
        }
        fs::write(self.path(), text).unwrap();
    }

    /// The producer of a camera.
    pub fn target(&self, name: &str) -> Target {
        self.uri(name).parse().unwrap()
    }

    /// Segments are the machine's; names are short, as labels are.
    fn uri(&self, name: &str) -> String {
        let unique = self.names.shm.trim_start_matches("streamer_test_");
        let uri = format!("cvmmap://{name}_{unique}@{}", self.names.path("").display());
        uri.trim_end_matches('/').to_owned()
    }

    pub fn start(&self, more: &[&str]) -> Running {
        Running::start(program().arg("--config").arg(self.path()).arg("--json").args(more))
    }

    /// What curl gets: status and body.
    pub fn get(&self, path: &str, more: &[&str]) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        curl(&url, more)
    }

    pub fn cameras(&self) -> Value {
        let (_, body) = self.get("/api/cameras", &[]);
        serde_json::from_str(&body).unwrap_or_default()
    }
}

pub fn curl(url: &str, more: &[&str]) -> (u16, String) {
    let output =
        Command::new("curl").args(["-s", "-w", "\n%{http_code}", "-m", "20"]).args(more).arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

pub fn line(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
