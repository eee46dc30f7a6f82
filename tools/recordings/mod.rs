//! Recordings of ZED cameras, offline: who reads them, and what they are converted to.

mod calibration;
mod camera;
mod container;
mod decoder;
mod encoder;
mod entries;
pub mod grid;
pub(crate) mod interrupt;
mod line;
mod mcap_video;
mod mp4;
mod mp4_date;
mod open;
mod picture;
mod progress;
mod provenance;
mod range;
mod sdk;
mod segment;
mod source;
mod start;
mod svo2;
mod target;
pub mod to_mcap;
pub mod to_mp4;
mod walk;
mod wanted;
