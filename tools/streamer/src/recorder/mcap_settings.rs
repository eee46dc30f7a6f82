//! What an MCAP recording is to be like.

use tools_mcap::{
    depth::DepthCoding,
    writer::{Compression, Topics},
};

/// What a recording is to be like.
#[derive(Clone, Debug)]
pub struct McapSettings {
    /// What the channels are called.
    pub topics: Topics,
    /// Coordinate frame of pictures and depth.
    pub frame_id: String,
    /// How chunks are compressed.
    pub compression: Compression,
    /// How depth is coded.
    pub depth: DepthCoding,
}
