//! Pictures as every encoder's input is made from: I420. `videoconvert` takes fifteen times as long for the packed formats of
//! cameras, and makes wrong greys (GStreamer 1.22). What is not known here is left to it.

use gst::prelude::*;
use gst_video::{
    VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoFormat, VideoFrameRef, VideoInfo, prelude::*,
};
use yuv::{BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

/// Where the colour of four pixels is said to be: in their middle.
pub const CHROMA_SITE: &str = "jpeg";
/// Colour of a grey pixel.
const NO_COLOUR: u8 = 128;

/// Makes I420 of one picture after the other.
#[derive(Debug, Default)]
pub struct Planar {
    last: Option<(gst::Caps, Option<Conversion>)>,
}

impl Planar {
    /// The same picture in I420, or as it is.
    ///
    /// # Errors
    /// When it is not what its caps say.
    pub fn convert(&mut self, sample: gst::Sample) -> Result<gst::Sample, gst::FlowError> {
        let caps = sample.caps().ok_or(gst::FlowError::NotNegotiated)?;
        if self.last.as_ref().is_none_or(|(last, _)| last.as_ref() != caps) {
            self.last = Some((caps.to_owned(), Conversion::of(caps)));
        }
        match &self.last {
            Some((_, Some(conversion))) => conversion.convert(&sample),
            _ => Ok(sample),
        }
    }
}

/// From pictures of one kind, into buffers that are used again.
#[derive(Debug)]
struct Conversion {
    from: VideoInfo,
    to: VideoInfo,
    caps: gst::Caps,
    matrix: YuvStandardMatrix,
    pool: gst_video::VideoBufferPool,
}

impl Conversion {
    /// `None` for what `videoconvert` has to do.
    fn of(caps: &gst::CapsRef) -> Option<Self> {
        let from = VideoInfo::from_caps(caps).ok()?;
        let known = [
            VideoFormat::Rgb,
            VideoFormat::Bgr,
            VideoFormat::Rgba,
            VideoFormat::Bgra,
            VideoFormat::Gray8,
            VideoFormat::Gray16Le,
        ];
        if !known.contains(&from.format()) {
            return None;
        }
        // The matrix that belongs to the size, as videoconvert has it; what the colours mean stays.
        let matrix =
            VideoInfo::builder(VideoFormat::I420, from.width(), from.height()).build().ok()?.colorimetry().matrix();
        let colours = VideoColorimetry::new(
            VideoColorRange::Range16_235,
            matrix,
            from.colorimetry().transfer(),
            from.colorimetry().primaries(),
        );
        let matrix = match matrix {
            VideoColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
            VideoColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
            VideoColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
            _ => return None,
        };
        let mut caps = caps.to_owned();
        for structure in caps.make_mut().iter_mut() {
            structure.set("format", VideoFormat::I420.to_str());
            structure.set("colorimetry", colours.to_string());
            structure.set("chroma-site", CHROMA_SITE);
        }
        let to = VideoInfo::from_caps(&caps).ok()?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), u32::try_from(to.size()).ok()?, 0, 0);
        pool.set_config(config).ok()?;
        pool.set_active(true).ok()?;
        Some(Self { from, to, caps, matrix, pool })
    }

    fn convert(&self, sample: &gst::Sample) -> Result<gst::Sample, gst::FlowError> {
        let picture = sample.buffer().ok_or(gst::FlowError::Error)?;
        let mut planar = self.pool.acquire_buffer(None)?;
        let buffer = planar.get_mut().ok_or(gst::FlowError::Error)?;
        picture
            .copy_into(buffer, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..)
            .map_err(|_| gst::FlowError::Error)?;
        for capture in picture.iter_meta::<gst::ReferenceTimestampMeta>() {
            gst::ReferenceTimestampMeta::add(
                buffer,
                &capture.reference_owned(),
                capture.timestamp(),
                capture.duration(),
            );
        }
        let from = VideoFrameRef::from_buffer_ref_readable(picture, &self.from).map_err(|_| gst::FlowError::Error)?;
        let mut to = VideoFrameRef::from_buffer_ref_writable(buffer, &self.to).map_err(|_| gst::FlowError::Error)?;
        self.fill(&mut to, &from).map_err(|_| gst::FlowError::Error)?;
        drop(to);
        Ok(gst::Sample::builder().buffer(&planar).caps(&self.caps).build())
    }

    fn fill(
        &self,
        to: &mut VideoFrameRef<&mut gst::BufferRef>,
        from: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<(), YuvError> {
        let [y_stride, u_stride, v_stride] = [0, 1, 2].map(|plane| to.plane_stride()[plane] as u32);
        let [y, u, v, _] = to.planes_data_mut();
        let stride = from.plane_stride()[0] as u32;
        let [pixels, ..] = from.planes_data();
        let convert = match self.from.format() {
            VideoFormat::Rgb => yuv::rgb_to_yuv420,
            VideoFormat::Bgr => yuv::bgr_to_yuv420,
            VideoFormat::Rgba => yuv::rgba_to_yuv420,
            VideoFormat::Bgra => yuv::bgra_to_yuv420,
            grey => {
                for (row, grey_row) in y.chunks_mut(y_stride as usize).zip(pixels.chunks(stride as usize)) {
                    match grey {
                        VideoFormat::Gray8 => brighten::<1>(row, grey_row),
                        _ => brighten::<2>(row, grey_row),
                    }
                }
                u.fill(NO_COLOUR);
                v.fill(NO_COLOUR);
                return Ok(());
            }
        };
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride,
            width: self.from.width(),
            height: self.from.height(),
        };
        convert(&mut planes, pixels, stride, YuvRange::Limited, self.matrix, YuvConversionMode::Balanced)
    }
}

impl Drop for Conversion {
    fn drop(&mut self) {
        // Its buffers are freed when they come back.
        let _ = self.pool.set_active(false);
    }
}

/// Greys of the full range in the limited one, of little-endian numbers of `N` bytes.
fn brighten<const N: usize>(luma: &mut [u8], greys: &[u8]) {
    for (luma, grey) in luma.iter_mut().zip(greys.as_chunks::<N>().0) {
        let scaled = u16::from(grey[N - 1]) * 219 + 127;
        // Divided by 255.
        *luma = 16 + ((scaled + (scaled >> 8) + 1) >> 8) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sides that are odd, tiny, above and below those at which another matrix begins.
    const SIZES: [(u32, u32); 8] = [(1, 1), (2, 2), (15, 7), (66, 34), (320, 180), (641, 361), (640, 577), (1282, 721)];

    /// A picture with rows of a stride that is larger than GStreamer's own.
    fn sample(format: VideoFormat, (width, height): (u32, u32), extra: usize) -> gst::Sample {
        let info = VideoInfo::builder(format, width, height).fps(gst::Fraction::new(30, 1)).build().unwrap();
        let stride = info.stride()[0] as usize + extra;
        let pixel = (info.format_info().pixel_stride()[0] as usize).max(1);
        let mut noise = 1u32;
        let bytes = (0..stride * height as usize).map(|at| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = (at % stride / pixel, at / stride);
            let slope = (x * (1 + at % pixel) + 3 * y) % 512;
            (slope.min(511 - slope) as u8).saturating_add((noise >> 28) as u8)
        });
        let mut buffer = gst::Buffer::from_slice(bytes.collect::<Vec<_>>());
        let picture = buffer.get_mut().unwrap();
        let (flags, strides) = (gst_video::VideoFrameFlags::empty(), [stride as i32]);
        gst_video::VideoMeta::add_full(picture, flags, format, width, height, &[0], &strides).unwrap();
        picture.set_pts(gst::ClockTime::from_mseconds(40));
        picture.set_flags(gst::BufferFlags::DISCONT);
        let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
        gst::ReferenceTimestampMeta::add(picture, &unix, gst::ClockTime::from_seconds(7), gst::ClockTime::NONE);
        gst::Sample::builder().buffer(&buffer).caps(&info.to_caps().unwrap()).build()
    }

    fn info(sample: &gst::Sample) -> VideoInfo {
        VideoInfo::from_caps(sample.caps().unwrap()).unwrap()
    }

    /// Each plane's pixels, without what pads the rows.
    fn pixels(buffer: &gst::BufferRef, info: &VideoInfo) -> [Vec<u8>; 3] {
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
        [0, 1, 2].map(|plane| {
            let (width, stride) = (frame.comp_width(plane), frame.plane_stride()[plane as usize]);
            let rows = frame.plane_data(plane).unwrap().chunks(stride as usize).take(frame.comp_height(plane) as usize);
            rows.flat_map(|row| &row[..width as usize]).copied().collect()
        })
    }

    fn by_videoconvert(sample: &gst::Sample, to: &VideoInfo) -> [Vec<u8>; 3] {
        let from = info(sample);
        let converter = gst_video::VideoConverter::new(&from, to, None).unwrap();
        let mut buffer = gst::Buffer::with_size(to.size()).unwrap();
        let source = VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &from).unwrap();
        let mut target = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), to).unwrap();
        converter.frame_ref(&source, &mut target);
        drop(target);
        pixels(&buffer, to)
    }

    #[test]
    fn pictures_are_those_of_videoconvert() {
        gst::init().unwrap();
        let mut planar = Planar::default();
        for format in [VideoFormat::Rgb, VideoFormat::Bgr, VideoFormat::Rgba, VideoFormat::Bgra] {
            for (size, extra) in SIZES.into_iter().flat_map(|size| [(size, 0), (size, 36)]) {
                let source = sample(format, size, extra);
                let made = planar.convert(source.clone()).unwrap();
                let to = info(&made);
                assert_eq!((to.format(), to.width(), to.height()), (VideoFormat::I420, size.0, size.1));
                let wanted = by_videoconvert(&source, &to);
                for (plane, (made, wanted)) in pixels(made.buffer().unwrap(), &to).iter().zip(&wanted).enumerate() {
                    let off = made.iter().zip(wanted).map(|(made, wanted)| made.abs_diff(*wanted)).max();
                    assert!(
                        off <= Some(2) && made.len() == wanted.len(),
                        "{format} {size:?} +{extra}, plane {plane}: {off:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn greys_keep_their_brightness() {
        gst::init().unwrap();
        let mut planar = Planar::default();
        for (format, bytes) in [(VideoFormat::Gray8, 1), (VideoFormat::Gray16Le, 2)] {
            for (size, extra) in SIZES.into_iter().flat_map(|size| [(size, 0), (size, 36)]) {
                let source = sample(format, size, extra);
                let made = planar.convert(source.clone()).unwrap();
                let [y, u, v] = pixels(made.buffer().unwrap(), &info(&made));
                let stride = info(&source).stride()[0] as usize + extra;
                let greys = source.buffer().unwrap().map_readable().unwrap();
                let greys =
                    greys.chunks(stride).flat_map(|row| row[bytes - 1..].iter().step_by(bytes).take(size.0 as usize));
                assert!(
                    y.iter().copied().eq(greys.map(|grey| (16.0 + f64::from(*grey) * 219.0 / 255.0).round() as u8))
                );
                assert!(u.iter().chain(&v).all(|colour| *colour == NO_COLOUR));
            }
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        gst::init().unwrap();
        for format in [VideoFormat::V308, VideoFormat::Yuy2] {
            let source = sample(format, (64, 48), 0);
            let made = Planar::default().convert(source.clone()).unwrap();
            assert_eq!((made.caps(), made.buffer()), (source.caps(), source.buffer()));
        }
    }

    #[test]
    fn colours_and_times_are_told() {
        gst::init().unwrap();
        let mut planar = Planar::default();
        for (size, colours) in [((640, 360), "2:4:7:1"), ((1280, 720), "2:3:7:1")] {
            let made = planar.convert(sample(VideoFormat::Bgr, size, 0)).unwrap();
            let caps = made.caps().unwrap().structure(0).unwrap();
            assert_eq!((caps.get("colorimetry"), caps.get("chroma-site")), (Ok(colours), Ok(CHROMA_SITE)));
            assert_eq!(caps.get("framerate"), Ok(gst::Fraction::new(30, 1)));
            let buffer = made.buffer().unwrap();
            assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40)));
            assert!(buffer.flags().contains(gst::BufferFlags::DISCONT));
            let capture = buffer.meta::<gst::ReferenceTimestampMeta>().map(|meta| meta.timestamp());
            assert_eq!(capture, Some(gst::ClockTime::from_seconds(7)));
        }
    }

    #[test]
    fn buffers_are_used_again() {
        gst::init().unwrap();
        let mut planar = Planar::default();
        let source = sample(VideoFormat::Bgr, (640, 360), 0);
        let places = (0..20).map(|_| {
            let made = planar.convert(source.clone()).unwrap();
            made.buffer().unwrap().map_readable().unwrap().as_ptr() as usize
        });
        assert_eq!(places.collect::<std::collections::BTreeSet<_>>().len(), 1);
    }

    #[test]
    fn a_picture_that_is_cut_off_is_refused() {
        gst::init().unwrap();
        let whole = sample(VideoFormat::Bgr, (64, 48), 0);
        let cut =
            gst::Sample::builder().buffer(&gst::Buffer::from_slice([0; 64])).caps(&whole.caps_owned().unwrap()).build();
        assert_eq!(Planar::default().convert(cut).unwrap_err(), gst::FlowError::Error);
    }
}
