//! What of a frame is given, and in what form.

pub(super) mod attached;
pub(super) mod copy;
mod depth;
mod encoded;
pub(super) mod media;
pub(super) mod planar;
pub(super) mod plane;
mod subsampled;
