//! Pictures in four JPEG strips.
//!
//! The strips are grey pictures, one above the other, whose bytes are not luminance but packed YUYV of both eyes side by
//! side: a strip of 5120 x 180 is a quarter of two pictures of 1280 x 720. Each strip is decoded to bytes, and the left
//! half of each row is the left eye.

use std::ops::Range;

use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::payload::STRIPS;

/// Bytes in a row of the widest camera: four for each pixel of one eye.
const ROW_MAX: usize = 4 * 4096;
const STRIP_HEIGHT_MAX: usize = 1024;

/// The left eye of a picture, as packed YUYV.
#[derive(Debug)]
pub struct LeftEye {
    pub width: usize,
    pub height: usize,
    pub bytes: Vec<u8>,
}

/// Decodes the left eye. None when a strip is damaged or does not fit the others.
pub fn decode(message: &[u8], strips: &[Range<usize>; STRIPS]) -> Option<LeftEye> {
    let mut bytes = Vec::new();
    let mut size = None;
    for strip in strips {
        let options = DecoderOptions::default()
            .set_max_width(ROW_MAX)
            .set_max_height(STRIP_HEIGHT_MAX)
            .set_strict_mode(true)
            .jpeg_set_out_colorspace(ColorSpace::Luma);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&message[strip.clone()]), options);
        let grey = decoder.decode().ok()?;
        let (row, height) = decoder.dimensions()?;
        // Two eyes of whole pairs of pixels.
        if *size.get_or_insert((row, height)) != (row, height) || row % 8 != 0 || grey.len() != row * height {
            return None;
        }
        bytes.extend(grey.chunks_exact(row).flat_map(|row| &row[..row.len() / 2]));
    }
    let (row, height) = size?;
    Some(LeftEye { width: row / 4, height: height * STRIPS, bytes })
}
