//! Decoded pictures, and the left eye of those that show both.

use gst_video::{VideoInfo, VideoMeta};
use tools_mcap::{depth::DepthPlane, schema::cvmmap_streamer::DepthMap};

use super::camera::Pose;

/// A picture of a recording.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its number in the recording.
    pub index: usize,
    /// Nanoseconds on the recording's clock.
    pub timestamp: u64,
    pub buffer: gst::Buffer,
    pub info: VideoInfo,
    /// The decoder had to guess parts of it.
    pub concealed: bool,
    /// Of the same moment, when it was wanted and is known.
    pub depth: Option<Depth>,
    /// Of the same moment, when it was wanted and the camera was tracked.
    pub pose: Option<Pose>,
}

/// The depth of a picture.
#[derive(Clone, Debug)]
pub enum Depth {
    /// As it is computed,
    Plane(DepthPlane),
    /// or as a recording holds it.
    Stored(DepthMap),
}

/// The buffer and form of a decoded sample.
pub fn of_sample(sample: &gst::Sample) -> Option<(gst::Buffer, VideoInfo)> {
    Some((sample.buffer_owned()?, VideoInfo::from_caps(sample.caps()?).ok()?))
}

/// The left half of a picture, without copying it: it begins at the same byte and has the same distance from row to row.
/// None when it cannot be halved.
pub fn left_half(buffer: &gst::Buffer, info: &VideoInfo) -> Option<(gst::Buffer, VideoInfo)> {
    // Both eyes have a width that chroma can be halved for.
    if !info.width().is_multiple_of(4) {
        return None;
    }
    let (offset, stride): (Vec<usize>, Vec<i32>) = match buffer.meta::<VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (info.offset().to_vec(), info.stride().to_vec()),
    };
    let half = VideoInfo::builder(info.format(), info.width() / 2, info.height())
        .fps(info.fps())
        .par(info.par())
        .interlace_mode(info.interlace_mode())
        .colorimetry(&info.colorimetry())
        .chroma_site(info.chroma_site())
        .build()
        .ok()?;
    // A copy would share the memory, and a decoder's pool takes back none that is shared.
    let mut left = gst::Buffer::from_slice(buffer.clone().into_mapped_buffer_readable().ok()?);
    let writable = left.get_mut()?;
    buffer.copy_into(writable, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..).ok()?;
    let flags = gst_video::VideoFrameFlags::empty();
    VideoMeta::add_full(writable, flags, half.format(), half.width(), half.height(), &offset, &stride).ok()?;
    Some((left, half))
}
