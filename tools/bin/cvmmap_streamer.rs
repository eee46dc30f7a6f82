//! `cvmmap_streamer`: a cv-mmap producer's frames as RTP and RTMP.

use std::process::ExitCode;

use cvmmap_tools::{
    common::{cli, failure},
    streamer::run,
};

fn main() -> ExitCode {
    let outcome = cli::parse().and_then(|options| options.map_or(Ok(()), |options| run::run(&options)));
    failure::exit_with("cvmmap_streamer", outcome)
}
