//! Access units: which of them a decoder can use.

use cvmmap::{Codec, Encoded, Metadata, PlaneKind};

/// What caps tell of a stream of access units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoStream {
    pub(crate) codec: Codec,
    /// Size of the picture that the producer publishes beside it.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Frames per second as a fraction, when the producer tells.
    pub(crate) frame_rate: Option<(u16, u16)>,
}

impl VideoStream {
    fn of(encoded: &Encoded, metadata: &Metadata) -> Option<Self> {
        let left = metadata.plane(PlaneKind::Left)?;
        let told = encoded.frame_rate.0 > 0 && encoded.frame_rate.1 > 0;
        Some(Self {
            codec: encoded.codec,
            width: left.width,
            height: left.height,
            frame_rate: told.then_some(encoded.frame_rate),
        })
    }

    fn is_continued_by(&self, other: &Self) -> bool {
        (self.codec, self.width, self.height) == (other.codec, other.width, other.height)
    }
}

/// The access units so far: each one but a keyframe needs every one since the last keyframe.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// The stream since its last keyframe, while it has no gap. A keyframe begins it.
    stream: Option<VideoStream>,
    /// Number of the unit before; numbers that follow each other are units that do.
    number: u32,
}

impl Chain {
    /// So many units, or frames that may have held some, are missing.
    pub(crate) fn lose(&mut self, units: u32) {
        self.stream = None;
        self.number = self.number.wrapping_add(units);
    }

    /// The stream that a frame's unit belongs to, if it can be decoded behind the units so far.
    pub(crate) fn stream_of(&self, metadata: &Metadata) -> Option<VideoStream> {
        let encoded = metadata.encoded.as_ref()?;
        let of_this = VideoStream::of(encoded, metadata)?;
        if encoded.keyframe { Some(of_this) } else { self.stream.filter(|stream| stream.is_continued_by(&of_this)) }
    }

    /// Adds a unit of a stream, and numbers it.
    pub(crate) fn append(&mut self, stream: VideoStream) -> u32 {
        self.stream = Some(stream);
        self.number = self.number.wrapping_add(1);
        self.number
    }
}

/// Whether these bytes begin as an Annex B byte stream: with a start code, after any zero bytes.
/// Source: ITU-T H.264 and H.265, B.1.1.
pub(crate) fn is_annex_b(unit: &[u8]) -> bool {
    let zeros = unit.iter().take_while(|byte| **byte == 0).count();
    zeros >= 2 && unit.get(zeros) == Some(&1)
}

#[cfg(test)]
mod tests {
    use cvmmap::{Abi, Depth, DepthUnit, PLANES, PixelFormat, Plane};

    use super::*;

    fn metadata(codec: Codec, keyframe: bool, width: u32) -> Metadata {
        let plane = Plane {
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width,
            height: 1,
            stride: width,
            offset: 0,
            size: width,
        };
        let mut planes = [None; PLANES];
        planes[PlaneKind::Left as usize] = Some(plane);
        Metadata {
            abi: Abi::V2 { minor: 1 },
            frame_id: 0,
            timestamp_ns: 0,
            publish_seq: 0,
            payload_size: width,
            depth_unit: DepthUnit::Unknown,
            encoded: Some(Encoded { codec, keyframe, frame_rate: (30, 1), stream_pts_ns: 0 }),
            planes,
        }
    }

    #[test]
    fn a_stream_begins_at_a_keyframe_and_again_after_a_loss() {
        let mut chain = Chain::default();
        let (keyframe, delta) = (metadata(Codec::H264, true, 8), metadata(Codec::H264, false, 8));
        assert_eq!(chain.stream_of(&delta), None);
        let first = chain.append(chain.stream_of(&keyframe).unwrap());
        assert_eq!(chain.append(chain.stream_of(&delta).unwrap()), first + 1);
        chain.lose(3);
        assert_eq!(chain.stream_of(&delta), None);
        assert_eq!(chain.append(chain.stream_of(&keyframe).unwrap()), first + 5);
    }

    #[test]
    fn another_codec_or_size_needs_a_keyframe() {
        let mut chain = Chain::default();
        chain.append(chain.stream_of(&metadata(Codec::H264, true, 8)).unwrap());
        assert_eq!(chain.stream_of(&metadata(Codec::H265, false, 8)), None);
        assert_eq!(chain.stream_of(&metadata(Codec::H264, false, 9)), None);
        assert!(chain.stream_of(&metadata(Codec::H265, true, 9)).is_some());
    }

    #[test]
    fn start_codes() {
        for good in [&[0, 0, 1, 9][..], &[0, 0, 0, 1, 9], &[0, 0, 0, 0, 1]] {
            assert!(is_annex_b(good), "{good:?}");
        }
        for bad in [&[][..], &[0, 1], &[0, 0], &[0, 0, 2, 1], &[0, 0, 0, 5, 9], &[1]] {
            assert!(!is_annex_b(bad), "{bad:?}");
        }
    }
}
