//! The protocol and codec rows of the acceptance suite.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Rtp,
    Rtmp,
}

/// A protocol and codec row of the acceptance suite.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub name: &'static str,
    pub protocol: Protocol,
    pub codec: &'static str,
    pub rtmp_mode: Option<&'static str>,
}

pub const ROWS: [Way; 5] = [
    Way { name: "RTP H.264", protocol: Protocol::Rtp, codec: "h264", rtmp_mode: None },
    Way { name: "RTP H.265", protocol: Protocol::Rtp, codec: "h265", rtmp_mode: None },
    Way { name: "RTMP H.264", protocol: Protocol::Rtmp, codec: "h264", rtmp_mode: None },
    Way { name: "RTMP H.265 enhanced", protocol: Protocol::Rtmp, codec: "h265", rtmp_mode: Some("enhanced") },
    Way { name: "RTMP H.265 domestic", protocol: Protocol::Rtmp, codec: "h265", rtmp_mode: Some("domestic") },
];
