//! Pictures as PNG.

use crate::failure::Failure;

/// Pixels of packed rows.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Red, green and blue.
    Rgb(&'a [u8]),
    /// Grey of 16 bits.
    Gray16(&'a [u16]),
}

/// The PNG file of a picture.
///
/// # Errors
/// [`Failure::Pipeline`] when width or height is 0 or the pixels do not fill them.
pub fn encode(width: usize, height: usize, pixels: Pixels<'_>) -> Result<Vec<u8>, Failure> {
    try_encode(width, height, pixels)
        .map_err(|error| Failure::Pipeline(format!("a PNG picture of {width}x{height} cannot be made: {error}")))
}

fn try_encode(width: usize, height: usize, pixels: Pixels<'_>) -> Result<Vec<u8>, png::EncodingError> {
    let side = |length: usize| u32::try_from(length).map_err(|_| png::EncodingError::LimitsExceeded);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side(width)?, side(height)?);
    let (colour, depth) = match pixels {
        Pixels::Rgb(_) => (png::ColorType::Rgb, png::BitDepth::Eight),
        Pixels::Gray16(_) => (png::ColorType::Grayscale, png::BitDepth::Sixteen),
    };
    encoder.set_color(colour);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header()?;
    match pixels {
        Pixels::Rgb(pixels) => writer.write_image_data(pixels)?,
        // PNG's numbers are big-endian.
        Pixels::Gray16(pixels) => {
            writer.write_image_data(&pixels.iter().flat_map(|pixel| pixel.to_be_bytes()).collect::<Vec<_>>())?;
        }
    }
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back() {
        let (width, height) = (3, 2);
        let grey = (0..6).map(|pixel| pixel * 13_000).collect::<Vec<u16>>();
        let file = encode(width, height, Pixels::Gray16(&grey)).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((frame.width, frame.height, frame.bit_depth), (3, 2, png::BitDepth::Sixteen));
        assert_eq!(bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>(), grey);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        assert!(encode(0, 2, Pixels::Rgb(&[])).is_err());
        assert!(encode(2, 2, Pixels::Rgb(&[0; 11])).is_err());
    }
}
