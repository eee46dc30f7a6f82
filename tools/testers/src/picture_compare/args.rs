//! The command line of `picture_compare`.

use std::path::PathBuf;

use clap::Parser;
use tools_cli::command_line::VERSION;

/// Checks that the pictures of one video are those of another, after encoding and a network.
///
/// Each received frame is matched with a sent one. Received frames may start late and leave some out; they may not
/// repeat, go back or show anything else. Files are decoded by GStreamer: any container, or raw .h264 and .h265.
#[derive(Debug, Parser)]
#[command(name = "picture_compare", version = VERSION, after_help = AFTER_HELP)]
pub struct Args {
    /// The video that was sent
    #[arg(long, value_name = "FILE")]
    pub sent: PathBuf,

    /// The video that was received
    #[arg(long, value_name = "FILE")]
    pub received: PathBuf,

    /// Likeness that every frame has to have, as luma PSNR
    #[arg(long, value_name = "DB", default_value_t = 30.0, value_parser = decibels)]
    pub min_psnr: f64,

    /// Received frames that have to be there
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_frames: u64,

    /// Draw six pairs, sent above and received below, and the first one that is not alike
    #[arg(long, value_name = "FILE.png")]
    pub contact_sheet: Option<PathBuf>,

    /// Print the result as one JSON object instead of key=value lines
    #[arg(long)]
    pub json: bool,
}

fn decibels(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|value| (0.0..=100.0).contains(value))
        .ok_or_else(|| "a number from 0 to 100 is expected".into())
}

const AFTER_HELP: &str = "\
Exit codes:
  0    every received frame is like the sent one it matches, and there are enough of them
  1    the command line is not understood
  2    a file cannot be opened or written, or is too long
  4    fewer frames than --min-frames were received
  5    a GStreamer element is missing
  7    a frame is not like any sent one in its place, or a file cannot be decoded

Examples:
  picture_compare --sent camera.mkv --received got.h264
  picture_compare --sent camera.mkv --received got.h265 --min-psnr 35 --min-frames 100 --json
  picture_compare --sent camera.mkv --received got.mp4 --contact-sheet pairs.png";
