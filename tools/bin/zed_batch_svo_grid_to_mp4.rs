//! `zed_batch_svo_grid_to_mp4`: many segments of ZED recordings as grids.

use std::process::ExitCode;

use tools_cli::failure;
use tools_zed::batch;

fn main() -> ExitCode {
    failure::exit_with("zed_batch_svo_grid_to_mp4", batch::grid())
}
