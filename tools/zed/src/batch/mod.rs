//! The batch programs: one of the converters for each recording or segment of a list, several at a time.

mod args;
mod child;
mod csv_list;
mod find;
mod jobs;
mod listen;
mod pool;
mod probe;
mod programs;
mod queue;
mod queue_url;
mod report;
mod run;
mod view;
mod work;

use tools_cli::{command_line, failure::Failure};

use self::programs::{Conversion as _, GRID, GridArgs, TO_MCAP, TO_MP4, ToMcapArgs, ToMp4Args};

/// `zed_batch_svo_to_mp4`.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn to_mp4() -> Result<(), Failure> {
    match command_line::parse::<ToMp4Args>()? {
        Some(args) => run::run(&TO_MP4, &args.batch, args.conversion.told()),
        None => Ok(()),
    }
}

/// `zed_batch_svo_grid_to_mp4`.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn grid() -> Result<(), Failure> {
    match command_line::parse::<GridArgs>()? {
        Some(args) => run::run(&GRID, &args.batch, args.conversion.told()),
        None => Ok(()),
    }
}

/// `zed_batch_svo_to_mcap`.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn to_mcap() -> Result<(), Failure> {
    match command_line::parse::<ToMcapArgs>()? {
        Some(args) => run::run(&TO_MCAP, &args.batch, args.conversion.told()),
        None => Ok(()),
    }
}
