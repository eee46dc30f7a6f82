//! todo
mod buffers;
mod caps;
mod imp;
mod settings;
mod stats;

pub use settings::HevcPackaging;

use gst::{glib, prelude::*};

glib::wrapper! {
    pub struct FlvHevcMux(ObjectSubclass<imp::FlvHevcMux>)
        @extends gst_base::Aggregator, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "flvhevcmux", gst::Rank::NONE, FlvHevcMux::static_type())
}
