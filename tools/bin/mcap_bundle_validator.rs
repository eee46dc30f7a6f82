//! `mcap_bundle_validator`: whether recordings keep their layout's rules.

use std::process::ExitCode;

use tools_cli::failure;
use tools_rgbd::bundle_validator;

fn main() -> ExitCode {
    failure::exit_with("mcap_bundle_validator", bundle_validator::run())
}
