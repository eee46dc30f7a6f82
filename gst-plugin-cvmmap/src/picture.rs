//! What a cv-mmap picture is called in GStreamer, and the other way round.

use std::sync::LazyLock;

use cvmmap::{Depth, PixelFormat, Plane};
use gst_video::VideoFormat;

/// Every format that both sides have.
const FORMATS: [(PixelFormat, Depth, VideoFormat); 8] = [
    (PixelFormat::Rgb, Depth::U8, VideoFormat::Rgb),
    (PixelFormat::Bgr, Depth::U8, VideoFormat::Bgr),
    (PixelFormat::Rgba, Depth::U8, VideoFormat::Rgba),
    (PixelFormat::Bgra, Depth::U8, VideoFormat::Bgra),
    (PixelFormat::Gray, Depth::U8, VideoFormat::Gray8),
    (PixelFormat::Gray, Depth::U16, VideoFormat::Gray16Le),
    (PixelFormat::Yuv, Depth::U8, VideoFormat::V308),
    (PixelFormat::Yuyv, Depth::U8, VideoFormat::Yuy2),
];

/// Caps of the reference timestamp meta that carries a producer's timestamp.
pub(crate) static CAPTURE_TIME_CAPS: LazyLock<gst::Caps> = LazyLock::new(|| {
    let mut caps = gst::Caps::new_empty_simple("timestamp/x-unix");
    // For the leaks tracer: it lives as long as the process.
    caps.make_mut().mark_may_be_leaked();
    caps
});

/// Size and format of a picture, as far as caps tell of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) format: VideoFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Picture {
    /// The picture in a plane, or a sentence that says why GStreamer has no name for it.
    pub(crate) fn of(plane: &Plane) -> Result<Self, String> {
        let format = FORMATS
            .iter()
            .find(|(pixel_format, depth, _)| (*pixel_format, *depth) == (plane.pixel_format, plane.depth))
            .map(|(.., format)| *format)
            .ok_or_else(|| {
                format!(
                    "the producer's pictures are {} of {}, which has no raw video format here: \
                     u8 of every pixel format and u16 of GRAY do",
                    plane.pixel_format, plane.depth
                )
            })?;
        Ok(Self { format, width: plane.width, height: plane.height })
    }

    /// Fills what GStreamer's layout has and cv-mmap's has not: a row of YUYV of an odd width ends, at two bytes a pixel,
    /// before the V of its last pixel. That one takes its neighbour's.
    pub(crate) fn complete(&self, rows: &mut [u8], stride: usize) {
        const NO_COLOUR: u8 = 128;
        if self.format != VideoFormat::Yuy2 || self.width.is_multiple_of(2) {
            return;
        }
        let missing = self.width as usize * 2 + 1;
        for row in rows.chunks_mut(stride).take(self.height as usize).filter(|row| row.len() > missing) {
            row[missing] = if missing > 4 { row[missing - 4] } else { NO_COLOUR };
        }
    }

    /// Geometry with GStreamer's default strides, without a frame rate.
    pub(crate) fn video_info(&self) -> Result<gst_video::VideoInfo, String> {
        gst_video::VideoInfo::builder(self.format, self.width, self.height)
            .build()
            .map_err(|_| format!("a picture of {}x{} is too large for GStreamer", self.width, self.height))
    }
}

/// How cv-mmap calls a raw video format.
pub(crate) fn wire_format(format: VideoFormat) -> Option<(PixelFormat, Depth)> {
    let found = FORMATS.iter().find(|(.., known)| *known == format);
    found.map(|(pixel_format, depth, _)| (*pixel_format, *depth))
}

/// Caps of a pad that takes or gives these pictures.
pub(crate) fn template_caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new().format_list(FORMATS.map(|(.., format)| format)).build()
}
