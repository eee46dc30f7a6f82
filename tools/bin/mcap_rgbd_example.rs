//! `mcap_rgbd_example`: the simple way to a recording's contents.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, rgbd::example};

fn main() -> ExitCode {
    failure::exit_with("mcap_rgbd_example", example::run())
}
