//! The two that serve viewers: `cvmmap_streamer`, and `webrtcbin` behind the same address.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::camera::{Camera, kbit};
use crate::{footprint::Footprint, streamers::Streamers};

/// Debian's, which has the bindings.
const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = "bench/src/webrtc/webrtcbin_sender.py";
/// A keyframe comes when somebody asks for it.
const GOP: &str = "100000";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Streamer,
    Webrtcbin,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Video {
    /// The camera's access units.
    Passed,
    /// The camera's pictures, encoded by the sender.
    Encoded,
}

/// One that serves.
pub struct Sender {
    pub port: u16,
    process: Process,
}

enum Process {
    Streamer(Streamers),
    Webrtcbin(Child),
}

impl Sender {
    pub fn start(kind: Kind, video: Video, camera: &Camera) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let process = match kind {
            Kind::Streamer => Process::Streamer(streamer(video, camera, port)?),
            Kind::Webrtcbin => Process::Webrtcbin(webrtcbin(video, camera, port)?),
        };
        Ok(Self { port, process })
    }

    pub fn footprint(&self) -> Result<Footprint> {
        Footprint::of(match &self.process {
            Process::Streamer(streamers) => streamers.only(),
            Process::Webrtcbin(process) => process.id(),
        })
    }

    pub fn end(self) -> Result<()> {
        match self.process {
            Process::Streamer(streamers) => streamers.end().map(drop),
            Process::Webrtcbin(mut process) => {
                // Its input ends.
                drop(process.stdin.take());
                let status = process.wait()?;
                ensure!(status.success(), "{SCRIPT} ended with {status}");
                Ok(())
            }
        }
    }
}

fn streamer(video: Video, camera: &Camera, port: u16) -> Result<Streamers> {
    let (target, http, kbit) = (camera.target.to_string(), format!("127.0.0.1:{port}"), kbit(camera.size).to_string());
    let mut arguments = vec!["--nats-url", "", "--input-uri", &target, "--http", &http, "--max-viewers", "64"];
    arguments.extend(match video {
        Video::Passed => &["--input-video-source", "encoded"][..],
        Video::Encoded => &["--input-video-source", "raw", "--codec", "h264", "--encoder-device", "software"],
    });
    if video == Video::Encoded {
        arguments.extend(["--gop", GOP, "--bitrate", &kbit]);
    }
    Streamers::start(&[arguments.into_iter().map(str::to_owned).collect()], Vec::new())
}

fn webrtcbin(video: Video, camera: &Camera, port: u16) -> Result<Child> {
    let source = format!("cvmmapsrc uri={} nats-url=\"\"", camera.target);
    let source = match video {
        Video::Passed => format!("{source} plane=encoded ! h264parse"),
        // The settings that `cvmmap_streamer` gives it.
        Video::Encoded => format!(
            "{source} ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=superfast key-int-max={GOP} \
             bitrate={} ! h264parse",
            kbit(camera.size)
        ),
    };
    let plugins = env::current_exe()?;
    let plugins = plugins.parent().context("a folder")?;
    let mut process = Command::new(PYTHON)
        .args([SCRIPT, &port.to_string(), &source])
        .env("GST_PLUGIN_PATH", plugins)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {PYTHON}"))?;
    let mut said = String::new();
    BufReader::new(process.stdout.take().context("a piped output")?).read_line(&mut said)?;
    ensure!(said == "ready\n", "{SCRIPT} ended: {}", process.wait()?);
    Ok(process)
}
