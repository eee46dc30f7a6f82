//! `zed_svo_to_mp4`: the left pictures of a ZED recording as an MP4 file.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::to_mp4;

fn main() -> ExitCode {
    failure::exit_with("zed_svo_to_mp4", to_mp4::run())
}
