//! The command line.

// Help texts have their brackets as a person types them.
#![allow(rustdoc::broken_intra_doc_links)]

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cvmmap::{
    Target,
    nats::{CameraControlChange, proto::CameraControlSetting},
};
use tools_cli::{command_line::VERSION, file_format::FileFormat, nats::NatsArgs};

const EXAMPLES: &str = "\
Examples:
  Who is there:
    cvmmap_ctl list
  A camera's frame rate, latency, losses, status and bodies, each second:
    cvmmap_ctl watch cvmmap://cam0
  Go back to a moment of a recording that is played:
    cvmmap_ctl seek cvmmap://cam0 +2.5
  Record what a streamer streams:
    cvmmap_ctl record start cvmmap://cam0 --output cam0.mcap
  Have the streamer of many cameras read its configuration again:
    cvmmap_ctl reload
  Settings of a camera:
    cvmmap_ctl camera list cvmmap://cam0
    cvmmap_ctl camera set cvmmap://cam0 exposure 40
    cvmmap_ctl camera set cvmmap://cam0 gain auto
    cvmmap_ctl camera set-range cvmmap://cam0 auto-analog-gain-range 0 30

Exit codes: 0 success, 1 wrong arguments, 2 a configuration that cannot be used, or a request that was refused,
7 an answer that is none, 124 no server or no answer in time.";

/// Finds cv-mmap producers and streamers over NATS, asks them and tells them things.
#[derive(Clone, Debug, Parser)]
#[command(name = "cvmmap_ctl", version = VERSION, after_help = EXAMPLES)]
pub struct Options {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for the server, and for an answer
    #[arg(long, global = true, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
    /// The NATS server
    #[command(flatten)]
    pub nats: NatsArgs,
}

impl Options {
    /// How long to wait.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Producers and streamers that answer, with what they offer
    List,
    /// What a producer is, can do, and where it stands
    Info(Producer),
    /// Frames, status and bodies of a producer, live
    Watch(Watch),
    /// Start a producer's frame count over
    Reset(Producer),
    /// Go on from another moment of a source that has one
    Seek {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Timestamp in nanoseconds, in the source's own time (see info), or +SECONDS from the start of its timeline
        #[arg(value_name = "TIMESTAMP_NS|+SECONDS", value_parser = moment)]
        moment: Moment,
    },
    /// Record what a streamer streams
    Record {
        /// What to do with the recording
        #[command(subcommand)]
        verb: Record,
    },
    /// Bit rate and keyframes of a streamer's encoder
    Encoder {
        /// What to do with the encoder
        #[command(subcommand)]
        verb: Encoder,
    },
    /// Exposure, gain and the other settings of a producer's camera
    Camera {
        /// What to do with the settings
        #[command(subcommand)]
        verb: Camera,
    },
    /// Have each streamer with a --config read it again
    Reload,
    /// The recordings that a producer plays
    Playlist {
        /// What to do with the list
        #[command(subcommand)]
        verb: Playlist,
    },
}

/// A moment of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A timestamp in nanoseconds.
    At(u64),
    /// So long after the start of the timeline.
    FromStart(Duration),
}

fn moment(text: &str) -> Result<Moment, String> {
    let moment = match text.strip_prefix('+') {
        Some(seconds) => {
            let seconds = seconds.parse().ok().filter(|seconds: &f64| *seconds <= 1e9);
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(Moment::FromStart)
        }
        None => text.parse().ok().map(Moment::At),
    };
    moment.ok_or_else(|| "neither nanoseconds nor + and seconds".to_owned())
}

/// Which producer.
#[derive(Clone, Debug, Args)]
pub struct Producer {
    /// Producer: cvmmap://NAME[@/PREFIX][?namespace=NS], or NAME
    #[arg(value_name = "PRODUCER")]
    pub target: Target,
}

/// `watch`.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// Producer
    #[command(flatten)]
    pub producer: Producer,
    /// Time between two lines
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub interval_ms: u64,
    /// End after so many lines; 0 goes on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub count: u64,
}

/// `record`.
#[derive(Clone, Debug, Subcommand)]
pub enum Record {
    /// What can be recorded
    Capabilities(Recorder),
    /// Begin a recording
    Start(Box<Start>),
    /// End the recording
    Stop(Recorder),
    /// How the recording goes
    Status(Recorder),
}

/// Which recorder.
#[derive(Clone, Debug, Args)]
pub struct Recorder {
    /// Producer
    #[command(flatten)]
    pub producer: Producer,
    /// Format
    #[arg(long, value_enum, default_value_t = FileFormat::Mcap)]
    pub format: FileFormat,
}

/// `record start`.
#[derive(Clone, Debug, Args)]
pub struct Start {
    /// Recorder
    #[command(flatten)]
    pub recorder: Recorder,
    /// File, below the streamer's record root
    #[arg(long, value_name = "PATH")]
    pub output: String,
    /// MCAP: chunk compression
    #[arg(long, value_name = "zstd|lz4|none")]
    pub compression: Option<String>,
    /// MCAP: topic of the video
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// MCAP: topic of the depth
    #[arg(long, value_name = "TOPIC")]
    pub depth_topic: Option<String>,
    /// MCAP: topic of the bodies
    #[arg(long, value_name = "TOPIC")]
    pub body_topic: Option<String>,
    /// MCAP: frame id in the messages
    #[arg(long, value_name = "ID")]
    pub frame_id: Option<String>,
}

/// `encoder`.
#[derive(Clone, Debug, Subcommand)]
pub enum Encoder {
    /// Which encoder runs, and its bit rate
    Show(Producer),
    /// Change it while it runs
    Set {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Bit rate in kbit/s
        #[arg(long, value_name = "KBIT")]
        bitrate: u32,
    },
    /// Have the next picture be a keyframe
    Keyframe(Producer),
}

/// `camera`.
#[derive(Clone, Debug, Subcommand)]
pub enum Camera {
    /// The settings that the camera has, and what they stand at
    List(Producer),
    /// What a setting stands at
    Get {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Setting
        #[arg(value_name = "SETTING", help = SETTING)]
        setting: CameraControlSetting,
    },
    /// Set one value, or have the camera choose it
    Set {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Setting
        #[arg(value_name = "SETTING", help = SETTING)]
        setting: CameraControlSetting,
        /// A whole number in the camera's own unit, or auto
        #[arg(value_name = "VALUE|auto", allow_hyphen_values = true, value_parser = one_value)]
        value: CameraControlChange,
    },
    /// Set the range that the camera may choose from
    SetRange {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Setting
        #[arg(value_name = "SETTING", help = RANGE_SETTING)]
        setting: CameraControlSetting,
        /// Lowest value
        #[arg(allow_negative_numbers = true)]
        min: i32,
        /// Highest value
        #[arg(allow_negative_numbers = true)]
        max: i32,
    },
}

const SETTING: &str = "Setting: exposure, gain, aec-agc, whitebalance-temperature, whitebalance-auto, led-status, \
exposure-time, analog-gain, digital-gain, or one of those of set-range";
const RANGE_SETTING: &str = "Setting: auto-exposure-time-range, auto-analog-gain-range or auto-digital-gain-range";

fn one_value(text: &str) -> Result<CameraControlChange, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(CameraControlChange::Auto);
    }
    let value = text.parse().map_err(|_| "neither auto nor a whole number of 32 bits".to_owned())?;
    Ok(CameraControlChange::Manual(value))
}

/// `playlist`.
#[derive(Clone, Debug, Subcommand)]
pub enum Playlist {
    /// What is played
    Show(Producer),
    /// Play other recordings, from the first one on
    Apply {
        /// Producer
        #[command(flatten)]
        producer: Producer,
        /// Recordings, as the producer's machine names them
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<String>,
        /// In the order in which they were recorded
        #[arg(long)]
        sort_by_recording_time: bool,
    },
}
