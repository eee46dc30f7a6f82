//! What is recorded: an access unit with the depth of the same frame.

use tools_mcap::depth::DepthPlane;

/// An access unit, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The access unit, with its caps and segment.
    pub sample: gst::Sample,
    /// When its frame was captured, by the producer's clock.
    pub timestamp_ns: u64,
    /// Depth of the same frame.
    pub depth: Option<DepthPlane>,
}

impl Moment {
    /// Whether decoding can start here.
    pub fn is_keyframe(&self) -> bool {
        self.sample.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT))
    }

    /// Bytes of the access unit.
    pub fn bytes(&self) -> usize {
        self.sample.buffer().map_or(0, gst::BufferRef::size)
    }
}
