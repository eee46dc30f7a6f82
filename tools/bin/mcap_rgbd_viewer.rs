//! `mcap_rgbd_viewer`: a recording's pictures and depth, in a window or in a file.

use std::process::ExitCode;

use tools_cli::failure;
use tools_rgbd::viewer;

fn main() -> ExitCode {
    failure::exit_with("mcap_rgbd_viewer", viewer::run())
}
