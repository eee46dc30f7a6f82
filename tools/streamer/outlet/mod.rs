//! Outputs: each takes access units from the tee behind a backlog of its own, so that none holds up another.

mod backlog;
mod meter;
pub mod rtmp;
pub mod rtp;

use gst::prelude::*;

pub use meter::Meter;

/// Names of the RTP output's elements start like this.
pub const RTP_PREFIX: &str = "rtp-";
/// Names of the RTMP output's elements start like this.
pub const RTMP_PREFIX: &str = "rtmp-";

fn name(element: &gst::Element, prefix: &str, role: &str) {
    element.set_property("name", format!("{prefix}{role}"));
}
