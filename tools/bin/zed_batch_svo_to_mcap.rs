//! `zed_batch_svo_to_mcap`: many segments of ZED recordings as MCAP files.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::batch;

fn main() -> ExitCode {
    failure::exit_with("zed_batch_svo_to_mcap", batch::to_mcap())
}
