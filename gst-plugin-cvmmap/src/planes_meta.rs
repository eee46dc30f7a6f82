//! The meta that carries the other planes of a frame: `cvmmapsrc` puts it on a buffer, `cvmmapsink` publishes what is in it.

/// Name of the meta and of its structure.
pub(crate) const PLANES_META: &str = "GstCvmmapPlanesMeta";

/// Makes the meta known to GStreamer.
pub(crate) fn register() {
    if !gst::meta::CustomMeta::is_registered(PLANES_META) {
        gst::meta::CustomMeta::register(PLANES_META, &[]);
    }
}
