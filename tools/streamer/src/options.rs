//! The command line as typed. What it means, and whether it may, is decided in [`super::plan`].

// Help texts have their brackets as a person types them.
#![allow(rustdoc::broken_intra_doc_links)]

mod encoding;
mod output;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use cvmmap::{Codec, Permissions};
use tools_cli::{
    command_line::VERSION,
    nats::{NatsArgs, SecretText, secret},
};
use tools_media::{codec, encoders::Device};

pub use self::{
    encoding::{EncodingArgs, Scale},
    output::{OutputArgs, Slate},
};
use crate::{log, recorder::args::RecordingArgs};

const EXAMPLES: &str = "\
Examples:
  Publish a camera as RTP, with an SDP file for the receiver:
    cvmmap_streamer --input-uri cvmmap://zed1 --codec h264 \\
      --rtp --rtp-endpoint 127.0.0.1:5004 --rtp-sdp /tmp/zed1.sdp
  Publish H.265 to an RTMP server:
    cvmmap_streamer --input-uri cvmmap://zed1 --codec h265 \\
      --rtmp --rtmp-url rtmp://127.0.0.1:1935/live/zed1 --rtmp-mode enhanced
  Send on what a camera encodes itself:
    cvmmap_streamer --input-uri cvmmap://zed1 --input-video-source encoded \\
      --rtp --rtp-endpoint 127.0.0.1:5004 --rtp-sdp /tmp/zed1.sdp
  Run the cameras of a file, in one process:
    cvmmap_streamer --config cameras.toml
  Watch a camera in a browser, at http://127.0.0.1:8080/:
    cvmmap_streamer --input-uri cvmmap://zed1 --codec h264 --http 127.0.0.1:8080
  Simulate a camera of 300 frames for any consumer:
    cvmmap_streamer --input-mode dummy --shm-name test_stream \\
      --zmq-endpoint ipc:///tmp/test_sync.ipc --dummy-label teststream
  Simulate a camera and publish it, in one program:
    cvmmap_streamer --input-mode dummy --shm-name test_stream \\
      --zmq-endpoint ipc:///tmp/test_sync.ipc --codec h264 --rtp --rtp-endpoint 127.0.0.1:5004

Exit codes: 0 success, 1 wrong arguments, 2 a configuration that cannot be set up,
5 the pipeline cannot start or broke (missing encoder), or an RTMP server was never reached,
124 no frame came within --ingest-idle-timeout-ms.";

/// Publishes the frames of a cv-mmap producer as RTP and RTMP.
///
/// Frames are read from shared memory, encoded once with low-latency settings, and sent to each output asked for. Ends
/// on SIGINT, SIGTERM or SIGHUP, at a limit, or on an error, with a summary on stdout. With --config, SIGHUP has the
/// file read again, and cameras that end are started again.
#[derive(Clone, Debug, Parser)]
#[command(name = "cvmmap_streamer", version = VERSION, after_help = EXAMPLES)]
pub struct Options {
    /// What to run
    #[arg(long, value_enum, default_value_t = RunMode::Pipeline)]
    pub run_mode: RunMode,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,

    /// How much is told [default: what RUST_LOG says, else info]
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Log")]
    pub log_level: Option<log::Verbosity>,
    /// How lines on stderr are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = log::Format::Plain, help_heading = "Log")]
    pub log_format: log::Format,
    /// Tell how each camera is every so many seconds; on a terminal, a line shows it all the time. 0 does not
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = "Log")]
    pub status_interval: u32,

    /// Run the cameras of this file (TOML), in which each of the flags below is a key; SIGHUP has it read again
    #[arg(long, value_name = "FILE", help_heading = "Many cameras")]
    pub config: Option<PathBuf>,
    /// Tell what --config would run, or each mistake with its line and column, and exit
    #[arg(long, requires = "config", help_heading = "Many cameras")]
    pub check_config: bool,
    /// Print an example for --config, with every key and its default, and exit
    #[arg(long, conflicts_with = "config", help_heading = "Many cameras")]
    pub example_config: bool,

    /// Where frames come from: a cv-mmap producer, or a simulated one that is also there for other consumers
    #[arg(long, value_enum, default_value_t = InputMode::Cvmmap, help_heading = "Input")]
    pub input_mode: InputMode,
    /// Producer by name: cvmmap://NAME[@/PREFIX][?namespace=NS], or NAME
    #[arg(long, value_name = "URI", help_heading = "Input")]
    pub input_uri: Option<String>,
    /// POSIX shared memory segment of the producer, with --zmq-endpoint in place of --input-uri
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub shm_name: Option<String>,
    /// ZeroMQ PUB endpoint of the producer's frame sync
    #[arg(long, value_name = "URI", help_heading = "Input")]
    pub zmq_endpoint: Option<String>,
    /// What to take of each frame: the producer's own H.264 or H.265, sent on without an encoder, or the picture
    #[arg(long, value_enum, default_value_t = VideoSource::Auto, help_heading = "Input")]
    pub input_video_source: VideoSource,
    /// Frames that wait for the encoder at most; 1 keeps the newest alone
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Input")]
    pub queue_size: u32,

    /// Control, status and body messages of the producer; video goes on without them
    #[command(flatten)]
    pub nats: NatsArgs,

    /// Video codec; may be left out for a producer that encodes itself
    #[arg(long, value_parser = codec::flag(), help_heading = "Codec")]
    pub codec: Option<Codec>,
    /// Encoder: the first that works, and software when it stops working; or one kind and no other
    #[arg(long, value_enum, default_value_t = Device::Auto, help_heading = "Codec")]
    pub encoder_device: Device,
    /// How pictures are encoded.
    #[command(flatten)]
    pub encoding: EncodingArgs,

    /// Send RTP over UDP unicast
    #[arg(long, help_heading = "Output")]
    pub rtp: bool,
    /// RTP destination; an IPv6 address goes in brackets. Several times for several receivers
    #[arg(long, value_name = "HOST:PORT", help_heading = "Output")]
    pub rtp_endpoint: Vec<String>,
    /// RTP payload type, 96 to 127
    #[arg(long, value_name = "PT", default_value_t = 96, help_heading = "Output")]
    pub rtp_payload_type: u32,
    /// Write the session description that a receiver needs to this file; one for each --rtp-endpoint, in their order
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub rtp_sdp: Vec<PathBuf>,
    /// Publish to RTMP servers; one that is not there, breaks or hangs is tried again until the run ends
    #[arg(long, help_heading = "Output")]
    pub rtmp: bool,
    /// RTMP publish URL: rtmp[s]://HOST[:PORT]/APP/STREAM. Several times for several servers
    #[arg(long, value_name = "URL", help_heading = "Output")]
    pub rtmp_url: Vec<String>,
    /// H.265 packaging, required for H.265: Enhanced RTMP (FourCC hvc1) or the domestic extension (codec id 12)
    #[arg(long, value_enum, help_heading = "Output")]
    pub rtmp_mode: Option<RtmpMode>,
    /// Sound beside the picture: none, or a silent AAC track for servers that demand one
    #[arg(long, value_enum, default_value_t = RtmpAudio::None, help_heading = "Output")]
    pub rtmp_audio: RtmpAudio,
    /// Publish the producer's depth in colour as a second video track (Enhanced RTMP v2) of the same connection, to servers
    /// that say that they know tracks, or to all of them
    #[arg(long, value_enum, value_name = "SERVERS", num_args = 0..=1, require_equals = true,
          default_missing_value = "negotiated", help_heading = "Output")]
    pub rtmp_depth: Option<RtmpDepth>,
    /// End the run with exit code 5 when the first connection to an RTMP server fails
    #[arg(long, help_heading = "Output")]
    pub rtmp_required: bool,
    /// Shortest wait before an RTMP server is tried again; it doubles from one failure to the next
    #[arg(long, value_name = "MS", default_value_t = 250, help_heading = "Output")]
    pub rtmp_retry_min_ms: u32,
    /// Longest wait before an RTMP server is tried again
    #[arg(long, value_name = "MS", default_value_t = 1500, help_heading = "Output")]
    pub rtmp_retry_max_ms: u32,
    /// Certificates (PEM) that an rtmps:// server's has to be signed by, or be [default: the system's authorities]
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub rtmp_ca_file: Option<PathBuf>,

    /// Outputs, and what they show.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Show the camera to browsers at http://HOST:PORT/ (WebRTC), with its status (/metrics, /healthz, /api/cameras); an
    /// address of this machine alone, or with --http-token, --http-cert and --http-key any
    #[arg(long, value_name = "HOST:PORT", help_heading = "Browsers")]
    pub http: Option<String>,
    /// Whoever asks has to show this token; the environment hides it from other users of the machine [env:
    /// CVMMAP_HTTP_TOKEN]
    #[arg(long, value_name = "TOKEN", value_parser = secret, help_heading = "Browsers")]
    pub http_token: Option<SecretText>,
    /// File that holds the token
    #[arg(long, value_name = "PATH", conflicts_with = "http_token", help_heading = "Browsers")]
    pub http_token_file: Option<PathBuf>,
    /// Serve HTTPS with this certificate (PEM)
    #[arg(long, value_name = "PATH", requires = "http_key", help_heading = "Browsers")]
    pub http_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "PATH", requires = "http_cert", help_heading = "Browsers")]
    pub http_key: Option<PathBuf>,
    /// Serve any address without a token or without HTTPS: whoever reaches it may watch
    #[arg(long, help_heading = "Browsers")]
    pub http_insecure: bool,
    /// Browsers that may watch a camera at the same time [default: 32]
    #[arg(long, value_name = "N", help_heading = "Browsers")]
    pub max_viewers: Option<u32>,

    /// Recordings.
    #[command(flatten)]
    pub recording: RecordingArgs,

    /// Process this many frames, then exit; 0 is unlimited
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Limits")]
    pub ingest_max_frames: u64,
    /// Exit when no frame has come for this long: with 0 after a stream, with 124 when none ever came; 0 waits for ever
    #[arg(long, value_name = "MS", default_value_t = 0, help_heading = "Limits")]
    pub ingest_idle_timeout_ms: u32,

    /// Label of the simulated producer, 24 bytes at most [default: the name in --input-uri, else dummy]
    #[arg(long, value_name = "LABEL", help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_label: Option<String>,
    /// Who may read the simulated frames: mode of the segment, octal, whatever the umask; whoever may read it may connect to
    /// the socket [default: 0644, less the umask]
    #[arg(long, value_name = "MODE", help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_perms: Option<Permissions>,
    /// Frames to simulate; 0 is unlimited
    #[arg(long, value_name = "N", default_value_t = 300, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_frames: u32,
    /// Simulated frames a second
    #[arg(long, value_name = "FPS", default_value_t = 30, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_fps: u32,
    /// Width of the simulated picture
    #[arg(long, value_name = "PIXELS", default_value_t = 640, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_width: u32,
    /// Height of the simulated picture
    #[arg(long, value_name = "PIXELS", default_value_t = 360, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_height: u32,
    /// Publish a depth plane as well, and with --dummy-confidence how far it is to be trusted
    #[arg(long, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_depth: bool,
    /// Publish a confidence plane as well
    #[arg(long, help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_confidence: bool,
    /// Publish each picture encoded as well
    #[arg(long, value_parser = codec::flag(), value_name = "CODEC", help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_encoded: Option<Codec>,
    /// Publish simulated skeletons of so many keypoints over NATS
    #[arg(long, value_enum, value_name = "KEYPOINTS", help_heading = "Simulator (--input-mode dummy)")]
    pub dummy_body: Option<Skeleton>,
}

/// `--dummy-body`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Skeleton {
    /// 18 keypoints
    #[value(name = "18")]
    Body18,
    /// 34 keypoints
    #[value(name = "34")]
    Body34,
    /// 38 keypoints
    #[value(name = "38")]
    Body38,
}

/// `--run-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunMode {
    /// Read, encode and send.
    Pipeline,
}

/// `--input-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputMode {
    /// A cv-mmap producer
    Cvmmap,
    /// A simulated producer
    Dummy,
}

/// `--input-video-source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VideoSource {
    /// The producer's access units when it has them in the codec asked for, else its pictures
    Auto,
    /// The pictures
    Raw,
    /// The producer's access units, and nothing else
    Encoded,
}

/// `--rtmp-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RtmpMode {
    /// Enhanced RTMP, FourCC hvc1
    Enhanced,
    /// FLV codec id 12
    Domestic,
}

/// `--rtmp-depth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RtmpDepth {
    /// To servers that say that they know tracks
    Negotiated,
    /// To every server
    Always,
}

/// `--rtmp-audio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RtmpAudio {
    /// No sound
    None,
    /// A silent AAC track
    Silence,
}
