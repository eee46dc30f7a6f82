//! H.264 and H.265 in video tags: the bytes in front of the record or the access unit.

/// How a video stream is named and framed in FLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// H.264 as codec-id 7 (FLV E.4.3), which all readers take.
    Avc,
    /// H.264 as FourCC `avc1` (E-RTMP, "Enhanced Video"), the one form that tracks beside the first can have.
    EnhancedAvc,
    /// H.265 as FourCC `hvc1` (E-RTMP, "Enhanced Video").
    EnhancedHevc,
    /// H.265 as codec-id 12 (domestic), in the shape of codec-id 7.
    DomesticHevc,
}

/// Number of a video stream (E-RTMP, "Multitrack"). The first is written as if there were no others.
pub type TrackId = u8;
pub const FIRST_TRACK: TrackId = 0;

const AVC_CODEC_ID: u8 = 7;
const DOMESTIC_HEVC_CODEC_ID: u8 = 12;
const AVC1: [u8; 4] = *b"avc1";
const HVC1: [u8; 4] = *b"hvc1";

const KEY_FRAME: u8 = 1;
const INTER_FRAME: u8 = 2;
/// Frame type of what is no picture.
const COMMAND_FRAME: u8 = 5;

// AVCPacketType, which the domestic amendment copies.
const SEQUENCE_HEADER: u8 = 0;
const NAL_UNITS: u8 = 1;
const END_OF_SEQUENCE: u8 = 2;

const EX_HEADER: u8 = 0x80;
// PacketType of E-RTMP.
const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const CODED_FRAMES_X: u8 = 3;
const METADATA: u8 = 4;
const MULTITRACK: u8 = 6;
const MOD_EX: u8 = 7;

/// AvMultitrackType of a packet that holds a single track.
const ONE_TRACK: u8 = 0;
/// ModExType of a UI24 of nanoseconds, whose size less one stands in front of it.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
const NANO_SIZE_LESS_ONE: u8 = 2;

/// Composition times that a signed 24-bit field can hold.
pub const COMPOSITION_RANGE: std::ops::RangeInclusive<i64> = -0x80_0000..=0x7F_FFFF;

/// The longest: a nanosecond offset (6 bytes), one track with its FourCC (6) and a composition time (3).
pub const MAX_PREFIX_SIZE: usize = 15;

/// The bytes between tag header and access unit or record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; MAX_PREFIX_SIZE],
    size: usize,
}

impl Prefix {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.size..][..bytes.len()].copy_from_slice(bytes);
        self.size += bytes.len();
    }

    /// A packet of codec-id 7 or 12.
    fn legacy(frame_type: u8, codec_id: u8, packet_type: u8, composition: i32) -> Self {
        let [_, c0, c1, c2] = composition.to_be_bytes();
        let mut prefix = Self::default();
        prefix.push(&[frame_type << 4 | codec_id, packet_type, c0, c1, c2]);
        prefix
    }

    /// A packet with a FourCC.
    fn enhanced(track: TrackId, frame_type: u8, packet_type: u8, four_cc: [u8; 4], nanoseconds: u32) -> Self {
        let multitrack = track != FIRST_TRACK;
        let outer_type = if multitrack { MULTITRACK } else { packet_type };
        let first = EX_HEADER | frame_type << 4;
        let mut prefix = Self::default();
        if nanoseconds == 0 {
            prefix.push(&[first | outer_type]);
        } else {
            let [_, n0, n1, n2] = nanoseconds.to_be_bytes();
            prefix.push(&[first | MOD_EX, NANO_SIZE_LESS_ONE, n0, n1, n2, TIMESTAMP_OFFSET_NANO << 4 | outer_type]);
        }
        if multitrack {
            prefix.push(&[ONE_TRACK << 4 | packet_type]);
        }
        prefix.push(&four_cc);
        if multitrack {
            prefix.push(&[track]);
        }
        prefix
    }
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// How a format names itself in a tag.
enum Name {
    CodecId(u8),
    FourCc([u8; 4]),
}

impl VideoFormat {
    fn name(self) -> Name {
        match self {
            Self::Avc => Name::CodecId(AVC_CODEC_ID),
            Self::DomesticHevc => Name::CodecId(DOMESTIC_HEVC_CODEC_ID),
            Self::EnhancedAvc => Name::FourCc(AVC1),
            Self::EnhancedHevc => Name::FourCc(HVC1),
        }
    }

    /// onMetaData's `videocodecid`. A FourCC is a big-endian number there (E-RTMP, "onMetaData").
    pub fn codec_id(self) -> f64 {
        match self.name() {
            Name::CodecId(id) => f64::from(id),
            Name::FourCc(four_cc) => f64::from(u32::from_be_bytes(four_cc)),
        }
    }

    pub fn is_hevc(self) -> bool {
        matches!(self, Self::EnhancedHevc | Self::DomesticHevc)
    }

    /// Body of the tag that announces the decoder configuration `record` (avcC or hvcC).
    pub fn sequence_header(self, track: TrackId, record: &[u8]) -> Vec<u8> {
        let prefix = match self.name() {
            Name::CodecId(id) => Prefix::legacy(KEY_FRAME, id, SEQUENCE_HEADER, 0),
            Name::FourCc(four_cc) => Prefix::enhanced(track, KEY_FRAME, SEQUENCE_START, four_cc, 0),
        };
        [prefix.as_ref(), record].concat()
    }

    /// Body of the tag that ends a track, with the frame type that others give it: FFmpeg, OBS and SRS.
    pub fn end_of_sequence(self, track: TrackId) -> Vec<u8> {
        let prefix = match self.name() {
            Name::CodecId(id) => Prefix::legacy(KEY_FRAME, id, END_OF_SEQUENCE, 0),
            Name::FourCc(four_cc) => Prefix::enhanced(track, INTER_FRAME, SEQUENCE_END, four_cc, 0),
        };
        prefix.as_ref().to_vec()
    }

    /// Body of the tag that carries `metadata` about the first track's pictures that follow; codec-ids 7 and 12 have none.
    pub fn metadata_packet(self, metadata: &[u8]) -> Option<Vec<u8>> {
        // E-RTMP has readers ignore the frame type here; FFmpeg's insists on this one.
        match self.name() {
            Name::CodecId(_) => None,
            Name::FourCc(four_cc) => {
                let prefix = Prefix::enhanced(FIRST_TRACK, COMMAND_FRAME, METADATA, four_cc, 0);
                Some([prefix.as_ref(), metadata].concat())
            }
        }
    }

    /// What stands in front of an access unit; `composition` is within [`COMPOSITION_RANGE`]. `nanoseconds` below a
    /// millisecond are added to the presentation time; codec-ids 7 and 12 have no place for them.
    pub fn frame_prefix(self, track: TrackId, keyframe: bool, composition: i32, nanoseconds: u32) -> Prefix {
        let frame_type = if keyframe { KEY_FRAME } else { INTER_FRAME };
        match self.name() {
            Name::CodecId(id) => Prefix::legacy(frame_type, id, NAL_UNITS, composition),
            Name::FourCc(four_cc) if composition == 0 => {
                Prefix::enhanced(track, frame_type, CODED_FRAMES_X, four_cc, nanoseconds)
            }
            Name::FourCc(four_cc) => {
                let mut prefix = Prefix::enhanced(track, frame_type, CODED_FRAMES, four_cc, nanoseconds);
                prefix.push(&composition.to_be_bytes()[1..]);
                prefix
            }
        }
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
        let header = |format: VideoFormat| format.sequence_header(FIRST_TRACK, &[1]);
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
        let prefix = |format: VideoFormat, key, cts| format.frame_prefix(FIRST_TRACK, key, cts, 0).as_ref().to_vec();
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

    #[test]
    fn further_tracks_have_their_number_behind_the_four_cc() {
        let hevc = VideoFormat::EnhancedHevc;
        assert_eq!(hevc.sequence_header(1, &[7]), b"\x96\x00hvc1\x01\x07");
        assert_eq!(VideoFormat::EnhancedAvc.sequence_header(2, &[7]), b"\x96\x00avc1\x02\x07");
        // The example of the specification: one track, a keyframe with a composition time.
        assert_eq!(hevc.frame_prefix(1, true, 125, 0).as_ref(), b"\x96\x01hvc1\x01\0\0\x7D");
        assert_eq!(hevc.frame_prefix(1, false, 0, 0).as_ref(), b"\xA6\x03hvc1\x01");
    }

    #[test]
    fn nanoseconds_stand_in_front_of_everything() {
        let hevc = VideoFormat::EnhancedHevc;
        // The example of the specification: 500,000 ns in front of a keyframe.
        assert_eq!(hevc.frame_prefix(0, true, 1, 500_000).as_ref(), b"\x97\x02\x07\xA1\x20\x01hvc1\0\0\x01");
        assert_eq!(hevc.frame_prefix(0, false, 0, 999_999).as_ref(), b"\xA7\x02\x0F\x42\x3F\x03hvc1");
        let longest = hevc.frame_prefix(255, true, -1, 1);
        assert_eq!(longest.as_ref(), b"\x97\x02\0\0\x01\x06\x01hvc1\xFF\xFF\xFF\xFF");
        assert!(longest.as_ref().len() <= MAX_PREFIX_SIZE);
        assert_eq!(VideoFormat::Avc.frame_prefix(0, true, 0, 5).as_ref(), b"\x17\x01\0\0\0");
        assert_eq!(VideoFormat::DomesticHevc.frame_prefix(0, true, 0, 5).as_ref(), b"\x1C\x01\0\0\0");
    }

    #[test]
    fn ends_of_sequences() {
        let end = |format: VideoFormat, track| format.end_of_sequence(track);
        assert_eq!(end(VideoFormat::Avc, 0), b"\x17\x02\0\0\0");
        // SRS's KernelCodecTest.HevcVideoFormat has these two.
        assert_eq!(end(VideoFormat::DomesticHevc, 0), b"\x1C\x02\0\0\0");
        assert_eq!(end(VideoFormat::EnhancedHevc, 0), b"\xA2hvc1");
        assert_eq!(end(VideoFormat::EnhancedHevc, 3), b"\xA6\x02hvc1\x03");
    }
}
