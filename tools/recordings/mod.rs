//! Recordings of ZED cameras, offline: who reads them, and what they are converted to.

mod camera;
mod container;
mod decoder;
pub(crate) mod encoder;
pub mod grid;
pub(crate) mod interrupt;
mod mp4;
mod mp4_date;
pub(crate) mod open;
mod picture;
pub(crate) mod progress;
mod provenance;
mod sdk;
mod source;
mod svo2;
pub mod to_mp4;
pub(crate) mod wanted;
