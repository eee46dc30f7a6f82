//! The picture that shows all cameras.

use gst_video::{
    VideoColorRange, VideoConverter, VideoConverterConfig, VideoDitherMethod, VideoFormat, VideoFrame,
    VideoFrameExt as _, VideoInfo, VideoResamplerMethod,
};
use tools_cli::failure::Failure;

use super::label;
use crate::picture::Picture;

/// Black, in the range of video.
const BLACK: [u8; 3] = [16, 128, 128];
const RED: [u8; 3] = [81, 90, 240];
/// Rows of a tile for each of the frame around one that stands still.
const FRAME_SCALE: usize = 60;

/// Tiles in rows.
#[derive(Debug)]
pub struct Canvas {
    info: VideoInfo,
    picture: gst::Buffer,
    tile: (usize, usize),
    columns: usize,
}

impl Canvas {
    /// Room for so many tiles of this size, in the colours of such pictures: nothing is converted then but their size.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when that is too much for a picture.
    pub fn new(tiles: usize, tile: (usize, usize), of: &VideoInfo) -> Result<Self, Failure> {
        let columns = columns(tiles);
        let (width, height) = (columns * tile.0, tiles.div_ceil(columns) * tile.1);
        let too_large = || {
            Failure::Configuration(format!("a picture of {width} x {height} is too large; take a smaller --tile-scale"))
        };
        // What the encoders take.
        if width > 8192 || height > 8192 {
            return Err(too_large());
        }
        let colours = of.colorimetry();
        let mut info = VideoInfo::builder(VideoFormat::I420, width as u32, height as u32);
        if of.is_yuv() && colours.range() == VideoColorRange::Range16_235 {
            info = info.colorimetry(&colours);
        }
        let info = info.build().map_err(|_| too_large())?;
        let picture = gst::Buffer::with_size(info.size()).map_err(|_| too_large())?;
        let mut canvas = Self { info, picture, tile, columns };
        canvas.on_frame(|frame| fill(frame, (0, 0), (width, height), BLACK))?;
        Ok(canvas)
    }

    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    pub fn picture(&self) -> &gst::Buffer {
        &self.picture
    }

    fn place(&self, tile: usize) -> (usize, usize) {
        (tile % self.columns * self.tile.0, tile / self.columns * self.tile.1)
    }

    /// What scales pictures of such a form to the size of a tile.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer does not know their format.
    pub fn scaler(&self, of: &VideoInfo) -> Result<VideoConverter, Failure> {
        timeless(of)
            .and_then(|of| VideoConverter::new(&of, &self.tile_form()?, Some(quick())).ok())
            .ok_or_else(|| Failure::Pipeline(format!("pictures in the format {} cannot be scaled", of.format())))
    }

    fn tile_form(&self) -> Option<VideoInfo> {
        // What is as small has other colours by default.
        VideoInfo::builder(VideoFormat::I420, self.tile.0 as u32, self.tile.1 as u32)
            .colorimetry(&self.info.colorimetry())
            .chroma_site(self.info.chroma_site())
            .build()
            .ok()
    }

    /// Shows a picture in a tile.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the picture's memory cannot be read.
    pub fn show(&mut self, scaler: &VideoConverter, picture: &Picture, tile: usize) -> Result<(), Failure> {
        let source = timeless(&picture.info)
            .and_then(|info| VideoFrame::from_buffer_readable(picture.buffer.clone(), &info).ok())
            .ok_or_else(unreadable)?;
        // Not straight into the grid: for some formats, the converter writes whole rows, over the other tiles.
        let mut scaled = self
            .tile_form()
            .and_then(|form| VideoFrame::from_buffer_writable(gst::Buffer::with_size(form.size()).ok()?, &form).ok())
            .ok_or_else(unreadable)?;
        scaler.frame(&source, &mut scaled);
        let (x, y) = self.place(tile);
        self.on_frame(|frame| paste(frame, (x, y), &scaled))
    }

    /// Draws a red frame around the tile of a camera that gives nothing.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the picture's memory cannot be written.
    pub fn mark(&mut self, tile: usize) -> Result<(), Failure> {
        let ((x, y), (width, height)) = (self.place(tile), self.tile);
        let thick = (height / FRAME_SCALE).next_multiple_of(2).max(2);
        self.on_frame(|frame| {
            fill(frame, (x, y), (width, thick), RED);
            fill(frame, (x, y + height - thick), (width, thick), RED);
            fill(frame, (x, y), (thick, height), RED);
            fill(frame, (x + width - thick, y), (thick, height), RED);
        })
    }

    /// Writes the time into the corner.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when the picture's memory cannot be written.
    pub fn label(&mut self, timestamp: u64) -> Result<(), Failure> {
        let (width, height) = (self.info.width() as usize, self.info.height() as usize);
        self.on_frame(|frame| {
            let stride = frame.plane_stride()[0] as usize;
            if let Ok(luminance) = frame.plane_data_mut(0) {
                label::draw(luminance, stride, width, height, &label::text(timestamp));
            }
        })
    }

    fn on_frame(
        &mut self,
        draw: impl FnOnce(&mut VideoFrame<gst_video::video_frame::Writable>),
    ) -> Result<(), Failure> {
        // An encoder may still hold the last one; it is copied then.
        let picture = std::mem::replace(&mut self.picture, gst::Buffer::new());
        let mut own = picture;
        own.make_mut();
        let mut frame = VideoFrame::from_buffer_writable(own, &self.info).map_err(|_| unreadable())?;
        draw(&mut frame);
        self.picture = frame.into_buffer();
        Ok(())
    }
}

/// Columns of a grid as square as it can be.
pub fn columns(tiles: usize) -> usize {
    (1..).find(|columns| columns * columns >= tiles).expect("there is a square above any number")
}

/// A converter wants the same frame rate on both sides, and pictures have none here.
fn timeless(info: &VideoInfo) -> Option<VideoInfo> {
    VideoInfo::builder(info.format(), info.width(), info.height())
        .colorimetry(&info.colorimetry())
        .chroma_site(info.chroma_site())
        .build()
        .ok()
}

/// The default is cubic, which takes longer.
fn quick() -> VideoConverterConfig {
    let mut config = VideoConverterConfig::new();
    config.set_resampler_method(VideoResamplerMethod::Linear);
    config.set_chroma_resampler_method(VideoResamplerMethod::Linear);
    config.set_dither_method(VideoDitherMethod::None);
    config
}

fn unreadable() -> Failure {
    Failure::Pipeline("a decoded picture cannot be accessed".to_owned())
}

/// Copies a picture to a place, which is even.
fn paste(
    frame: &mut VideoFrame<gst_video::video_frame::Writable>,
    (x, y): (usize, usize),
    picture: &VideoFrame<gst_video::video_frame::Writable>,
) {
    for plane in 0..3 {
        let part = if plane == 0 { 1 } else { 2 };
        let (width, height) = (picture.width() as usize / part, picture.height() as usize / part);
        let (to, from) = (frame.plane_stride()[plane] as usize, picture.plane_stride()[plane] as usize);
        let (Ok(data), Ok(source)) = (frame.plane_data_mut(plane as u32), picture.plane_data(plane as u32)) else {
            continue;
        };
        for row in 0..height {
            let begin = (y / part + row) * to + x / part;
            if let (Some(into), Some(dots)) =
                (data.get_mut(begin..begin + width), source.get(row * from..row * from + width))
            {
                into.copy_from_slice(dots);
            }
        }
    }
}

/// Fills an area, whose place and size are even.
fn fill(
    frame: &mut VideoFrame<gst_video::video_frame::Writable>,
    (x, y): (usize, usize),
    (width, height): (usize, usize),
    colour: [u8; 3],
) {
    for (plane, value) in colour.into_iter().enumerate() {
        let part = if plane == 0 { 1 } else { 2 };
        let stride = frame.plane_stride()[plane] as usize;
        let Ok(data) = frame.plane_data_mut(plane as u32) else {
            continue;
        };
        for row in y / part..(y + height) / part {
            if let Some(dots) = data.get_mut(row * stride + x / part..row * stride + (x + width) / part) {
                dots.fill(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_colours() {
        gst::init().unwrap();
        // The tile, and the grid of two, are as small as pictures that have other colours by default.
        for (tiles, form) in [(2, (1280, 720)), (4, (1280, 720)), (4, (640, 376))] {
            let info = VideoInfo::builder(VideoFormat::I420, form.0, form.1).build().unwrap();
            let buffer = gst::Buffer::with_size(info.size()).unwrap();
            let mut frame = VideoFrame::from_buffer_writable(buffer, &info).unwrap();
            fill(&mut frame, (0, 0), (form.0 as usize, form.1 as usize), [100, 70, 200]);
            let buffer = frame.into_buffer();
            let picture = Picture { index: 0, timestamp: 0, buffer, info, concealed: false, depth: None, pose: None };
            let mut canvas = Canvas::new(tiles, (320, 180), &picture.info).unwrap();
            canvas.show(&canvas.scaler(&picture.info).unwrap(), &picture, 1).unwrap();
            assert_eq!(canvas.info.colorimetry(), picture.info.colorimetry());
            let shown = VideoFrame::from_buffer_readable(canvas.picture.clone(), &canvas.info).unwrap();
            for (plane, (at, value)) in [(400, 100), (200, 70), (200, 200)].into_iter().enumerate() {
                assert_eq!(shown.plane_data(plane as u32).unwrap()[at], value, "{tiles} tiles of {form:?}");
            }
        }
    }

    #[test]
    fn a_grid_is_as_square_as_it_can_be() {
        let of: Vec<_> = [1, 2, 3, 4, 5, 9, 10, 16].into_iter().map(columns).collect();
        assert_eq!(of, [1, 2, 2, 2, 3, 3, 4, 4]);
    }
}
