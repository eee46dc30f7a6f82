//! The command line of `rtmp_stub_tester`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tools_cli::command_line::VERSION;

use crate::{DEFAULT_THRESHOLD, DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, flv::mode::Mode};

/// Takes one RTMP publisher, or an FLV file, and checks every tag of it.
///
/// The video has to come in the packaging that --mode names: onMetaData with the right videocodecid, the sequence
/// header before the frames, a key frame first, NAL units that add up, timestamps that never go back. The first
/// broken rule ends the run, and is told with its tag, its byte and the reason.
#[derive(Debug, Parser)]
#[command(name = "rtmp_stub_tester", version = VERSION, after_help = AFTER_HELP)]
pub struct Args {
    /// How the publisher is to package its video
    #[arg(long, value_enum)]
    pub mode: Mode,

    /// Address to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub listen_host: String,

    /// Port to listen on; 0 takes a free one. The bound address is told on stderr
    #[arg(long, value_name = "PORT", default_value_t = 1935)]
    pub listen_port: u16,

    /// Coded frames to wait for
    #[arg(long, value_name = "N", default_value_t = DEFAULT_THRESHOLD,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub video_threshold: u64,

    /// How long to wait for them, and later for a publisher that stalls
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_TIMEOUT_MS,
          value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_MS))]
    pub timeout_ms: u64,

    /// Go on after the threshold until the publisher ends
    #[arg(long)]
    pub until_end: bool,

    /// Refuse the publisher at a step, to see how it takes that [default: publish]
    #[arg(long, value_enum, value_name = "STEP", num_args = 0..=1, default_missing_value = "publish",
          conflicts_with_all = ["until_end", "dump", "dump_es"])]
    pub refuse: Option<Step>,

    /// Ask the publisher after N coded frames to reconnect (Enhanced RTMP), and go on with its next connection
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "refuse")]
    pub reconnect_after: Option<u64>,

    /// Read nothing more after N coded frames, until the publisher hangs up or --timeout-ms is over
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
          conflicts_with_all = ["refuse", "until_end", "reconnect_after"])]
    pub stall_after: Option<u64>,

    /// Bytes that the kernel may keep for this server, so that a stall is felt soon [default: the system's; 16384 with
    /// --stall-after]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    pub receive_buffer: Option<u32>,

    /// What to say in capsEx: the sum of 1 reconnect, 2 tracks, 4 ModEx, 8 timestamps to the nanosecond
    #[arg(long, value_name = "FLAGS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=15))]
    pub caps_ex: u32,

    /// Check this FLV file and take no publisher
    #[arg(long, value_name = "FILE.flv",
          conflicts_with_all = ["listen_host", "listen_port", "timeout_ms", "until_end", "refuse", "reconnect_after",
                                "stall_after", "caps_ex", "receive_buffer"])]
    pub file: Option<PathBuf>,

    /// Keep every tag that comes as an FLV file
    #[arg(long, value_name = "FILE.flv")]
    pub dump: Option<PathBuf>,

    /// Keep the video as an Annex B elementary stream, parameter sets included
    #[arg(long, value_name = "FILE")]
    pub dump_es: Option<PathBuf>,

    /// Print the result as one JSON object instead of key=value lines
    #[arg(long)]
    pub json: bool,
}

/// Where `--refuse` says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// `_error`, NetConnection.Connect.Rejected
    Connect,
    /// `_error`, NetConnection.Call.Failed
    #[value(name = "createStream")]
    CreateStream,
    /// onStatus, NetStream.Publish.BadName
    Publish,
}

const AFTER_HELP: &str = "\
Exit codes:
  0    the frames came, and every rule was kept
  1    the command line is not understood
  2    the port or a file cannot be opened
  4    fewer frames than the threshold came
  6    another packaging than --mode came
  7    a rule of RTMP, FLV, AMF0 or the bitstream is broken
  124  no video came in time, the publisher stalled, or it did not reconnect

Examples:
  Wait for 30 frames of H.264:
    rtmp_stub_tester --mode h264 --video-threshold 30
  Keep what a publisher sends until it ends, on a free port:
    rtmp_stub_tester --mode h265-domestic --listen-port 0 --until-end --dump got.flv --dump-es got.h265
  Check a file:
    rtmp_stub_tester --mode h265-enhanced --file recording.flv --json
  See how a publisher takes a refusal:
    rtmp_stub_tester --mode h264 --refuse createStream
  See whether a publisher follows a request to reconnect:
    rtmp_stub_tester --mode h265-enhanced --reconnect-after 60 --video-threshold 120
  See when a publisher gives up a server that takes nothing:
    rtmp_stub_tester --mode h264 --stall-after 60 --timeout-ms 60000";
