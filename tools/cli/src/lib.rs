//! What every program shares: the command line's manners, exit codes, reports and progress, signals, and files that appear whole.

#![warn(missing_docs)]

pub mod aside;
pub mod command_line;

pub mod failure;
pub mod file_format;
pub mod interrupt;
pub mod nats;
pub mod output;
pub mod png;
pub mod printable;
pub mod progress;
pub mod read_at;

pub mod report;
pub mod signals;
pub mod target;
pub mod typed_url;
pub mod whole;
