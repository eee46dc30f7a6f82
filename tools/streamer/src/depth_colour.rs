//! Depth as a picture that encoders take: near is blue, far is red, and black is not measured.

use std::sync::{Arc, LazyLock};

use colorous::TURBO;
use gst::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo, prelude::*};

/// What the colours span, in millimetres: a fixed range, so that a distance has one colour throughout.
const NEAR_MM: u16 = 300;
const FAR_MM: u16 = 10_000;
/// No measurement.
const NONE: [u8; 3] = [0; 3];

/// Colour of every depth.
static COLOURS: LazyLock<Vec<[u8; 3]>> = LazyLock::new(|| (0..=u16::MAX).map(colour).collect());

fn colour(millimetres: u16) -> [u8; 3] {
    if millimetres == 0 {
        return NONE;
    }
    let place = f64::from(millimetres.clamp(NEAR_MM, FAR_MM) - NEAR_MM) / f64::from(FAR_MM - NEAR_MM);
    TURBO.eval_continuous(place).into_array()
}

/// Colours one picture of depth after the other.
#[derive(Debug, Default)]
pub struct DepthColour {
    last: Option<(gst::Caps, Arc<Kind>)>,
}

/// Pictures of one size, into buffers that are used again.
#[derive(Debug)]
struct Kind {
    from: VideoInfo,
    to: VideoInfo,
    caps: gst::Caps,
    pool: gst_video::VideoBufferPool,
}

impl Kind {
    fn of(caps: &gst::CapsRef) -> Option<Self> {
        let from = VideoInfo::from_caps(caps).ok().filter(|from| from.format() == gst_video::VideoFormat::Gray16Le)?;
        let to = VideoInfo::builder(gst_video::VideoFormat::Rgb, from.width(), from.height()).fps(from.fps());
        let caps = to.build().ok()?.to_caps().ok()?;
        let to = VideoInfo::from_caps(&caps).ok()?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), u32::try_from(to.size()).ok()?, 0, 0);
        pool.set_config(config).ok()?;
        pool.set_active(true).ok()?;
        Some(Self { from, to, caps, pool })
    }
}

impl DepthColour {
    /// The same depth in colour.
    ///
    /// # Errors
    /// When it is not depth in millimetres.
    pub fn convert(&mut self, sample: &gst::Sample) -> Result<gst::Sample, gst::FlowError> {
        let caps = sample.caps().ok_or(gst::FlowError::NotNegotiated)?;
        let kind = match &self.last {
            Some((last, kind)) if last.as_ref() == caps => Arc::clone(kind),
            _ => {
                let kind = Arc::new(Kind::of(caps).ok_or(gst::FlowError::NotNegotiated)?);
                self.last = Some((caps.to_owned(), Arc::clone(&kind)));
                kind
            }
        };
        let depth = sample.buffer().ok_or(gst::FlowError::Error)?;
        let mut coloured = kind.pool.acquire_buffer(None)?;
        let buffer = coloured.get_mut().ok_or(gst::FlowError::Error)?;
        depth
            .copy_into(buffer, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..)
            .map_err(|_| gst::FlowError::Error)?;
        let from = VideoFrameRef::from_buffer_ref_readable(depth, &kind.from).map_err(|_| gst::FlowError::Error)?;
        let mut to = VideoFrameRef::from_buffer_ref_writable(buffer, &kind.to).map_err(|_| gst::FlowError::Error)?;
        let (from_stride, to_stride) = (from.plane_stride()[0] as usize, to.plane_stride()[0] as usize);
        let width = kind.from.width() as usize;
        let [depths, ..] = from.planes_data();
        let [pixels, ..] = to.planes_data_mut();
        for (depths, pixels) in depths.chunks(from_stride).zip(pixels.chunks_mut(to_stride)) {
            let pixels = pixels.chunks_exact_mut(3).take(width);
            for (pixel, depth) in pixels.zip(depths.chunks_exact(2)) {
                pixel.copy_from_slice(&COLOURS[usize::from(u16::from_le_bytes([depth[0], depth[1]]))]);
            }
        }
        drop(to);
        Ok(gst::Sample::builder().buffer(&coloured).caps(&kind.caps).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_depth_has_its_colour_and_its_time() {
        gst::init().unwrap();
        // Three pixels a row: the rows of the picture are padded.
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray16Le, 3, 2).build().unwrap();
        let caps = caps.to_caps().unwrap();
        let rows: [[u16; 4]; 2] = [[0, 300, 10_000, 9], [5_000, 65_535, 1, 9]];
        let bytes = rows.iter().flatten().flat_map(|depth| depth.to_le_bytes()).collect::<Vec<_>>();
        let mut buffer = gst::Buffer::from_slice(bytes);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40));
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        let coloured = DepthColour::default().convert(&sample).unwrap();
        let buffer = coloured.buffer().unwrap();
        assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40)));
        let info = gst_video::VideoInfo::from_caps(coloured.caps().unwrap()).unwrap();
        let stride = info.stride()[0] as usize;
        let map = buffer.map_readable().unwrap();
        let pixel = |x: usize, y: usize| [0, 1, 2].map(|part| map[y * stride + 3 * x + part]);
        assert_eq!(pixel(0, 0), NONE);
        assert_eq!(pixel(1, 0), colour(NEAR_MM));
        assert_eq!(pixel(2, 0), colour(FAR_MM));
        assert_eq!(pixel(1, 1), colour(FAR_MM), "farther is as far");
        assert_eq!(pixel(2, 1), colour(NEAR_MM), "nearer is as near");
        let middle = pixel(0, 1);
        assert!(middle[1] > middle[0] && middle[1] > middle[2], "green in the middle: {middle:?}");

        let grey = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 3, 2).build().unwrap();
        let sample = gst::Sample::builder().buffer(&buffer.copy()).caps(&grey.to_caps().unwrap()).build();
        assert!(DepthColour::default().convert(&sample).is_err());
    }
}
