//! `mcap_bundle_validator`: whether recordings keep their layout's rules.

use std::process::ExitCode;

use cvmmap_tools::{common::failure, rgbd::bundle_validator};

fn main() -> ExitCode {
    failure::exit_with("mcap_bundle_validator", bundle_validator::run())
}
