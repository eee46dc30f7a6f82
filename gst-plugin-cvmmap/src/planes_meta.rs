//! The meta that carries the other planes of a frame: `cvmmapsrc` puts it on a buffer, `cvmmapsink` publishes what is in it.

/// Name of the meta and of its structure.
pub(crate) const PLANES_META: &str = "GstCvmmapPlanesMeta";

/// Makes the meta known to GStreamer.
pub(crate) fn register() {
    if !gst::meta::CustomMeta::is_registered(PLANES_META) {
        gst::meta::CustomMeta::register(PLANES_META, &[]);
    }
}

/// Has a buffer carry the planes of another one, too.
pub(crate) fn copy(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    let Ok(planes) = gst::meta::CustomMeta::from_buffer(from, PLANES_META) else { return };
    // Not registered only when the plugin is not.
    if let Ok(mut meta) = gst::meta::CustomMeta::add(to, PLANES_META) {
        for (field, value) in planes.structure().iter() {
            meta.mut_structure().set_value(field, value.clone());
        }
    }
}
