//! Recordings of ZED cameras, offline: who reads them, and what they are converted to.

mod camera;
mod container;
mod decoder;
mod encoder;
pub mod grid;
pub(crate) mod interrupt;
mod mp4;
mod mp4_date;
mod open;
mod picture;
mod progress;
mod provenance;
mod sdk;
mod source;
mod svo2;
pub mod to_mp4;
mod wanted;
