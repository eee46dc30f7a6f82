//! Where the element's log goes.

use std::sync::LazyLock;

/// The debug category of `cvmmapsrc`.
pub(super) static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("cvmmapsrc", gst::DebugColorFlags::empty(), Some("cv-mmap video source")));
