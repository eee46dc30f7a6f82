//! The two that publish: `cvmmap_streamer` behind shared memory, and ffmpeg behind a pipe, with the same encoder settings.

use std::{
    io::Write as _,
    os::fd::AsFd as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result};
use cvmmap::{Abi, Address, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Target};
use serde_json::Value;

use super::{
    FFMPEG, FPS,
    way::{Destination, Kind, SRT_LATENCY, Way, camera},
};
use crate::{clip::Size, pace::unix_now, streamers::Streamers};

/// A running publisher.
pub struct Publisher {
    size: Size,
    kind: Running,
}

enum Running {
    Streamer { streamer: Streamers, segment: Box<cvmmap::Publisher> },
    Ffmpeg(Ffmpeg),
}

/// Ends with its input, and when dropped.
struct Ffmpeg {
    process: Child,
    pictures: Option<ChildStdin>,
}

impl Publisher {
    /// Publishes to a receiver; a producer's sockets are in `folder`.
    pub fn start(kind: Kind, way: &Way, size: Size, to: &Destination, folder: &Path) -> Result<Self> {
        let kind = match kind {
            Kind::Streamer => {
                let (streamer, segment) = streamer(way, to, folder)?;
                Running::Streamer { streamer, segment: Box::new(segment) }
            }
            Kind::Ffmpeg => Running::Ffmpeg(Ffmpeg::start(ffmpeg(way, size, to))?),
        };
        Ok(Self { size, kind })
    }

    /// Publishes a picture now.
    pub fn offer(&mut self, picture: &[u8]) -> Result<()> {
        match &mut self.kind {
            Running::Ffmpeg(ffmpeg) => ffmpeg.pictures.as_mut().context("an open pipe")?.write_all(picture)?,
            Running::Streamer { segment, .. } => {
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
    pub fn finish(self) -> Result<Value> {
        match self.kind {
            Running::Streamer { streamer, .. } => streamer.end()?.pop().context("an account"),
            Running::Ffmpeg(mut ffmpeg) => {
                drop(ffmpeg.pictures.take());
                ffmpeg.process.wait()?;
                Ok(Value::Null)
            }
        }
    }
}

impl Ffmpeg {
    fn start(mut command: Command) -> Result<Self> {
        let mut process = command.spawn().context("starting ffmpeg")?;
        let pictures = process.stdin.take().context("a piped input")?;
        // The default of 64 KiB makes many small reads of one picture.
        rustix::pipe::fcntl_setpipe_size(pictures.as_fd(), 1 << 20)?;
        Ok(Self { process, pictures: Some(pictures) })
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Mostly it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn streamer(way: &Way, to: &Destination, folder: &Path) -> Result<(Streamers, cvmmap::Publisher)> {
    let prefix = folder.to_str().context("a plain path")?;
    let target = Target::new(&camera(), None, Some(prefix))?;
    let segment = cvmmap::Publisher::create(&Address::from(&target), Abi::V2 { minor: 0 })?;
    let (uri, latency) = (target.to_string(), SRT_LATENCY.as_millis());
    let mut command = vec!["--input-uri", &uri, "--codec", way.codec, "--encoder-device", "software"];
    let to = match to {
        Destination::Rtmp(url) => ["--rtmp", "--rtmp-url", url].map(str::to_owned).to_vec(),
        Destination::Rtp(port) => vec!["--rtp".to_owned(), format!("--rtp-endpoint=127.0.0.1:{port}")],
        Destination::Rtsp(port) => vec![format!("--rtsp=127.0.0.1:{port}")],
        Destination::Srt(port) => vec![format!("--srt-url=srt://127.0.0.1:{port}?latency={latency}")],
    };
    if let Some(mode) = way.rtmp_mode {
        command.extend(["--rtmp-mode", mode]);
    }
    let command = command.into_iter().map(str::to_owned).chain(to).collect();
    Ok((Streamers::start(&[command], Vec::new())?, segment))
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
