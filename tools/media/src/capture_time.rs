//! When the frame of a buffer was captured, by the producer's clock: `cvmmapsrc` says so, and encoders, parsers and payloaders
//! pass it on.

use std::sync::LazyLock;

/// Caps of the reference timestamp that says it.
static UNIX: LazyLock<gst::Caps> = LazyLock::new(|| gst::Caps::new_empty_simple("timestamp/x-unix"));

/// Has a buffer say it, in nanoseconds since the Unix epoch.
pub fn tell(buffer: &mut gst::BufferRef, captured_ns: u64) {
    gst::ReferenceTimestampMeta::add(buffer, &UNIX, gst::ClockTime::from_nseconds(captured_ns), gst::ClockTime::NONE);
}

/// Nanoseconds since the Unix epoch.
pub fn of(buffer: &gst::BufferRef) -> Option<u64> {
    let mut times = buffer.iter_meta::<gst::ReferenceTimestampMeta>();
    times.find(|meta| meta.reference() == UNIX.as_ref()).map(|meta| meta.timestamp().nseconds())
}
