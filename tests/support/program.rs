//! What the testers' tests share: running a program, and finding the peers.

// Each test program uses its part of this.
#![allow(dead_code)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

/// A program that is still there after this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program of ours. Killed when dropped.
pub struct Program {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: JoinHandle<String>,
    talk: mpsc::Receiver<String>,
}

/// How a program ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn start(binary: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = child.stdout.take().expect("stdout is piped");
        let (whole, stdout) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            let _ = whole.send(text);
        });
        let err = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (line_by_line, talk) = mpsc::channel();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            for line in err.lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                let _ = line_by_line.send(line);
            }
            text
        });
        Self { child, stdout, stderr, talk }
    }

    /// What follows `prefix` on the first line of stderr that begins with it.
    pub fn wait_for_line(&self, prefix: &str) -> String {
        loop {
            let line =
                self.talk.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line on stderr begins with {prefix:?}"));
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    pub fn end(mut self) -> Ended {
        let Ok(stdout) = self.stdout.recv_timeout(PATIENCE) else {
            let _ = self.child.kill();
            panic!("the program hangs");
        };
        let status = self.child.wait().expect("the program can be waited for");
        let stderr = std::mem::replace(&mut self.stderr, std::thread::spawn(String::new));
        Ended {
            code: status.code().expect("the program exits by itself"),
            stdout,
            stderr: stderr.join().expect("stderr was read"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts the exit code, with everything that was said in the message.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn expect_said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The result of a run with `--json`.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

pub fn run(binary: &str, arguments: &[&str]) -> Ended {
    Program::start(binary, arguments).end()
}

/// A file under `tests/data`.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// An FFmpeg that knows both packagings of H.265.
pub fn ffmpeg(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CVMMAP_FFMPEG")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/ffmpeg"), PathBuf::from);
    assert!(
        program.exists(),
        "{} is missing: run scripts/setup.sh, or name an FFmpeg of version 9 in CVMMAP_FFMPEG",
        program.display()
    );
    let mut command = Command::new(program);
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments);
    command
}

/// Runs FFmpeg, which has to succeed, and returns its stdout.
#[track_caller]
pub fn ffmpeg_output(arguments: &[&str]) -> String {
    let output = ffmpeg(arguments).output().expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A checksum for each decoded frame of a file.
pub fn decoded_frames(path: &Path) -> Vec<String> {
    ffmpeg_output(&["-i", text(path), "-map", "0:v", "-f", "framemd5", "-"])
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|checksum| checksum.trim().to_owned())
        .collect()
}

/// A GStreamer pipeline that runs. Stopped when dropped.
pub struct Pipeline(pub gst::Pipeline);

impl Pipeline {
    pub fn start(description: &str) -> Self {
        let pipeline = Self::paused(description);
        pipeline.play();
        pipeline
    }

    /// Built, and not started yet.
    pub fn paused(description: &str) -> Self {
        use gst::prelude::*;
        gst::init().expect("GStreamer starts");
        let element = gst::parse::launch(description).expect("the pipeline is understood");
        Self(element.downcast().expect("it is a pipeline"))
    }

    pub fn play(&self) {
        use gst::prelude::*;
        self.0.set_state(gst::State::Playing).expect("the pipeline plays");
    }

    /// Waits for the end of the stream.
    pub fn end(self) -> Result<(), String> {
        use gst::prelude::*;
        let message = self
            .0
            .bus()
            .expect("a pipeline has a bus")
            .timed_pop_filtered(
                gst::ClockTime::from_seconds(PATIENCE.as_secs()),
                &[gst::MessageType::Eos, gst::MessageType::Error],
            )
            .expect("the stream ends");
        match message.view() {
            gst::MessageView::Error(error) => Err(error.error().to_string()),
            _ => Ok(()),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        use gst::prelude::*;
        let _ = self.0.set_state(gst::State::Null);
    }
}
