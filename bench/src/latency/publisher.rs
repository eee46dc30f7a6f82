//! The two that publish: `cvmmap_streamer` behind shared memory, and ffmpeg behind a pipe, with the same encoder settings.

use std::{
    env,
    io::{Read, Write},
    os::fd::AsFd,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use cvmmap::{Abi, Address, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    FFMPEG, FPS,
    way::{Destination, Kind, SRT_LATENCY, Way, camera},
};
use crate::{clip::Size, pace::unix_now};

/// A running publisher.
pub struct Publisher {
    process: Child,
    input: Input,
    size: Size,
}

enum Input {
    Segment(Box<cvmmap::Publisher>),
    Pipe(Option<ChildStdin>),
}

impl Publisher {
    /// Publishes to a receiver; a producer's sockets are in `folder`.
    pub fn start(kind: Kind, way: &Way, size: Size, to: &Destination, folder: &Path) -> Result<Self> {
        let (mut command, segment) = match kind {
            Kind::Streamer => streamer(way, to, folder)?,
            Kind::Ffmpeg => (ffmpeg(way, size, to), None),
        };
        let mut process = command.spawn().with_context(|| format!("starting {kind:?}"))?;
        let input = match segment {
            Some(segment) => Input::Segment(Box::new(segment)),
            None => {
                let pipe = process.stdin.take().context("a piped input")?;
                // The default of 64 KiB makes many small reads of one picture.
                rustix::pipe::fcntl_setpipe_size(pipe.as_fd(), 1 << 20)?;
                Input::Pipe(Some(pipe))
            }
        };
        Ok(Self { process, input, size })
    }

    /// Publishes a picture now.
    pub fn offer(&mut self, picture: &[u8]) -> Result<()> {
        match &mut self.input {
            Input::Pipe(pipe) => pipe.as_mut().context("an open pipe")?.write_all(picture)?,
            Input::Segment(segment) => {
                segment.publish(&Frame {
                    timestamp_ns: unix_now(),
                    planes: &[PlaneImage {
                        kind: PlaneKind::Left,
                        pixel_format: PixelFormat::Bgr,
                        depth: Depth::U8,
                        width: self.size.width,
                        height: self.size.height,
                        stride: self.size.stride(),
                        data: picture,
                    }],
                    depth_unit: DepthUnit::Unknown,
                    encoded: None,
                })?;
            }
        }
        Ok(())
    }

    /// Ends it; the account that it gives.
    pub fn finish(mut self) -> Result<Value> {
        match &mut self.input {
            Input::Pipe(pipe) => *pipe = None,
            Input::Segment(_) => kill_process(Pid::from_child(&self.process), Signal::INT)?,
        }
        let mut said = String::new();
        if let Some(mut output) = self.process.stdout.take() {
            output.read_to_string(&mut said)?;
        }
        let status = self.process.wait()?;
        if matches!(self.input, Input::Pipe(_)) {
            return Ok(Value::Null);
        }
        ensure!(status.success(), "cvmmap_streamer ended with {status}");
        Ok(serde_json::from_str(&said)?)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn streamer(way: &Way, to: &Destination, folder: &Path) -> Result<(Command, Option<cvmmap::Publisher>)> {
    let prefix = folder.to_str().context("a plain path")?;
    let target = Target::new(&camera(), None, Some(prefix))?;
    let segment = cvmmap::Publisher::create(&Address::from(&target), Abi::V2 { minor: 0 })?;
    let mut command = Command::new(env::current_exe()?.with_file_name("cvmmap_streamer"));
    command.args(["--input-uri", &target.to_string(), "--codec", way.codec, "--encoder-device", "software", "--json"]);
    match to {
        Destination::Rtmp(url) => command.args(["--rtmp", "--rtmp-url", url]),
        Destination::Rtp(port) => command.args(["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{port}")]),
        Destination::Rtsp(port) => command.args(["--rtsp", &format!("127.0.0.1:{port}")]),
        Destination::Srt(port) => {
            command.args(["--srt-url", &format!("srt://127.0.0.1:{port}?latency={}", SRT_LATENCY.as_millis())])
        }
    };
    if let Some(mode) = way.rtmp_mode {
        command.args(["--rtmp-mode", mode]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok((command, Some(segment)))
}

/// The settings that `cvmmap_streamer` gives its software encoders, and no other buffering than ffmpeg insists on.
fn ffmpeg(way: &Way, size: Size, to: &Destination) -> Command {
    let pixels = f64::from(size.width) * f64::from(size.height) * f64::from(FPS);
    let (encoder, preset, bits_per_pixel, params) = match way.codec {
        "h264" => ("libx264", "superfast", 0.10, ["-x264-params", "scenecut=0:open-gop=0:b-adapt=0"]),
        _ => (
            "libx265",
            "ultrafast",
            0.07,
            [
                "-x265-params",
                "bframes=0:b-adapt=0:rc-lookahead=0:min-keyint=30:scenecut=0:open-gop=0:repeat-headers=1:log-level=none",
            ],
        ),
    };
    let rate = FPS.to_string();
    let bits = ((pixels * bits_per_pixel) as u64).max(1_000_000);
    let mut command = Command::new(FFMPEG);
    command
        .args(["-loglevel", "error", "-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32"])
        .args(["-analyzeduration", "0", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", &size.to_string(), "-r", &rate])
        .args(["-i", "pipe:0", "-pix_fmt", "yuv420p", "-c:v", encoder, "-preset", preset, "-tune", "zerolatency"])
        .args(["-g", &rate, "-bf", "0", "-b:v", &bits.to_string()])
        .args(params)
        .args(["-flush_packets", "1", "-muxdelay", "0", "-muxpreload", "0"]);
    if way.codec == "h264" {
        // x264enc keeps a constant bit rate within 600 ms; x265enc an average one.
        command.args(["-maxrate", &bits.to_string(), "-bufsize", &(bits * 600 / 1000).to_string()]);
    }
    match to {
        Destination::Rtmp(url) => command.args(["-f", "flv", url]),
        Destination::Rtp(port) => {
            command.args(["-f", "rtp", "-payload_type", "96", &format!("rtp://127.0.0.1:{port}")])
        }
        Destination::Rtsp(port) => {
            command.args(["-f", "rtsp", "-rtsp_transport", "tcp", &format!("rtsp://127.0.0.1:{port}/live")])
        }
        Destination::Srt(port) => {
            command.args(["-f", "mpegts", &format!("srt://127.0.0.1:{port}?latency={}", SRT_LATENCY.as_micros())])
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
