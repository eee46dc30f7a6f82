//! `zed_svo_to_mcap`: ZED recordings, of one camera or of several, as an MCAP file.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::to_mcap;

fn main() -> ExitCode {
    failure::exit_with("zed_svo_to_mcap", to_mcap::run())
}
