//! The 256 bytes that describe what is in the payload. Source: cv-mmap IPC contract, section 2.

mod v1;
mod v2;

use crate::pixel::{Depth, PixelFormat};

/// Bytes of the metadata region; the payload starts right behind it.
pub const METADATA_SIZE: usize = 256;
/// First bytes of every metadata region.
pub const MAGIC: [u8; 8] = *b"CV-MMAP\0";

/// Where [`HEADER_FIRST`] stands: the last bytes of the region, which no version of the contract uses.
const HEADER_FIRST_AT: usize = METADATA_SIZE - 8;
/// Mark of a producer that changes its metadata before it touches the payload, as [`Publisher`](crate::Publisher) does:
/// its frames are whole when their metadata are the same before and after the copy.
const HEADER_FIRST: [u8; 8] = *b"HDRFIRST";

/// Puts the mark into a metadata region.
pub(crate) fn mark_header_first(bytes: &mut MetadataBytes) {
    bytes[HEADER_FIRST_AT..].copy_from_slice(&HEADER_FIRST);
}

/// Whether a metadata region has the mark.
pub(crate) fn is_header_first(bytes: &MetadataBytes) -> bool {
    bytes[HEADER_FIRST_AT..] == HEADER_FIRST
}

/// Most planes a frame has.
pub const PLANES: usize = 4;

/// The metadata region as it stands in the segment.
pub type MetadataBytes = [u8; METADATA_SIZE];

/// Layout of the metadata region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Abi {
    /// One packed picture.
    V1,
    /// Up to four planes; `minor` 0 is the base, 1 adds sparse planes and encoded access units.
    V2 {
        /// Minor version.
        minor: u8,
    },
}

/// What a plane holds; its slot in the descriptor table is its wire value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PlaneKind {
    /// The (left) picture.
    Left = 0,
    /// Distance of each pixel, in [`DepthUnit`]s.
    Depth = 1,
    /// Confidence of each distance.
    Confidence = 2,
    /// One H.264 or H.265 access unit.
    Encoded = 3,
}

impl PlaneKind {
    /// Every kind, in slot order.
    pub const ALL: [Self; PLANES] = [Self::Left, Self::Depth, Self::Confidence, Self::Encoded];

    /// What it is called in messages and metas: `left`, `depth`, `confidence` or `encoded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Depth => "depth",
            Self::Confidence => "confidence",
            Self::Encoded => "encoded",
        }
    }
}

impl std::fmt::Display for PlaneKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Unit of the depth plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DepthUnit {
    /// Not told.
    #[default]
    Unknown = 0,
    /// Millimetres.
    Millimeter = 1,
    /// Metres.
    Meter = 2,
}

/// Codec of the encoded plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// H.264 / AVC.
    H264 = 1,
    /// H.265 / HEVC.
    H265 = 2,
}

impl Codec {
    /// Its name in flags, files and metas: `h264` or `h265`.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
        })
    }
}

/// What v2.1 tells of the encoded plane: one Annex B access unit, keyframes with their parameter sets in band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Codec of the access unit.
    pub codec: Codec,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// Frames per second as a fraction; 0/x or x/0 is unknown.
    pub frame_rate: (u16, u16),
    /// Presentation time in the encoder's own timeline, nanoseconds.
    pub stream_pts_ns: u64,
}

/// One plane of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Channel order.
    pub pixel_format: PixelFormat,
    /// Sample type.
    pub depth: Depth,
    /// Pixels a row; bytes of the access unit in an encoded plane.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: u32,
    /// Bytes from the start of the payload.
    pub offset: u32,
    /// Bytes of the plane.
    pub size: u32,
}

impl Plane {
    /// Bytes of a row's pixels, without padding. More than fit are as many as fit; a validated plane has at most `stride`.
    pub fn row_bytes(&self) -> u32 {
        let pixel = u32::from(self.pixel_format.channels()) * u32::from(self.depth.size());
        self.width.saturating_mul(pixel)
    }
}

/// What the metadata region says, validated: every plane lies inside the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Layout it was read in, or is to be written in.
    pub abi: Abi,
    /// Frame counter; wraps at 2^32, starts over after a reset.
    pub frame_id: u32,
    /// Capture time in nanoseconds, in the producer's time domain.
    pub timestamp_ns: u64,
    /// Number of publications since the producer started; 0 in v1.
    pub publish_seq: u64,
    /// Bytes of payload in use.
    pub payload_size: u32,
    /// Unit of the depth plane.
    pub depth_unit: DepthUnit,
    /// What is known of the encoded plane, when there is one.
    pub encoded: Option<Encoded>,
    /// The planes by slot.
    pub planes: [Option<Plane>; PLANES],
}

/// Why a metadata region describes no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// No `CV-MMAP` at the start.
    #[error("no CV-MMAP magic at the start of the segment")]
    Magic,
    /// A major version that is not known.
    #[error("metadata version {0}.{1} is not known (0.0, 1.x and 2.x are)")]
    Version(u8, u8),
    /// A field with a value outside its enumeration or fixed value.
    #[error("{field} is {value}")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// A plane with a field outside its rule.
    #[error("plane {slot}: {field} is {value}, {rule}")]
    Plane {
        /// The slot in the descriptor table.
        slot: usize,
        /// The field's name on the wire.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it has to hold.
        rule: &'static str,
    },
    /// The payload does not fit the segment.
    #[error("payload of {payload} bytes in a segment with room for {capacity}")]
    Payload {
        /// Bytes the metadata claim.
        payload: u64,
        /// Bytes the segment has behind the metadata.
        capacity: u64,
    },
}

impl Metadata {
    /// Reads a metadata region. `payload_capacity` is the segment's size less 256 bytes.
    ///
    /// # Errors
    /// When the bytes break a rule of the contract; the error names the field.
    pub fn parse(bytes: &MetadataBytes, payload_capacity: u64) -> Result<Self, MetadataError> {
        if bytes[..8] != MAGIC {
            return Err(MetadataError::Magic);
        }
        match (bytes[8], bytes[9]) {
            (0, 0) | (1, _) => v1::parse(bytes, payload_capacity),
            (2, minor) => v2::parse(bytes, minor, payload_capacity),
            (major, minor) => Err(MetadataError::Version(major, minor)),
        }
    }

    /// The metadata region that says this, in the layout of [`Metadata::abi`]. v1 holds the left plane alone.
    pub fn to_bytes(&self) -> MetadataBytes {
        match self.abi {
            Abi::V1 => v1::build(self),
            Abi::V2 { minor } => v2::build(self, minor),
        }
    }

    /// The plane of a kind, when the frame has it.
    pub fn plane(&self, kind: PlaneKind) -> Option<&Plane> {
        self.planes[kind as usize].as_ref()
    }
}

/// Enumerations of one byte, or the field named in the error.
fn enumerated<T>(field: &'static str, value: u8, from_wire: impl Fn(u8) -> Option<T>) -> Result<T, MetadataError> {
    from_wire(value).ok_or(MetadataError::Field { field, value: value.into() })
}
