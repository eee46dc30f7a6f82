//! The command line of `rtp_receiver_tester`.

use std::{fmt, path::PathBuf};

use clap::{Parser, ValueEnum};
use tools_cli::command_line::VERSION;

use crate::{DEFAULT_THRESHOLD, DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS};

/// Receives an RTP video stream over UDP and checks that it is the H.264 or H.265 it should be.
///
/// Every RTP header is checked: payload type, source, sequence, timestamps. The packets go through GStreamer's own
/// depayloader and parser, which have to make access units of them. The threshold counts packets; at least one
/// access unit has to come as well.
#[derive(Debug, Parser)]
#[command(name = "rtp_receiver_tester", version = VERSION, after_help = AFTER_HELP)]
pub struct Args {
    /// UDP port to receive on; 0 takes a free one. The bound address is told on stderr
    #[arg(long, alias = "listen-port", value_name = "PORT", required_unless_present = "sdp")]
    pub port: Option<u16>,

    /// Address to receive on
    #[arg(long, alias = "listen-host", value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// The payload type that has to come, 96 to 127. Any of these unless told
    #[arg(long, value_name = "PT", value_parser = clap::value_parser!(u8).range(96..=127))]
    pub expect_pt: Option<u8>,

    /// Packets to wait for
    #[arg(long, value_name = "N", default_value_t = DEFAULT_THRESHOLD,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub packet_threshold: u64,

    /// How long to wait for them, and for the SDP file
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_TIMEOUT_MS,
          value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_MS))]
    pub timeout_ms: u64,

    /// Take port, payload type, codec and parameter sets from this SDP file; waits for it to appear. Where it has the header
    /// extension ntp-64, the delay from capture is printed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["port", "codec"])]
    pub sdp: Option<PathBuf>,

    /// The codec that has to come. Unless told, and without SDP, either is accepted
    #[arg(long, value_enum)]
    pub codec: Option<Codec>,

    /// Keep the received access units as an Annex B elementary stream
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,

    /// Go on after the threshold until the sender stops: RTCP BYE on the same port, or 1 s without packets. A BYE before
    /// the threshold ends the run too
    #[arg(long)]
    pub until_end: bool,

    /// Print the result as one JSON object instead of key=value lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    #[value(alias = "avc")]
    H264,
    #[value(alias = "hevc")]
    H265,
}

impl Codec {
    pub const ALL: [Self; 2] = [Self::H264, Self::H265];

    pub fn from_encoding_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.encoding_name() == name)
    }

    /// The name in SDP and in RTP caps.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
        }
    }

    /// SDP parameters that hold parameter sets (RFC 6184 section 8.1, RFC 7798 section 7.1).
    pub fn parameter_set_fields(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["sprop-parameter-sets"],
            Self::H265 => &["sprop-vps", "sprop-sps", "sprop-pps"],
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        })
    }
}

const AFTER_HELP: &str = "\
Exit codes:
  0    the packets came, and they are the video they should be
  1    the command line is not understood
  2    the port or a file cannot be opened
  3    another payload type came
  4    some packets came, fewer than the threshold
  5    a GStreamer element is missing
  7    a rule of RTP is broken, or no access unit of the codec could be parsed
  124  nothing came in time

Examples:
  Wait for the first packets of payload type 96, of either codec:
    rtp_receiver_tester --port 5004 --expect-pt 96
  Receive what an SDP file describes, until the sender stops, and keep it:
    rtp_receiver_tester --sdp /tmp/stream.sdp --until-end --dump got.h265
  300 packets of H.264, as JSON:
    rtp_receiver_tester --port 5004 --codec h264 --packet-threshold 300 --json";
