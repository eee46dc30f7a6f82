//! `mcap_depth_alignment`: how depth lies over the picture.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, rgbd::alignment};

fn main() -> ExitCode {
    failure::exit_with("mcap_depth_alignment", alignment::run())
}
