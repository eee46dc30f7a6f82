//! `mcap_depth_alignment`: how depth lies over the picture.

use std::process::ExitCode;

use tools_cli::failure;
use tools_rgbd::alignment;

fn main() -> ExitCode {
    failure::exit_with("mcap_depth_alignment", alignment::run())
}
