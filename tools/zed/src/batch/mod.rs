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
mod report;
mod run;
mod view;
mod work;

pub use programs::{grid, to_mcap, to_mp4};
