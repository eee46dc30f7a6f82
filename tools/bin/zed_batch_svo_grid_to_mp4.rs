//! `zed_batch_svo_grid_to_mp4`: many segments of ZED recordings as grids.

use std::process::ExitCode;

use cvmmap_tools::{batch, common::failure};

fn main() -> ExitCode {
    failure::exit_with("zed_batch_svo_grid_to_mp4", batch::grid())
}
