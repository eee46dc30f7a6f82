//! What the programs are made of. Each binary under `bin/` is a few lines over one of these modules.

pub mod batch;
pub mod common;
pub mod ctl;
pub mod recorder;
pub mod recordings;
pub mod replay;
pub mod rgbd;
pub mod simulator;
pub mod streamer;
pub mod testers;
