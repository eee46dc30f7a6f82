//! What a producer publishes.

use crate::{
    metadata::{DepthUnit, Encoded, PlaneKind},
    pixel::{Depth, PixelFormat},
};

/// One plane of a frame to publish.
#[derive(Clone, Copy, Debug)]
pub struct PlaneImage<'a> {
    /// What the plane holds.
    pub kind: PlaneKind,
    /// Channel order.
    pub pixel_format: PixelFormat,
    /// Sample type.
    pub depth: Depth,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next in `data`.
    pub stride: u32,
    /// The rows; the last one needs no padding.
    pub data: &'a [u8],
}

impl<'a> PlaneImage<'a> {
    /// The encoded plane of a frame: one H.264 or H.265 access unit in Annex B form, a keyframe with its parameter sets in
    /// front. What else is known of it goes into [`Frame::encoded`]. An empty unit, or one of 4 GiB, is refused when it is
    /// published. Source: cv-mmap IPC contract, section 2: the plane is grey, of bytes, and one row as wide as the unit is
    /// long.
    pub fn access_unit(unit: &'a [u8]) -> Self {
        let size = u32::try_from(unit.len()).unwrap_or(u32::MAX);
        Self {
            kind: PlaneKind::Encoded,
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width: size,
            height: 1,
            stride: size,
            data: unit,
        }
    }
}

/// A frame to publish.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Capture time in nanoseconds, by convention since the Unix epoch.
    pub timestamp_ns: u64,
    /// The planes, in slot order, the left one first.
    pub planes: &'a [PlaneImage<'a>],
    /// Unit of the depth plane.
    pub depth_unit: DepthUnit,
    /// What is known of the encoded plane, when there is one.
    pub encoded: Option<Encoded>,
}
