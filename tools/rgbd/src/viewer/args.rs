//! The command line of `mcap_rgbd_viewer`.

use std::path::PathBuf;

use clap::Parser;
use tools_cli::command_line::VERSION;

use crate::{choice::Choice, palette::Palette};

const EXAMPLES: &str = "\
Examples:
  Look at a camera:
    mcap_rgbd_viewer run.mcap --camera-label zed1
  What is in a recording:
    mcap_rgbd_viewer --summary-only run.mcap
  A frame without a window:
    mcap_rgbd_viewer --camera-label zed2 --frame-index 150 --export-preview frame.png run.mcap

Keys: Left and Right one frame, with Shift ten; Home and End; Space plays and pauses;
Up and Down another camera; P another palette.

Exit codes: 0 success, 1 wrong arguments, 2 no such file, camera or frame, or no window,
5 a decoder is missing, 7 the recording is damaged there.";

/// Shows picture and depth of an MCAP recording side by side.
#[derive(Debug, Parser)]
#[command(name = "mcap_rgbd_viewer", version = VERSION, after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub choice: Choice,
    /// Print what is in the recording, without a window
    #[arg(long)]
    pub summary_only: bool,
    /// Write picture and coloured depth of the frame, without a window
    #[arg(long, value_name = "PNG", conflicts_with = "summary_only")]
    pub export_preview: Option<PathBuf>,
    /// Colours of the depth, from near to far
    #[arg(long, value_enum, default_value_t, ignore_case = true)]
    pub palette: Palette,
    /// Replace a preview that is there
    #[arg(long)]
    pub overwrite: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
