//! Which of a frame's planes the element gives, and in what form.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cvmmap::{Abi, Metadata, PlaneKind};
use gst::{glib, prelude::*};

/// Frames in a row without an access unit after which [`Plane::Auto`] takes the producer for one that does not encode;
/// an encoder at a part of the camera's rate has fewer in between.
const SPARSE_MAX: u32 = 10;

/// What `cvmmapsrc` gives of each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCvmmapSrcPlane")]
pub enum Plane {
    /// The (left) picture.
    #[default]
    #[enum_value(name = "The (left) picture", nick = "left")]
    Left,
    /// The distance of each pixel.
    #[enum_value(name = "The distance of each pixel", nick = "depth")]
    Depth,
    /// The confidence in each distance.
    #[enum_value(name = "The confidence in each distance", nick = "confidence")]
    Confidence,
    /// The H.264 or H.265 access unit.
    #[enum_value(name = "The H.264 or H.265 access unit", nick = "encoded")]
    Encoded,
    /// The access unit of a producer that encodes, the left picture of one that does not.
    #[enum_value(name = "The access unit where there is one, else the left picture", nick = "auto")]
    Auto,
}

/// How `cvmmapsrc` gives the depth plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstCvmmapSrcDepthFormat")]
pub enum DepthFormat {
    /// GRAY16_LE in millimetres.
    #[default]
    #[enum_value(name = "video/x-raw GRAY16_LE in millimetres", nick = "gray16")]
    Gray16,
    /// The producer's own 32-bit floats.
    #[enum_value(name = "application/x-cvmmap-float32 as the producer has it", nick = "float32")]
    Float32,
}

/// The properties of `cvmmapsrc` that say what of a frame is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaneSettings {
    pub(crate) plane: Plane,
    pub(crate) depth_format: DepthFormat,
    /// Whether the other planes ride along as a meta; shared, for it takes effect at once.
    pub(crate) attach: Arc<AtomicBool>,
}

impl PlaneSettings {
    pub(crate) fn param_specs() -> [glib::ParamSpec; 3] {
        let defaults = Self::default();
        [
            glib::ParamSpecEnum::builder_with_default("plane", defaults.plane)
                .nick("Plane")
                .blurb("What to give of each frame")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("depth-format", defaults.depth_format)
                .nick("Depth format")
                .blurb("How to give the depth plane")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("attach-planes")
                .nick("Attach planes")
                .blurb("Whether the other planes of the same frame ride along on the buffer as GstCvmmapPlanesMeta")
                .default_value(defaults.attach.load(Ordering::Relaxed))
                .mutable_playing()
                .build(),
        ]
    }

    /// Whether what is given of the frames are pictures, and not measurements.
    pub(crate) fn are_pictures(&self) -> bool {
        matches!(self.plane, Plane::Left | Plane::Auto)
    }

    /// Sets one of the properties. `false` when the property is not one of these.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "plane" => self.plane = value.get().expect("checked by GObject"),
            "depth-format" => self.depth_format = value.get().expect("checked by GObject"),
            "attach-planes" => self.attach.store(value.get().expect("checked by GObject"), Ordering::Relaxed),
            _ => return false,
        }
        true
    }

    /// The value of one of the properties.
    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        match name {
            "plane" => Some(self.plane.to_value()),
            "depth-format" => Some(self.depth_format.to_value()),
            "attach-planes" => Some(self.attach.load(Ordering::Relaxed).to_value()),
            _ => None,
        }
    }
}

/// Picks the plane of each frame.
#[derive(Debug)]
pub(crate) struct Selector {
    plane: Plane,
    /// What [`Plane::Auto`] has settled on.
    settled: Option<PlaneKind>,
    /// Frames in a row without an access unit.
    without_unit: u32,
}

impl Selector {
    pub(crate) fn new(plane: Plane) -> Self {
        Self { plane, settled: None, without_unit: 0 }
    }

    /// The plane to take of a frame, or the one that it lacks.
    pub(crate) fn choose(&mut self, metadata: &Metadata) -> Result<PlaneKind, PlaneKind> {
        let kind = match self.plane {
            Plane::Left => PlaneKind::Left,
            Plane::Depth => PlaneKind::Depth,
            Plane::Confidence => PlaneKind::Confidence,
            Plane::Encoded => PlaneKind::Encoded,
            Plane::Auto => self.settle(metadata),
        };
        metadata.plane(kind).map(|_| kind).ok_or(kind)
    }

    fn settle(&mut self, metadata: &Metadata) -> PlaneKind {
        let Some(encoded) = metadata.encoded else {
            self.without_unit = self.without_unit.saturating_add(1);
            let may_come = matches!(metadata.abi, Abi::V2 { minor: 1.. }) && self.without_unit < SPARSE_MAX;
            if self.settled == Some(PlaneKind::Left) || !may_come {
                self.settled = Some(PlaneKind::Left);
                return PlaneKind::Left;
            }
            return PlaneKind::Encoded;
        };
        self.without_unit = 0;
        // Pictures go on until the first access unit that can be decoded.
        if self.settled == Some(PlaneKind::Left) && !encoded.keyframe {
            return PlaneKind::Left;
        }
        self.settled = Some(PlaneKind::Encoded);
        PlaneKind::Encoded
    }
}

#[cfg(test)]
mod tests {
    use cvmmap::{Codec, Depth, DepthUnit, Encoded, PLANES, PixelFormat};

    use super::*;

    fn metadata(minor: u8, unit: Option<bool>) -> Metadata {
        let plane = cvmmap::Plane {
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width: 1,
            height: 1,
            stride: 1,
            offset: 0,
            size: 1,
        };
        let mut planes = [None; PLANES];
        planes[PlaneKind::Left as usize] = Some(plane);
        planes[PlaneKind::Encoded as usize] = unit.map(|_| plane);
        let encoded =
            unit.map(|keyframe| Encoded { codec: Codec::H264, keyframe, frame_rate: (0, 0), stream_pts_ns: 0 });
        Metadata {
            abi: Abi::V2 { minor },
            frame_id: 0,
            timestamp_ns: 0,
            publish_seq: 0,
            payload_size: 1,
            depth_unit: DepthUnit::Unknown,
            encoded,
            planes,
        }
    }

    #[test]
    fn a_fixed_plane_is_taken_or_missing() {
        assert_eq!(Selector::new(Plane::Left).choose(&metadata(1, Some(true))), Ok(PlaneKind::Left));
        assert_eq!(Selector::new(Plane::Encoded).choose(&metadata(1, Some(false))), Ok(PlaneKind::Encoded));
        assert_eq!(Selector::new(Plane::Encoded).choose(&metadata(1, None)), Err(PlaneKind::Encoded));
        assert_eq!(Selector::new(Plane::Depth).choose(&metadata(0, None)), Err(PlaneKind::Depth));
    }

    #[test]
    fn a_producer_that_cannot_encode_shows_pictures_at_once() {
        assert_eq!(Selector::new(Plane::Auto).choose(&metadata(0, None)), Ok(PlaneKind::Left));
    }

    #[test]
    fn an_encoder_at_a_part_of_the_rate_does_not_flap() {
        let mut selector = Selector::new(Plane::Auto);
        for _ in 0..5 {
            for _ in 1..SPARSE_MAX {
                assert_eq!(selector.choose(&metadata(1, None)), Err(PlaneKind::Encoded));
            }
            assert_eq!(selector.choose(&metadata(1, Some(false))), Ok(PlaneKind::Encoded));
        }
        for _ in 1..SPARSE_MAX {
            assert_eq!(selector.choose(&metadata(1, None)), Err(PlaneKind::Encoded));
        }
        assert_eq!(selector.choose(&metadata(1, None)), Ok(PlaneKind::Left));
    }

    #[test]
    fn pictures_go_on_until_a_keyframe() {
        let mut selector = Selector::new(Plane::Auto);
        for (unit, taken) in [(None, PlaneKind::Left), (Some(false), PlaneKind::Left), (Some(true), PlaneKind::Encoded)]
        {
            assert_eq!(selector.choose(&metadata(if unit.is_some() { 1 } else { 0 }, unit)), Ok(taken));
        }
        assert_eq!(selector.choose(&metadata(1, Some(false))), Ok(PlaneKind::Encoded));
    }
}
