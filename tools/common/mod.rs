//! What every program shares: the command line's manners and the exit codes.

pub mod cli;
pub mod elements;
pub mod failure;
pub mod nats;
pub mod png;
pub mod report;
pub mod running_time;
pub mod x265;
