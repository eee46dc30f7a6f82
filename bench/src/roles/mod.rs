//! What the processes of a measurement do.

pub mod churn;
pub mod play;
pub mod prepare;
pub mod produce;
pub mod read;
pub mod send;
