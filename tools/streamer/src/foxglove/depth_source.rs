//! Where a camera's depth comes from, and how it is packed.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use prost::Message as _;
use tools_mcap::depth::{DepthCoding, DepthPlane};

use super::outbox::Message;
use crate::watch::DepthFeed;

/// Depth of a camera.
pub struct DepthSource {
    /// Its planes.
    pub feed: Arc<DepthFeed>,
    /// How they are packed.
    pub coding: DepthCoding,
    /// Their coordinate frame.
    pub frame_id: String,
    /// Whether somebody packs them at the moment.
    pub is_packing: AtomicBool,
}

impl fmt::Debug for DepthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepthSource").field("is_packing", &self.is_packing).finish_non_exhaustive()
    }
}

impl DepthSource {
    /// A plane as a message. `None` when it cannot be read.
    pub fn message(&self, time_ns: u64, plane: &DepthPlane) -> Option<Message> {
        let data = plane.message(self.coding, time_ns, &self.frame_id)?.encode_to_vec();
        Some(Message { time_ns, data, is_keyframe: true, captured: None, meter: None })
    }
}
