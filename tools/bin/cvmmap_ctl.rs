//! `cvmmap_ctl`: finds producers and streamers, asks and tells them things.

use std::process::ExitCode;

use tools_cli::{command_line, failure};

fn main() -> ExitCode {
    let outcome = command_line::parse().and_then(|options| options.map_or(Ok(()), |options| tools_ctl::run(&options)));
    failure::exit_with("cvmmap_ctl", outcome)
}
