//! Recordings of ZED cameras, offline: who reads them, and what they are converted to.

#![warn(missing_docs)]

pub mod batch;
mod calibration;
mod camera;
mod container;
mod decoder;
mod encode_error;
mod encoder;
mod entries;
pub mod grid;
mod line;
mod mcap_video;
mod mp4;
mod mp4_date;
mod open;
mod picture;
mod provenance;
mod range;
mod sdk;
mod segment;
mod source;
mod stall;
mod start;
mod svo2;
pub mod to_mcap;
pub mod to_mp4;
mod wanted;
