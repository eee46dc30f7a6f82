//! `mcap_rgbd_viewer`: a recording's pictures and depth, in a window or in a file.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, rgbd::viewer};

fn main() -> ExitCode {
    failure::exit_with("mcap_rgbd_viewer", viewer::run())
}
