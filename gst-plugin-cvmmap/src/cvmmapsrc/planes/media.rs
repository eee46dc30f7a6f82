//! What a buffer holds, and how caps say it.

use std::sync::LazyLock;

use cvmmap::{Codec, DepthUnit};
use gst_video::VideoFormat;

use super::{
    encoded::VideoStream,
    planar::{PLANAR_FORMATS, planar_caps},
    plane::{DepthFormat, Plane, PlaneSettings},
};
use crate::picture::{Picture, template_caps};

/// Caps of a depth plane as it is: rows of little-endian IEEE 754 floats, without padding.
pub(crate) const FLOAT32: &str = "application/x-cvmmap-float32";

/// What a buffer holds, as far as caps tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Raw(Picture),
    Float32 { width: u32, height: u32, unit: DepthUnit },
    Encoded(VideoStream),
}

impl Media {
    /// Caps without a frame rate.
    pub(crate) fn caps(&self) -> Result<gst::Caps, String> {
        match self {
            Self::Raw(picture) => {
                let mut caps = picture.video_info()?.to_caps().map_err(|error| error.to_string())?;
                caps.make_mut().structure_mut(0).into_iter().for_each(|structure| structure.remove_field("framerate"));
                Ok(caps)
            }
            Self::Float32 { width, height, unit } => Ok(gst::Caps::builder(FLOAT32)
                .field("width", *width as i32)
                .field("height", *height as i32)
                .field("stride", *width as i32 * 4)
                .field("unit", unit_name(*unit))
                .build()),
            Self::Encoded(stream) => Ok(byte_stream(stream.codec)
                .field("width", stream.width as i32)
                .field("height", stream.height as i32)
                .build()),
        }
    }

    /// Caps of what can be given of it, the best first, without a frame rate.
    pub(crate) fn offered_caps(&self, may_convert: bool) -> Result<gst::Caps, String> {
        let mut caps = self.caps()?;
        if let Self::Raw(picture) = self
            && may_convert
        {
            caps.make_mut().append(planar_caps(picture)?);
        }
        Ok(caps)
    }

    /// The frame rate that the producer tells.
    pub(crate) fn told_frame_rate(&self) -> Option<gst::Fraction> {
        let Self::Encoded(VideoStream { frame_rate: Some((frames, seconds)), .. }) = self else {
            return None;
        };
        Some(gst::Fraction::new((*frames).into(), (*seconds).into()))
    }

    /// Whether frames of both come at one rate.
    pub(crate) fn is_paced_like(&self, other: &Self) -> bool {
        matches!(self, Self::Encoded(_)) == matches!(other, Self::Encoded(_))
    }
}

fn byte_stream(codec: Codec) -> gst::caps::Builder<gst::caps::NoFeature> {
    let name = match codec {
        Codec::H264 => "video/x-h264",
        Codec::H265 => "video/x-h265",
    };
    gst::Caps::builder(name).field("stream-format", "byte-stream").field("alignment", "au")
}

/// How caps and metas call a unit of depth.
pub(crate) fn unit_name(unit: DepthUnit) -> &'static str {
    match unit {
        DepthUnit::Unknown => "unknown",
        DepthUnit::Millimeter => "millimeter",
        DepthUnit::Meter => "meter",
    }
}

/// Caps of pictures: as cameras have them, and as encoders take them.
fn picture_caps() -> gst::Caps {
    let mut caps = template_caps();
    caps.make_mut().append(gst_video::VideoCapsBuilder::new().format_list(PLANAR_FORMATS).build());
    caps
}

/// Caps of everything that the element can give.
pub(crate) fn source_caps() -> &'static gst::Caps {
    static CAPS: LazyLock<gst::Caps> = LazyLock::new(|| {
        let mut caps = picture_caps();
        let others = caps.make_mut();
        others.append(byte_stream(Codec::H264).build());
        others.append(byte_stream(Codec::H265).build());
        others.append(gst::Caps::new_empty_simple(FLOAT32));
        // For the leaks tracer: it lives as long as the process.
        others.mark_may_be_leaked();
        caps
    });
    &CAPS
}

/// Caps of what the element can give as it is set.
pub(crate) fn possible_caps(settings: &PlaneSettings) -> gst::Caps {
    let raw = |format: VideoFormat| gst_video::VideoCapsBuilder::new().format(format).build();
    let mut encoded = byte_stream(Codec::H264).build();
    encoded.make_mut().append(byte_stream(Codec::H265).build());
    match (settings.plane, settings.depth_format) {
        (Plane::Left, _) => picture_caps(),
        (Plane::Depth, DepthFormat::Gray16) => raw(VideoFormat::Gray16Le),
        (Plane::Depth, DepthFormat::Float32) => gst::Caps::new_empty_simple(FLOAT32),
        (Plane::Confidence, _) => raw(VideoFormat::Gray8),
        (Plane::Encoded, _) => encoded,
        (Plane::Auto, _) => {
            encoded.make_mut().append(picture_caps());
            encoded
        }
    }
}
