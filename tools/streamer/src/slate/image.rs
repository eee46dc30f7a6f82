//! A PNG file as a picture without transparency.

use std::{fs::File, io::BufReader, path::Path};

use gst_video::{VideoFormat, VideoFrame, VideoInfo};

/// Larger than any picture that is sent.
const SIDE_MAX: u32 = 8192;

/// What a PNG file shows, on black.
#[derive(Debug)]
pub struct Image {
    /// Size and format.
    pub info: VideoInfo,
    /// Its pixels.
    pub frame: VideoFrame<gst_video::video_frame::Readable>,
}

impl Image {
    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut decoder = png::Decoder::new(BufReader::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
        let (width, height) = (reader.info().width, reader.info().height);
        if width > SIDE_MAX || height > SIDE_MAX {
            return Err(format!("{width}x{height} is larger than {SIDE_MAX}x{SIDE_MAX}"));
        }
        let mut pixels = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
        let read = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
        let samples = read.color_type.samples();
        Self::of(width, height, pixels.chunks_exact(samples).map(rgb)).ok_or_else(|| "it cannot be shown".to_owned())
    }

    fn of(width: u32, height: u32, pixels: impl Iterator<Item = [u8; 3]>) -> Option<Self> {
        let info = VideoInfo::builder(VideoFormat::Rgb, width, height).build().ok()?;
        let buffer = gst::Buffer::with_size(info.size()).ok()?;
        let mut frame = VideoFrame::from_buffer_writable(buffer, &info).ok()?;
        let stride = usize::try_from(info.stride()[0]).ok()?;
        let plane = frame.plane_data_mut(0).ok()?;
        let places = plane.chunks_mut(stride).flat_map(|line| line.chunks_exact_mut(3).take(width as usize));
        places.zip(pixels).for_each(|(place, pixel)| place.copy_from_slice(&pixel));
        Some(Self { frame: VideoFrame::from_buffer_readable(frame.into_buffer(), &info).ok()?, info })
    }
}

/// Grey or colour, with or without transparency, over black.
fn rgb(pixel: &[u8]) -> [u8; 3] {
    let over = |value: u8, alpha: u8| (u16::from(value) * u16::from(alpha) / 255) as u8;
    match *pixel {
        [grey] => [grey; 3],
        [grey, alpha] => [over(grey, alpha); 3],
        [red, green, blue] => [red, green, blue],
        [red, green, blue, alpha] => [red, green, blue].map(|value| over(value, alpha)),
        _ => [0; 3],
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_kind_of_pixel_becomes_colour() {
        assert_eq!(rgb(&[9]), [9; 3]);
        assert_eq!(rgb(&[200, 0]), [0; 3]);
        assert_eq!(rgb(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(rgb(&[100, 200, 50, 255]), [100, 200, 50]);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        gst::init().unwrap();
        assert!(Image::read(Path::new("/nowhere.png")).is_err());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for rubbish in [&b""[..], b"\x89PNG\r\n\x1a\n", &[0xff; 1000]] {
            file.write_all(rubbish).unwrap();
            assert!(Image::read(file.path()).is_err());
        }
        let mut huge = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = png::Encoder::new(&mut huge, SIDE_MAX + 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[0; SIDE_MAX as usize + 1]).unwrap();
        assert!(Image::read(huge.path()).unwrap_err().contains("larger than"));
    }
}
