//! The command line of `zed_svo_grid_to_mp4`, and the recordings that it names.

use std::path::PathBuf;

use clap::Parser;
use tools_cli::{command_line::VERSION, failure::Failure};

use crate::{encoder::Encoding, open::Reading, segment};

const EXAMPLES: &str = "\
Examples:
  The cameras of a segment, *_zed1.svo2 and so on, as SEGMENT/SEGMENT_grid.mp4:
    zed_svo_grid_to_mp4 --segment-dir 2026-03-18T11-59-41
  All cameras of an MCAP recording:
    zed_svo_grid_to_mp4 --input 2026-03-18T11-59-41.mcap --output grid.mp4
  Two recordings side by side, in full size, for two seconds:
    zed_svo_grid_to_mp4 --input left.svo2 --input right.svo2 --output both.mp4 --tile-scale 1 --duration-seconds 2

Exit codes: 0 success, 1 wrong arguments, 2 an input or output that cannot be used, 4 a camera without a picture that can
be shown, 5 the pipeline cannot start or broke (missing encoder, full disk), 130 interrupted.";

/// Shows the recordings of several ZED cameras (SVO2) in one MP4 file, in rows, with the time in the top left corner.
///
/// Begins at the first moment that all cameras recorded. A camera that ends or drops out keeps its last picture, with a
/// red frame around it.
#[derive(Clone, Debug, Parser)]
#[command(name = "zed_svo_grid_to_mp4", version = VERSION, after_help = EXAMPLES)]
pub struct Args {
    /// Directory with recordings named *_zedN.svo2, shown in the order of N
    #[arg(long, value_name = "DIR", required_unless_present = "input", conflicts_with = "input")]
    pub segment_dir: Option<PathBuf>,
    /// A recording; again for each further one, from left to right and from top to bottom. Of an MCAP recording all
    /// cameras, in the order of their labels, or the one that --camera-label names
    #[arg(long, value_name = "FILE", requires = "output")]
    pub input: Vec<PathBuf>,
    /// File to write [default: DIR/DIR_grid.mp4]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an output that is there already
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub reading: Reading,
    /// End after so many seconds [default: when the last camera ends]
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub duration_seconds: Option<f64>,
    /// Size of a camera's picture in the grid
    #[arg(long, value_name = "FACTOR", default_value_t = 0.5, value_parser = scale)]
    pub tile_scale: f64,

    /// What is asked of the encoder
    #[command(flatten)]
    pub encoding: Encoding,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// The recordings in their order, and where the grid goes.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when there are none.
    pub fn files(&self) -> Result<(Vec<PathBuf>, PathBuf), Failure> {
        let (inputs, beside) = match &self.segment_dir {
            Some(directory) => {
                let cameras = segment::recordings(directory)?;
                (cameras.into_iter().map(|(_, path)| path).collect(), Some(segment::output(directory, "_grid.mp4")?))
            }
            None => (self.input.clone(), None),
        };
        let output = self.output.clone().or(beside).expect("--input requires --output");
        Ok((inputs, output))
    }
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("give a number of seconds above 0".to_owned()),
    }
}

pub(crate) fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.05..=1.0).contains(&scale) => Ok(scale),
        _ => Err("give a number from 0.05 to 1".to_owned()),
    }
}
