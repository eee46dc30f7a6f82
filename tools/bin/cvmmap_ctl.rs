//! `cvmmap_ctl`: finds producers and streamers, asks and tells them things.

use std::process::ExitCode;

use cvmmap_tools::{
    common::{cli, failure},
    ctl,
};

fn main() -> ExitCode {
    let outcome = cli::parse().and_then(|options| options.map_or(Ok(()), |options| ctl::run(&options)));
    failure::exit_with("cvmmap_ctl", outcome)
}
