//! When a frame was captured, how many come a second and how late they are.

pub(super) mod cadence;
pub(super) mod clocks;
pub(super) mod latency;
pub(super) mod timeline;
