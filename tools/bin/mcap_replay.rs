//! `mcap_replay`: a recording as a cv-mmap producer.

use std::process::ExitCode;

use tools_cli::failure;

fn main() -> ExitCode {
    failure::exit_with("mcap_replay", tools_replay::run())
}
