//! MCAP recordings.

pub mod reader;
pub mod schema;
mod sink;
pub mod topics;
mod writer;

pub use sink::{McapSink, Rotate};
pub use writer::{BODY_ENCODING, BUNDLE_TOPIC, Camera, Compression, Topics, Writer};

use super::depth::DepthCoding;

/// What a recording is to be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the channels are called.
    pub topics: Topics,
    /// Coordinate frame of pictures and depth.
    pub frame_id: String,
    /// How chunks are compressed.
    pub compression: Compression,
    /// How depth is coded.
    pub depth: DepthCoding,
}
