//! `cvmmap_streamer`: a cv-mmap producer's frames as RTP and RTMP.

use std::process::ExitCode;

use tools_cli::{command_line, failure};
use tools_streamer::run;

fn main() -> ExitCode {
    let outcome = command_line::parse().and_then(|options| options.map_or(Ok(()), |options| run::run(&options)));
    failure::exit_with("cvmmap_streamer", outcome)
}
