//! `flvhevcmux`: an FLV muxer for H.264, H.265 and AAC that writes H.265 as Enhanced RTMP or with the domestic codec-id 12.
//! `ertmpsink`: an RTMP sink for what it makes.

#![warn(missing_docs)]

mod ertmpsink;
mod flv;
mod flvhevcmux;
mod rtmp;

pub use ertmpsink::{ErtmpSink, check_ca_file};
pub use flvhevcmux::{FlvHevcMux, HevcPackaging};

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    flvhevcmux::register(plugin)?;
    ertmpsink::register(plugin)
}

#[allow(missing_docs, reason = "made by GStreamer's macro")]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        flvhevc,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "Unknown package origin",
        env!("BUILD_REL_DATE")
    );
}

pub use plugin::plugin_register_static;
