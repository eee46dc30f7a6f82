//! The programs that look at MCAP recordings.

#[path = "../support/rgbd.rs"]
mod rgbd_support;
#[path = "../support/program.rs"]
mod support;

mod tools;
mod viewer;
