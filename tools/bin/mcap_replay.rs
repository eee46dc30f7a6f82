//! `mcap_replay`: a recording as a cv-mmap producer.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, replay};

fn main() -> ExitCode {
    failure::exit_with("mcap_replay", replay::run())
}
