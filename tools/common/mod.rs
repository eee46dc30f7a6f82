//! What every program shares: the command line's manners and the exit codes.

pub mod aside;
pub mod cli;
pub mod elements;
pub mod failure;
pub mod nats;
pub mod png;
pub mod printable;
pub mod report;
pub mod running_time;
pub mod signals;
pub mod typed_url;
pub mod x265;
