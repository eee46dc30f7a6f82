//! Pairs of pictures side by side, for people to look at.

use std::{fs, path::Path};

use gst_video::prelude::*;
use tools_cli::{
    failure::Failure,
    png::{self, Pixels},
};

use super::decode::Picture;

/// Pairs on a sheet.
const COLUMNS: usize = 6;

/// Width of a picture at most.
const TILE_WIDTH: u32 = 320;

const GAP: usize = 4;
const BACKGROUND: u8 = 40;
const CONVERSION: gst::ClockTime = gst::ClockTime::from_seconds(10);
const BYTES: usize = 3;

/// The received frames that get a column, evenly spread.
pub fn columns(received: usize) -> Vec<usize> {
    let count = received.min(COLUMNS);
    (0..count)
        .map(|column| match count {
            1 => 0,
            _ => column * (received - 1) / (count - 1),
        })
        .collect()
}

/// A picture made small, as packed RGB.
pub struct Tile {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Tile {
    pub fn of(picture: &Picture) -> Result<Self, Failure> {
        let width = picture.width.min(TILE_WIDTH);
        let height = (u64::from(picture.height) * u64::from(width) / u64::from(picture.width))
            .clamp(1, u64::from(u32::MAX)) as u32;
        let failed = |text: &str| Failure::Pipeline(format!("a picture for the contact sheet cannot be made: {text}"));
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height)
            .build()
            .and_then(|info| info.to_caps())
            .map_err(|error| failed(&error.to_string()))?;
        let sample = gst_video::convert_sample(&picture.sample, &caps, Some(CONVERSION))
            .map_err(|error| failed(&error.to_string()))?;
        Self::packed(&sample).ok_or_else(|| failed("the converted picture cannot be read"))
    }

    fn packed(sample: &gst::Sample) -> Option<Self> {
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
        let rgb = frame
            .plane_data(0)
            .ok()?
            .chunks(stride)
            .take(height)
            .flat_map(|row| row.iter().take(width * BYTES).copied())
            .collect();
        Some(Self { width, height, rgb })
    }
}

/// Writes the sheet: of each pair the first above, the second below.
pub fn write(path: &Path, pairs: &[(Tile, Tile)]) -> Result<(), Failure> {
    let failed =
        |text: &dyn std::fmt::Display| Failure::Configuration(format!("{} cannot be written: {text}", path.display()));
    let Some((first, _)) = pairs.first() else {
        return Err(failed(&"there are no frames to show"));
    };
    let width = pairs.len() * (first.width + GAP) + GAP;
    let height = 2 * (first.height + GAP) + GAP;
    let mut canvas = vec![BACKGROUND; width * height * BYTES];
    for (column, (above, below)) in pairs.iter().enumerate() {
        let left = GAP + column * (first.width + GAP);
        draw(&mut canvas, width * BYTES, above, left, GAP);
        draw(&mut canvas, width * BYTES, below, left, 2 * GAP + first.height);
    }
    fs::write(path, png::encode(width, height, Pixels::Rgb(&canvas))?).map_err(|error| failed(&error))
}

/// Tiles of one size fit the canvas that was made for them.
fn draw(canvas: &mut [u8], stride: usize, tile: &Tile, left: usize, top: usize) {
    for (row, pixels) in tile.rgb.chunks(tile.width * BYTES).enumerate() {
        let at = (top + row) * stride + left * BYTES;
        canvas[at..at + pixels.len()].copy_from_slice(pixels);
    }
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_spread_from_the_first_frame_to_the_last() {
        assert_eq!(columns(0), [0; 0]);
        assert_eq!(columns(1), [0]);
        assert_eq!(columns(3), [0, 1, 2]);
        assert_eq!(columns(101), [0, 20, 40, 60, 80, 100]);
    }
}
