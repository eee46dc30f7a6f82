//! What is recorded: an access unit with the depth of the same frame.

use std::sync::Arc;

use tools_mcap::{
    depth::{DepthCoding, DepthPlane},
    schema::cvmmap_streamer::DepthMap,
};

/// An access unit, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The access unit, with its caps and segment.
    pub sample: gst::Sample,
    /// When its frame was captured, by the producer's clock.
    pub timestamp_ns: u64,
    /// Depth of the same frame.
    pub depth: Option<Depth>,
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

    /// Bytes of the depth.
    pub fn depth_bytes(&self) -> usize {
        self.depth.as_ref().map_or(0, Depth::bytes)
    }

    /// The same in memory of its own, where the access unit's holds much more than that.
    pub fn compact(self) -> Self {
        let kept = self.sample.buffer().filter(|buffer| buffer.maxsize() > buffer.size() / 2 * 3 + SLACK);
        let Some(copy) = kept.and_then(|buffer| buffer.copy_deep().ok()) else {
            return self;
        };
        let mut sample = gst::Sample::builder().buffer(&copy);
        let (caps, segment) = (self.sample.caps_owned(), self.sample.segment().cloned());
        if let Some(caps) = &caps {
            sample = sample.caps(caps);
        }
        if let Some(segment) = &segment {
            sample = sample.segment(segment);
        }
        Self { sample: sample.build(), ..self }
    }
}

#[cfg(test)]
impl Moment {
    /// An access unit of so many bytes, for tests.
    pub fn of_bytes(is_keyframe: bool, bytes: usize) -> Self {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::with_size(bytes).unwrap();
        if !is_keyframe {
            buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        Self { sample: gst::Sample::builder().buffer(&buffer).build(), timestamp_ns: 0, depth: None }
    }
}

/// What an allocator adds to a buffer.
const SLACK: usize = 4096;

/// Depth of a frame.
#[derive(Clone, Debug)]
pub enum Depth {
    /// As it came.
    Plane(DepthPlane),
    /// As it is recorded.
    Message(Arc<DepthMap>),
}

impl Depth {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plane(plane) => plane.size(),
            Self::Message(message) => message.data.capacity(),
        }
    }

    /// The message, or `None` where no depth is wanted or it cannot be read.
    pub fn message(&self, coding: DepthCoding, timestamp_ns: u64, frame_id: &str) -> Option<DepthMap> {
        match self {
            Self::Plane(plane) => plane.message(coding, timestamp_ns, frame_id),
            Self::Message(message) => Some(DepthMap { frame_id: frame_id.to_owned(), ..DepthMap::clone(message) }),
        }
    }
}
