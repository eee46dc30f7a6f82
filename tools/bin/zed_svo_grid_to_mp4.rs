//! `zed_svo_grid_to_mp4`: several ZED recordings in one picture, as an MP4 file.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::grid;

fn main() -> ExitCode {
    failure::exit_with("zed_svo_grid_to_mp4", grid::run())
}
