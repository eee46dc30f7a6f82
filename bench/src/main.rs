//! Measures what the elements and the streamer cost, in processes of their own: the commands that are not hidden drive, and
//! start the others.

mod allocations;
mod child;
mod clip;
mod copies;
mod footprint;
mod ingest;
mod latency;
mod machine;
mod many;
mod muxer;
mod pace;
mod passthrough;
mod picture;
#[allow(dead_code, reason = "tests take more of it")]
#[path = "../../tests/support/browser.rs"]
mod player;
mod proc;
mod receiver;
mod recordings;
mod reel;
mod report;
mod roles;
mod sizes;
mod streamers;
mod units;
mod usage;
mod viewers;
mod webrtc;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Parser)]
#[command(about = "Measures what the elements cost")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures the way from a producer into a pipeline and prints one table
    Ingest {
        /// Fewer and shorter rounds
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/ingest.json")]
        json: PathBuf,
        /// Measures the sections whose names start with this alone
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Counts the instructions that a tag costs, under valgrind
    Muxer {
        /// Fewer and shorter rounds
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/muxer.json")]
        json: PathBuf,
    },
    /// Measures what it costs to send a producer's own access units on, for one stream and for fifty
    Passthrough {
        /// Shorter
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/passthrough.json")]
        json: PathBuf,
    },
    /// Measures from capture to decoded picture, beside ffmpeg, and prints one table
    Latency {
        /// Shorter rounds
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/latency.json")]
        json: PathBuf,
        /// Measures the rows whose names start with this alone
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Measures how fast recordings are converted, beside ffmpeg, and prints one table
    Recordings {
        /// Shorter recordings, one round
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/recordings.json")]
        json: PathBuf,
        /// Measures the rows whose names start with this alone
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Measures what one, eight and thirty-two who watch by WebRTC cost
    Viewers {
        /// Shorter
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/viewers.json")]
        json: PathBuf,
    },
    /// Measures what those who watch by WebRTC cost and see, beside GStreamer's webrtcbin
    Webrtc {
        /// Shorter, one round
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/webrtc.json")]
        json: PathBuf,
        /// Measures the sizes that start with this alone
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Measures one process for twenty cameras, beside twenty processes
    Many {
        /// Shorter, one round
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/many.json")]
        json: PathBuf,
    },
    /// Measures what a camera takes, by its size and by what is done with its pictures
    Sizes {
        /// The two smaller sizes alone
        #[arg(long)]
        quick: bool,
        /// Where the figures go as JSON
        #[arg(long, default_value = "target/bench/sizes.json")]
        json: PathBuf,
    },
    /// Publishes frames until its input ends
    #[command(hide = true)]
    Produce(roles::produce::Args),
    /// Makes the files of a clip that producers play
    #[command(hide = true)]
    Prepare(roles::prepare::Args),
    /// Publishes a clip until its input ends
    #[command(hide = true)]
    Play(roles::play::Args),
    /// Feeds one picture to a pipeline, at a pace, until its input ends
    #[command(hide = true)]
    Send(roles::send::Args),
    /// Runs pipelines until its input ends
    #[command(hide = true)]
    Read(roles::read::Args),
    /// Starts and stops a source, or its producer, many times
    #[command(hide = true)]
    Churn(roles::churn::Args),
    /// Sends prepared access units through a muxer
    #[command(hide = true)]
    Pass(muxer::pass::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Ingest { quick, json, only } => ingest::run(quick, &json, &only),
        Command::Muxer { quick, json } => muxer::run(quick, &json),
        Command::Passthrough { quick, json } => passthrough::run(quick, &json),
        Command::Latency { quick, json, only } => latency::run(quick, &json, &only),
        Command::Recordings { quick, json, only } => recordings::run(quick, &json, &only),
        Command::Viewers { quick, json } => viewers::run(quick, &json),
        Command::Webrtc { quick, json, only } => webrtc::run(quick, &json, &only),
        Command::Many { quick, json } => many::run(quick, &json),
        Command::Sizes { quick, json } => sizes::run(quick, &json),
        Command::Produce(args) => roles::produce::run(&args),
        Command::Prepare(args) => roles::prepare::run(&args),
        Command::Play(args) => roles::play::run(&args),
        Command::Send(args) => roles::send::run(&args),
        Command::Read(args) => roles::read::run(&args),
        Command::Churn(args) => roles::churn::run(&args),
        Command::Pass(args) => muxer::pass::run(&args),
    }
}
