//! The picture that stands in for the producer's: its last one darkened, black, or an image; with words.

use gst_video::{VideoConverter, VideoConverterConfig, VideoFrame, VideoFrameRef, VideoInfo, video_frame::Writable};

use super::{
    image::Image,
    words::{self, BLACK, Luma},
};

/// No colour.
const GREY: u8 = 128;

/// What stands behind the words.
#[derive(Debug)]
pub enum Ground<'a> {
    /// The last picture, darkened.
    Last(&'a gst::BufferRef),
    /// Nothing.
    Black,
    /// An image, as large as it fits.
    Image(&'a Image),
}

/// Makes such a picture in I420, of the size and shape that `info` says. `None` where there is no memory, or the ground is not
/// what it should be.
pub fn compose(info: &VideoInfo, ground: &Ground<'_>, words: &str) -> Option<gst::Buffer> {
    let mut frame = VideoFrame::from_buffer_writable(gst::Buffer::with_size(info.size()).ok()?, info).ok()?;
    match ground {
        Ground::Last(buffer) => {
            VideoFrameRef::from_buffer_ref_readable(buffer, info)
                .ok()?
                .copy(&mut frame.as_mut_video_frame_ref())
                .ok()?;
            darken(&mut frame);
        }
        Ground::Black => blacken(&mut frame),
        Ground::Image(image) => {
            blacken(&mut frame);
            place(image, info, &mut frame)?;
        }
    }
    let stride = usize::try_from(info.stride()[0]).ok()?;
    let (width, height) = (info.width() as usize, info.height() as usize);
    words::write(&mut Luma { bytes: frame.plane_data_mut(0).ok()?, stride, width, height }, words);
    Some(frame.into_buffer())
}

fn each_plane(frame: &mut VideoFrame<Writable>, change: impl Fn(u32, &mut [u8])) {
    for plane in 0..3 {
        if let Ok(bytes) = frame.plane_data_mut(plane) {
            change(plane, bytes);
        }
    }
}

fn blacken(frame: &mut VideoFrame<Writable>) {
    each_plane(frame, |plane, bytes| bytes.fill(if plane == 0 { BLACK } else { GREY }));
}

/// Two fifths of the light, and half of the colour.
fn darken(frame: &mut VideoFrame<Writable>) {
    each_plane(frame, |plane, bytes| {
        for byte in bytes {
            *byte = match plane {
                0 => BLACK + (u16::from(byte.saturating_sub(BLACK)) * 2 / 5) as u8,
                _ => ((u16::from(*byte) + u16::from(GREY)) / 2) as u8,
            };
        }
    });
}

/// Scales an image to where it fits, with its shape.
fn place(image: &Image, info: &VideoInfo, frame: &mut VideoFrame<Writable>) -> Option<()> {
    let (left, top, width, height) = fitted(info, &image.info)?;
    let mut config = VideoConverterConfig::new();
    config.set_dest_x(left);
    config.set_dest_y(top);
    config.set_dest_width(Some(width));
    config.set_dest_height(Some(height));
    config.set_fill_border(true);
    config.set_border_argb(0xff00_0000);
    // A converter takes no other rate, and an image has none.
    let image_info = VideoInfo::builder(image.info.format(), image.info.width(), image.info.height());
    let image_info = image_info.fps(info.fps()).interlace_mode(info.interlace_mode()).build().ok()?;
    let converter = VideoConverter::new(&image_info, info, Some(config)).ok()?;
    converter.frame(&image.frame, frame);
    Some(())
}

/// Left, top, width and height of `image` in a picture; pixels of the picture may be no squares.
fn fitted(picture: &VideoInfo, image: &VideoInfo) -> Option<(i32, i32, i32, i32)> {
    let shape = f64::from(picture.par().numer()) / f64::from(picture.par().denom());
    let [width, height] = [picture.width(), picture.height()].map(f64::from);
    let scale = (width * shape / f64::from(image.width())).min(height / f64::from(image.height()));
    // Whole squares of colour.
    let side = |length: f64, max: f64| ((length.min(max) / 2.0).round() * 2.0).clamp(1.0, max);
    let inner =
        [side(f64::from(image.width()) * scale / shape, width), side(f64::from(image.height()) * scale, height)];
    let [left, top] = [width - inner[0], height - inner[1]].map(|rest| (rest / 4.0).floor() * 2.0);
    let all = [left, top, inner[0], inner[1]];
    all.iter().all(|value| value.is_finite()).then_some((left as i32, top as i32, inner[0] as i32, inner[1] as i32))
}

#[cfg(test)]
mod tests {
    use gst_video::VideoFormat;

    use super::*;

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    #[test]
    fn an_image_keeps_its_shape() {
        let picture = |width, height| info(VideoFormat::I420, width, height);
        let image = |width, height| info(VideoFormat::Rgb, width, height);
        assert_eq!(fitted(&picture(320, 180), &image(640, 360)), Some((0, 0, 320, 180)));
        assert_eq!(fitted(&picture(320, 180), &image(100, 100)), Some((70, 0, 180, 180)));
        assert_eq!(fitted(&picture(320, 180), &image(800, 100)), Some((0, 70, 320, 40)));
        assert_eq!(fitted(&picture(320, 180), &image(8192, 1)), Some((0, 88, 320, 1)));
        let anamorphic =
            VideoInfo::builder(VideoFormat::I420, 720, 576).par(gst::Fraction::new(16, 15)).build().unwrap();
        assert_eq!(fitted(&anamorphic, &image(768, 576)), Some((0, 0, 720, 576)));
    }

    #[test]
    fn an_image_is_shown_at_any_rate() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = png::Encoder::new(&mut file, 7, 5);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[255; 7 * 5 * 3]).unwrap();
        gst::init().unwrap();
        let image = Image::read(file.path()).unwrap();
        for fps in [0, 5, 30] {
            let info = VideoInfo::builder(VideoFormat::I420, 321, 181).fps(gst::Fraction::new(fps, 1)).build().unwrap();
            let composed = compose(&info, &Ground::Image(&image), "").unwrap();
            let frame = VideoFrame::from_buffer_readable(composed, &info).unwrap();
            let stride = info.stride()[0] as usize;
            let luma = frame.plane_data(0).unwrap();
            assert!(luma[90 * stride + 160] > 230, "{}", luma[90 * stride + 160]);
            assert_eq!(luma[90 * stride], BLACK);
        }
    }

    #[test]
    fn the_last_picture_is_darker_and_odd_sizes_work() {
        for (width, height) in [(320, 180), (321, 181), (1, 1), (16, 16)] {
            let info = info(VideoFormat::I420, width, height);
            let mut last = gst::Buffer::with_size(info.size()).unwrap();
            last.get_mut().unwrap().map_writable().unwrap().fill(216);
            let composed = compose(&info, &Ground::Last(&last), "no signal").unwrap();
            let frame = VideoFrame::from_buffer_readable(composed, &info).unwrap();
            assert_eq!(frame.plane_data(0).unwrap()[0], if height == 1 { BLACK } else { 96 });
            assert_eq!(frame.plane_data(1).unwrap()[0], 172);
            assert!(compose(&info, &Ground::Black, "").is_some());
            let small = gst::Buffer::with_size(1).unwrap();
            assert!(compose(&info, &Ground::Last(&small), "").is_none());
        }
    }
}
