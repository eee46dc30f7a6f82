//! What the processes of a measurement do.

pub mod churn;
pub mod produce;
pub mod read;
pub mod send;
