//! The element's properties.

use crate::flv::{session::Options, video::VideoFormat};
use gst::glib;

/// How H.265 is packaged. H.264 is codec-id 7 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFlvHevcPackaging")]
pub enum HevcPackaging {
    /// As Enhanced RTMP has it.
    #[default]
    #[enum_value(name = "Enhanced RTMP: FourCC hvc1", nick = "enhanced")]
    Enhanced,
    /// As Chinese CDNs have it.
    #[enum_value(name = "Domestic: FLV codec-id 12", nick = "domestic")]
    Domestic,
}

impl HevcPackaging {
    pub(super) fn format(self) -> VideoFormat {
        match self {
            Self::Enhanced => VideoFormat::EnhancedHevc,
            Self::Domestic => VideoFormat::DomesticHevc,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub hevc_packaging: HevcPackaging,
    pub streamable: bool,
    pub skip_backwards_streams: bool,
    pub nanosecond_timestamps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hevc_packaging: HevcPackaging::default(),
            streamable: true,
            skip_backwards_streams: false,
            nanosecond_timestamps: false,
        }
    }
}

impl Settings {
    pub fn options(&self) -> Options {
        Options {
            skips_backwards: self.skip_backwards_streams,
            tells_nanoseconds: self.nanosecond_timestamps,
            keeps_room: !self.streamable,
        }
    }
}
