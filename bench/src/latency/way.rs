//! The ways that are measured: the protocol and codec rows of the acceptance suite, and those of players.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Rtp,
    Rtmp,
    Rtsp,
    Srt,
}

/// How long SRT holds packets back, for both that publish: so long a lost one may take.
pub const SRT_LATENCY: Duration = Duration::from_millis(20);

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Streamer,
    Ffmpeg,
}

/// Where to.
#[derive(Clone, Debug)]
pub enum Destination {
    Rtmp(String),
    /// A port on loopback,
    Rtp(u16),
    /// the same, where ours is the server,
    Rtsp(u16),
    /// and where a player is called.
    Srt(u16),
}

/// The camera's name, which nobody else has.
pub fn camera() -> String {
    format!("latency{}", std::process::id())
}

/// A way to publish.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub name: &'static str,
    pub protocol: Protocol,
    pub codec: &'static str,
    pub rtmp_mode: Option<&'static str>,
}

impl Way {
    const fn new(name: &'static str, protocol: Protocol, codec: &'static str) -> Self {
        Self { name, protocol, codec, rtmp_mode: None }
    }

    /// How long the protocol holds pictures back, whoever publishes.
    pub fn held_back(&self) -> Duration {
        if self.protocol == Protocol::Srt { SRT_LATENCY } else { Duration::ZERO }
    }
}

pub const ROWS: [Way; 9] = [
    Way::new("RTP H.264", Protocol::Rtp, "h264"),
    Way::new("RTP H.265", Protocol::Rtp, "h265"),
    Way::new("RTMP H.264", Protocol::Rtmp, "h264"),
    Way { rtmp_mode: Some("enhanced"), ..Way::new("RTMP H.265 enhanced", Protocol::Rtmp, "h265") },
    Way { rtmp_mode: Some("domestic"), ..Way::new("RTMP H.265 domestic", Protocol::Rtmp, "h265") },
    Way::new("RTSP H.264", Protocol::Rtsp, "h264"),
    Way::new("RTSP H.265", Protocol::Rtsp, "h265"),
    Way::new("SRT H.264", Protocol::Srt, "h264"),
    Way::new("SRT H.265", Protocol::Srt, "h265"),
];
