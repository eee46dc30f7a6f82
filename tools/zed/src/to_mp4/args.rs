//! The command line of `zed_svo_to_mp4`.

use std::path::PathBuf;

use clap::Parser;
use tools_cli::command_line::VERSION;

use crate::{encoder::Encoding, open::Reading};

const EXAMPLES: &str = "\
Examples:
  The whole recording, as run.mp4 beside it:
    zed_svo_to_mp4 --input run.svo2
  Its first 90 pictures, smaller and sooner:
    zed_svo_to_mp4 --input run.svo2 --output begin.mp4 --preset fast --quality 28 --end-frame 89

Read without the ZED SDK, pictures are as the lens drew them: not rectified, unlike those of the SDK (--provider sdk), unless
--calibration names the camera's factory calibration. The file's metadata say which.

Exit codes: 0 success, 1 wrong arguments, 2 an input or output that cannot be used, 4 no picture could be decoded,
5 the pipeline cannot start or broke (missing encoder, full disk), 130 interrupted.";

/// Makes an MP4 file of the left camera's pictures of a ZED recording (SVO2), or of one camera of an MCAP recording.
///
/// Every picture keeps its own timestamp, so the frame rate varies as the camera's did. The file gets its name when it
/// is whole; interrupted, it leaves nothing behind.
#[derive(Clone, Debug, Parser)]
#[command(name = "zed_svo_to_mp4", version = VERSION, after_help = EXAMPLES)]
pub struct Args {
    /// Recording to read
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// File to write [default: the input with the ending .mp4]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an output that is there already
    #[arg(long)]
    pub overwrite: bool,
    /// Who reads it, and how.
    #[command(flatten)]
    pub reading: Reading,
    /// First picture, counted from 0 as the camera's [default: 0]
    #[arg(long, value_name = "N")]
    pub start_frame: Option<usize>,
    /// Last picture, which is included [default: the recording's last]
    #[arg(long, value_name = "N")]
    pub end_frame: Option<usize>,

    /// What is asked of the encoder
    #[command(flatten)]
    pub encoding: Encoding,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}
