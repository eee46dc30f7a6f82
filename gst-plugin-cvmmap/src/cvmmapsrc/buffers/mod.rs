//! Where frames are put: buffers, and the memory that they are of.

pub(super) mod allocation;
pub(super) mod canvas;
pub(super) mod filled;
pub(super) mod fitted;
mod frame_allocator;
pub(super) mod reused;
