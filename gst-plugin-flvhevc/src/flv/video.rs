//! H.264 and H.265 in video tags: the bytes in front of the record or the access unit.

/// How a video stream is named and framed in FLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// H.264 as codec-id 7 (FLV E.4.3). All readers take it, so there is no FourCC form.
    Avc,
    /// H.265 as FourCC `hvc1` (E-RTMP, "Enhanced Video").
    EnhancedHevc,
    /// H.265 as codec-id 12 (domestic), in the shape of codec-id 7.
    DomesticHevc,
}

const AVC_CODEC_ID: u8 = 7;
const DOMESTIC_HEVC_CODEC_ID: u8 = 12;
const HVC1: [u8; 4] = *b"hvc1";

const KEY_FRAME: u8 = 1;
const INTER_FRAME: u8 = 2;
/// Frame type of what is no picture.
const COMMAND_FRAME: u8 = 5;

// AVCPacketType, which the domestic amendment copies.
const SEQUENCE_HEADER: u8 = 0;
const NAL_UNITS: u8 = 1;

const EX_HEADER: u8 = 0x80;
// PacketType of E-RTMP.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;

/// Composition times that a signed 24-bit field can hold.
pub const COMPOSITION_RANGE: std::ops::RangeInclusive<i64> = -0x80_0000..=0x7F_FFFF;

/// The bytes between tag header and access unit.
#[derive(Debug, PartialEq, Eq)]
pub struct FramePrefix {
    bytes: [u8; 8],
    size: usize,
}

impl AsRef<[u8]> for FramePrefix {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl VideoFormat {
    /// onMetaData's `videocodecid`. A FourCC is a big-endian number there (E-RTMP, "onMetaData").
    pub fn codec_id(self) -> f64 {
        match self {
            Self::Avc => f64::from(AVC_CODEC_ID),
            Self::DomesticHevc => f64::from(DOMESTIC_HEVC_CODEC_ID),
            Self::EnhancedHevc => f64::from(u32::from_be_bytes(HVC1)),
        }
    }

    pub fn is_hevc(self) -> bool {
        self != Self::Avc
    }

    /// Body of the tag that announces the decoder configuration `record` (avcC or hvcC).
    pub fn sequence_header(self, record: &[u8]) -> Vec<u8> {
        let start = match self {
            Self::EnhancedHevc => {
                let [h, v, c, one] = HVC1;
                [EX_HEADER | KEY_FRAME << 4 | SEQUENCE_START, h, v, c, one]
            }
            Self::Avc => [KEY_FRAME << 4 | AVC_CODEC_ID, SEQUENCE_HEADER, 0, 0, 0],
            Self::DomesticHevc => [KEY_FRAME << 4 | DOMESTIC_HEVC_CODEC_ID, SEQUENCE_HEADER, 0, 0, 0],
        };
        let mut body = start.to_vec();
        body.extend_from_slice(record);
        body
    }

    /// Body of the tag that carries `metadata` about the pictures that follow; codec-ids 7 and 12 have none.
    pub fn metadata_packet(self, metadata: &[u8]) -> Option<Vec<u8>> {
        // E-RTMP has readers ignore the frame type here; FFmpeg's insists on this one.
        let [h, v, c, one] = HVC1;
        let start = [EX_HEADER | COMMAND_FRAME << 4 | METADATA, h, v, c, one];
        (self == Self::EnhancedHevc).then(|| [&start, metadata].concat())
    }

    /// What stands in front of an access unit; `composition` is within [`COMPOSITION_RANGE`].
    pub fn frame_prefix(self, keyframe: bool, composition: i32) -> FramePrefix {
        let frame_type = if keyframe { KEY_FRAME } else { INTER_FRAME } << 4;
        let [_, c0, c1, c2] = composition.to_be_bytes();
        let [h, v, c, one] = HVC1;
        let (bytes, size) = match self {
            Self::Avc => ([frame_type | AVC_CODEC_ID, NAL_UNITS, c0, c1, c2, 0, 0, 0], 5),
            Self::DomesticHevc => ([frame_type | DOMESTIC_HEVC_CODEC_ID, NAL_UNITS, c0, c1, c2, 0, 0, 0], 5),
            Self::EnhancedHevc if composition == 0 => {
                ([EX_HEADER | frame_type | CODED_FRAMES_X, h, v, c, one, 0, 0, 0], 5)
            }
            Self::EnhancedHevc => ([EX_HEADER | frame_type | CODED_FRAMES, h, v, c, one, c0, c1, c2], 8),
        };
        FramePrefix { bytes, size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_numbers_are_the_ones_readers_look_for() {
        let bytes = |format: VideoFormat| format.codec_id().to_be_bytes();
        assert_eq!(bytes(VideoFormat::Avc), *b"\x40\x1C\0\0\0\0\0\0");
        assert_eq!(bytes(VideoFormat::DomesticHevc), *b"\x40\x28\0\0\0\0\0\0");
        assert_eq!(bytes(VideoFormat::EnhancedHevc), *b"\x41\xDA\x1D\x98\xCC\x40\0\0");
    }

    #[test]
    fn sequence_headers() {
        let header = |format: VideoFormat| format.sequence_header(&[1]);
        assert_eq!(header(VideoFormat::Avc), b"\x17\0\0\0\0\x01");
        assert_eq!(header(VideoFormat::DomesticHevc), b"\x1C\0\0\0\0\x01");
        assert_eq!(header(VideoFormat::EnhancedHevc), b"\x90hvc1\x01");
    }

    #[test]
    fn metadata_packets_exist_in_enhanced_mode_alone() {
        assert_eq!(VideoFormat::EnhancedHevc.metadata_packet(&[1]).unwrap(), b"\xD4hvc1\x01");
        assert_eq!(VideoFormat::DomesticHevc.metadata_packet(&[1]), None);
        assert_eq!(VideoFormat::Avc.metadata_packet(&[1]), None);
    }

    #[test]
    fn frame_prefixes() {
        let prefix = |format: VideoFormat, key, cts| format.frame_prefix(key, cts).as_ref().to_vec();
        assert_eq!(prefix(VideoFormat::Avc, true, 0), b"\x17\x01\0\0\0");
        assert_eq!(prefix(VideoFormat::Avc, false, 80), b"\x27\x01\0\0\x50");
        // SRS's KernelCodecTest.HevcVideoFormat: domestic with CTS -33, enhanced with CTS 125.
        assert_eq!(prefix(VideoFormat::DomesticHevc, false, -33), b"\x2C\x01\xFF\xFF\xDF");
        assert_eq!(prefix(VideoFormat::EnhancedHevc, true, 125), b"\x91hvc1\0\0\x7D");
        assert_eq!(prefix(VideoFormat::EnhancedHevc, true, 0), b"\x93hvc1");
        assert_eq!(prefix(VideoFormat::EnhancedHevc, false, 0), b"\xA3hvc1");
        assert_eq!(prefix(VideoFormat::EnhancedHevc, false, -1), b"\xA1hvc1\xFF\xFF\xFF");
        assert_eq!(prefix(VideoFormat::DomesticHevc, true, 0), b"\x1C\x01\0\0\0");
    }
}
