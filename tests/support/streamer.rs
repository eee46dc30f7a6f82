//! What the launcher's tests share: names of their own, the program, and receivers that are not ours.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

#[path = "port.rs"]
mod port;

pub use port::free_port;

/// Longer than anything takes on a loaded machine; what waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const ENDLESS: [&str; 2] = ["--dummy-frames", "0"];

/// Names that no other test has.
pub struct Names {
    directory: tempfile::TempDir,
    pub shm: String,
}

impl Names {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { directory: tempfile::tempdir().unwrap(), shm: format!("streamer_test_{}_{number}", std::process::id()) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn endpoint(&self) -> String {
        format!("ipc://{}", self.path("sync").display())
    }

    pub fn segment(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.shm)
    }

    /// Waits until segment and socket have these modes.
    pub fn wait_modes(&self, segment: u32, socket: u32) {
        let mode = |path: PathBuf| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o7777).ok();
        wait_for("producer of these modes", || {
            (mode(self.segment()), mode(self.path("sync"))) == (Some(segment), Some(socket))
        });
    }

    /// The program, reading this producer.
    pub fn streamer(&self) -> Command {
        let mut command = program();
        command.args(["--shm-name", &self.shm, "--zmq-endpoint", &self.endpoint()]);
        command
    }

    /// The program, simulating this producer in small pictures.
    pub fn simulator(&self) -> Command {
        let mut command = self.streamer();
        command.args(["--input-mode", "dummy", "--dummy-width", "320", "--dummy-height", "180"]);
        command
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_streamer"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end. Exit code, stdout and stderr.
pub fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    Running::start(command).wait()
}

/// A program that runs beside the test; dropping it ends it.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn stderr(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.0.stderr.take().unwrap())
    }

    pub fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    /// Exit code, stdout and what is left of stderr.
    pub fn wait(mut self) -> (Option<i32>, String, String) {
        let stdout = self.0.stdout.take().map(|pipe| thread::spawn(|| read_all(pipe)));
        let stderr = self.0.stderr.take().map(|pipe| thread::spawn(|| read_all(pipe)));
        let mut status = None;
        wait_for("end of the program", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        let [stdout, stderr] = [stdout, stderr].map(|pipe| pipe.map_or_else(String::new, |pipe| pipe.join().unwrap()));
        (status.and_then(|status| status.code()), stdout, stderr)
    }
}

fn read_all(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

impl Drop for Running {
    fn drop(&mut self) {
        // Mostly it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads lines up to one that holds `text`.
pub fn read_until(lines: &mut impl BufRead, text: &str) -> String {
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.contains(text) {
            return line;
        }
        line.clear();
    }
    panic!("'{text}' was not said");
}

/// Waits for something that tells nobody when it happens.
pub fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "no {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The FFmpeg that knows H.265 in FLV.
pub fn ffmpeg() -> Command {
    let path = std::env::var_os("CVMMAP_FFMPEG")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/ffmpeg"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run scripts/setup.sh", path.display());
    let mut command = Command::new(path);
    command.args(["-nostdin", "-hide_banner"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// An access unit that an RTMP server received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub seconds: f64,
    pub bytes: u64,
    pub is_keyframe: bool,
}

/// Kilobits a second of what was received from `from` to `to`, in seconds, where nothing is left out: frames that a busy
/// machine leaves out have no bits.
pub fn kbit(units: &[Received], from: f64, to: f64, fps: u32) -> f64 {
    let within = units.iter().filter(|unit| (from..to).contains(&unit.seconds)).map(|unit| unit.bytes * 8);
    let (count, bits) = within.fold((0, 0), |(count, bits), unit| (count + 1, bits + unit));
    bits as f64 / 1000.0 / f64::from(count) * f64::from(fps)
}

/// The strict RTMP server, which refuses what breaks a rule and tells what came.
pub fn strict_server(mode: &str, port: u16, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp_stub_tester"));
    command.args(["--mode", mode, "--json", "--timeout-ms", "60000", "--listen-port", &port.to_string()]);
    command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same, running until the publisher ends, and its URL.
pub fn run_strict_server(mode: &str, more: &[&str]) -> (Running, String) {
    let mut server = Running::start(strict_server(mode, 0, more).arg("--until-end"));
    let line = read_until(&mut server.stderr(), "listening on");
    let address = line.trim().rsplit("//").next().unwrap().trim_end_matches('/').to_owned();
    (server, format!("rtmp://{address}/live/key"))
}

/// An FFmpeg that listens as an RTMP server and writes what comes to `file`.
pub struct RtmpServer {
    pub process: Running,
    pub port: u16,
    pub file: PathBuf,
}

impl RtmpServer {
    pub fn start(names: &Names) -> Self {
        Self::start_on(free_port(), names.path("received.mkv"))
    }

    /// Waits until the publisher has left and the file is whole.
    pub fn wait(&self) {
        let mut status = String::new();
        wait_for("end of the RTMP server", || {
            status = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
            status.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z')) || status.is_empty()
        });
    }

    pub fn start_on(port: u16, file: PathBuf) -> Self {
        let process = Running::start(
            ffmpeg()
                .args(["-listen", "1", "-timeout", "60", "-i", &format!("rtmp://127.0.0.1:{port}/live/key")])
                .args(["-map", "0:v", "-c", "copy", "-flush_packets", "1", "-y"])
                .arg(&file)
                .stderr(Stdio::null()),
        );
        // State 0A is LISTEN. Source: proc_net_tcp.
        let listening = format!(":{port:04X} 00000000:0000 0A");
        wait_for("RTMP server", || fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening));
        Self { process, port, file }
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/key", self.port)
    }

    /// Waits until frames have come.
    pub fn wait_frames(&self) {
        wait_for("RTMP frames", || self.file.metadata().is_ok_and(|file| file.len() > 8192));
    }

    /// What was received, access unit by access unit; the file may still be written.
    pub fn units(&self) -> Vec<Received> {
        let output = ffmpeg()
            .args(["-loglevel", "quiet", "-i"])
            .arg(&self.file)
            .args(["-map", "0:v", "-c", "copy", "-f", "framecrc", "-"])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // Stream, decoding and presentation time in milliseconds, duration, bytes, checksum, and flags of what is no keyframe.
        let units = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let fields = line.split(',').map(str::trim).collect::<Vec<_>>();
            Received {
                seconds: fields[1].parse::<f64>().unwrap() / 1000.0,
                bytes: fields[4].parse().unwrap(),
                is_keyframe: fields.len() == 6,
            }
        });
        units.collect()
    }

    /// Frames that decode from what was received, and what FFmpeg complains of.
    pub fn decoded(self) -> (u64, String) {
        self.process.wait();
        let output = ffmpeg()
            .args(["-loglevel", "error", "-progress", "pipe:1", "-i"])
            .arg(&self.file)
            // Timestamps as they are: counted in frames, two that came close together would be one.
            .args(["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "null", "-"])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let progress = String::from_utf8(output.stdout).unwrap();
        let frames = progress.lines().filter_map(|line| line.strip_prefix("frame=")).next_back();
        (frames.map_or(0, |frames| frames.trim().parse().unwrap()), String::from_utf8(output.stderr).unwrap())
    }
}

/// Decoded pictures by size, in the order in which sizes came.
type Pictures = Arc<Mutex<Vec<((i32, i32), u64)>>>;

/// A stock GStreamer receiver on a port of its own.
pub struct RtpReceiver {
    pipeline: gst::Pipeline,
    pub port: u16,
    pictures: Pictures,
}

impl RtpReceiver {
    pub fn start(codec: &str) -> Self {
        gst::init().unwrap();
        let encoding = codec.to_uppercase();
        let pipeline = gst::parse::launch(&format!(
            "udpsrc name=source address=127.0.0.1 port=0 buffer-size=4000000 \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={encoding} ! \
             rtp{codec}depay ! {codec}parse ! avdec_{codec} ! appsink name=sink sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let pictures = Pictures::default();
        let seen = Arc::clone(&pictures);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let caps = sample.caps().and_then(|caps| caps.structure(0)).unwrap();
                    let size = (caps.get("width").unwrap(), caps.get("height").unwrap());
                    let mut seen = seen.lock().unwrap();
                    match seen.last_mut() {
                        Some((last, count)) if *last == size => *count += 1,
                        _ => seen.push((size, 1)),
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gst::State::Playing).unwrap();
        let port = pipeline.by_name("source").unwrap().property::<i32>("port");
        Self { pipeline, port: u16::try_from(port).unwrap(), pictures }
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pictures so far.
    pub fn total(&self) -> u64 {
        self.pictures.lock().unwrap().iter().map(|(_, count)| count).sum()
    }

    pub fn pictures(&self) -> Vec<((i32, i32), u64)> {
        self.pictures.lock().unwrap().clone()
    }

    pub fn wait_total(&self, count: u64) {
        wait_for(&format!("picture {count}"), || self.total() >= count);
    }
}

impl Drop for RtpReceiver {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A producer of noise in one picture size, made from stock elements.
pub struct Producer(gst::Pipeline);

impl Producer {
    pub fn start(names: &Names, caps: &str) -> Self {
        gst::init().unwrap();
        gstcvmmap::plugin_register_static().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc is-live=true pattern=snow ! video/x-raw,{caps} ! \
             cvmmapsink sync=false shm-name={} zmq-endpoint={} label=camera",
            names.shm,
            names.endpoint()
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

pub fn json(stdout: &str) -> serde_json::Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}
