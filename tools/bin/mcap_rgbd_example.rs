//! `mcap_rgbd_example`: the simple way to a recording's contents.

use std::process::ExitCode;

use tools_cli::failure;
use tools_rgbd::example;

fn main() -> ExitCode {
    failure::exit_with("mcap_rgbd_example", example::run())
}
