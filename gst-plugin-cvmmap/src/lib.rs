//! `libgstcvmmap.so`: GStreamer elements that read from and act as cv-mmap producers.

#![warn(missing_docs)]

mod address;
pub mod body;
mod controls;
mod cvmmapsink;
mod cvmmapsrc;
mod lock;
mod nats;
mod picture;
mod planes_meta;

pub use cvmmapsink::CvmmapSink;
pub use cvmmapsrc::{CvmmapSrc, STATUS_MESSAGE};

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    cvmmapsrc::register(plugin)?;
    cvmmapsink::register(plugin)
}

#[allow(missing_docs, reason = "made by GStreamer's macro")]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        cvmmap,
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
