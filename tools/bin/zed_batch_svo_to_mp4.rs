//! `zed_batch_svo_to_mp4`: many ZED recordings as MP4 files.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::batch;

fn main() -> ExitCode {
    failure::exit_with("zed_batch_svo_to_mp4", batch::to_mp4())
}
