//! What users of `flvhevcmux` rely on: bytes, timestamps, headers, behaviour in pipelines, and other people's readers.

mod caps;
mod color;
mod end;
mod ffmpeg;
mod file;
mod flush;
mod flv;
mod headers;
mod input;
mod lifecycle;
mod live;
mod others;
mod packaging;
mod peers;
mod pipeline;
mod timestamps;
mod tracks;

/// GStreamer with the plugin, once per process.
fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        // A broken promise between objects is a failure even where the result happens to be right.
        gst::glib::log_set_always_fatal(gst::glib::LogLevels::LEVEL_CRITICAL);
        gstflvhevc::plugin_register_static().expect("the plugin registers");
    });
}
