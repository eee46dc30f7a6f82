//! The body-tracking packet that a producer publishes on `cvmmap.<key>.body`. Source: cv-mmap IPC contract, section 4,
//! "Body-tracking packet".
//!
//! A packet is a header and one record for each body. The contract names no unit of length: positions, velocities and
//! dimensions are in the unit of the producer's body tracker, and everything "2d" is in pixels of the picture.
//!
//! The records of the wire, their rules and what is read from them stand in one file, to be compared with the contract line by line.
//!
//! ```
//! use cvmmap::body::Packet;
//!
//! fn report(message: &[u8]) -> Result<(), cvmmap::body::BodyError> {
//!     let packet = Packet::parse(message)?;
//!     for body in &packet.bodies {
//!         println!("frame {}: body {} at {:?}", packet.frame_id, body.id, body.position);
//!     }
//!     Ok(())
//! }
//! ```

use zerocopy::{
    F32, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I32, U16, U32, U64},
};

use crate::sync::LABEL_SIZE;

/// Bytes of a packet's header.
pub const HEADER_SIZE: usize = 64;
/// Bytes of one body's record.
pub const RECORD_SIZE: usize = 3248;
/// Keypoints a record has room for.
pub const KEYPOINTS_MAX: usize = 38;

const MAGIC: u8 = 0x62;
const VERSION_MAJOR: u8 = 1;

const IS_NEW: u16 = 1;
const IS_TRACKED: u16 = 2;
const FITTING: u16 = 4;
const REDUCED_PRECISION: u16 = 8;
const FLOOR_AS_ORIGIN: u16 = 16;

type Float = F32<zerocopy::LittleEndian>;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireHeader {
    magic: u8,
    coordinate_system: u8,
    version_major: u8,
    version_minor: u8,
    frame_count: U32,
    timestamp_ns: U64,
    sdk_timestamp_ns: U64,
    body_count: U16,
    body_record_size: U16,
    body_format: u8,
    selection: u8,
    detection_model: u8,
    inference_precision: u8,
    flags: U16,
    reference_frame: u8,
    reserved_35: u8,
    payload_size_bytes: U32,
    label: [u8; LABEL_SIZE],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WireRecord {
    id: I32,
    tracking_state: u8,
    action_state: u8,
    reserved_6: [u8; 2],
    confidence: Float,
    position: [Float; 3],
    velocity: [Float; 3],
    position_covariance: [Float; 6],
    bounding_box_2d: [[Float; 2]; 4],
    bounding_box_3d: [[Float; 3]; 8],
    dimensions: [Float; 3],
    keypoint_2d: [[Float; 2]; KEYPOINTS_MAX],
    keypoint_3d: [[Float; 3]; KEYPOINTS_MAX],
    keypoint_confidence: [Float; KEYPOINTS_MAX],
    keypoint_covariance: [[Float; 6]; KEYPOINTS_MAX],
    head_bounding_box_2d: [[Float; 2]; 4],
    head_bounding_box_3d: [[Float; 3]; 8],
    head_position: [Float; 3],
    local_position_per_joint: [[Float; 3]; KEYPOINTS_MAX],
    local_orientation_per_joint: [[Float; 4]; KEYPOINTS_MAX],
    global_root_orientation: [Float; 4],
    keypoint_count: U16,
    flags: U16,
}

/// The bodies that were found in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Frame the bodies were found in: the frame id of its metadata and its announcement.
    pub frame_id: u32,
    /// That frame's capture time in nanoseconds, in the producer's time domain.
    pub timestamp_ns: u64,
    /// The body tracker's own time of the result, nanoseconds.
    pub sdk_timestamp_ns: u64,
    /// Axes of everything 3d.
    pub coordinate_system: CoordinateSystem,
    /// What positions are relative to.
    pub reference_frame: ReferenceFrame,
    /// Skeleton of every body.
    pub format: Format,
    /// Part of the skeleton that is tracked.
    pub selection: Selection,
    /// Detection model, 0 to 2; the contract names none of them.
    pub detection_model: u8,
    /// Inference precision, 0 to 2; the contract names none of them.
    pub inference_precision: u8,
    /// How the result was made.
    pub flags: Flags,
    /// The bodies, at most 65535.
    pub bodies: Vec<Body>,
    label: [u8; LABEL_SIZE],
}

/// Axes of 3d positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CoordinateSystem {
    /// Not told.
    #[default]
    Unknown = 0,
    /// The picture's.
    Image = 1,
    /// Right-handed, y up.
    RightHandedYUp = 2,
}

/// What 3d positions are relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ReferenceFrame {
    /// Not told.
    #[default]
    Unknown = 0,
    /// The camera, wherever it moves.
    Camera = 1,
    /// The world.
    World = 2,
}

/// Skeleton, by its number of keypoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// 18 keypoints.
    #[default]
    Body18 = 0,
    /// 34 keypoints.
    Body34 = 1,
    /// 38 keypoints.
    Body38 = 2,
}

impl Format {
    /// Keypoints of the skeleton.
    pub fn keypoints(self) -> usize {
        match self {
            Self::Body18 => 18,
            Self::Body34 => 34,
            Self::Body38 => 38,
        }
    }
}

/// Part of the skeleton that is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Selection {
    /// All of it.
    #[default]
    Full = 0,
    /// The upper body.
    UpperBody = 1,
}

/// How a result was made; bits that are not known are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The result is of this frame and not an older one again.
    pub is_new: bool,
    /// Bodies keep their id from frame to frame.
    pub is_tracked: bool,
    /// A skeleton model was fitted.
    pub fitting: bool,
    /// Computed with reduced precision.
    pub reduced_precision: bool,
    /// The floor is the origin.
    pub floor_as_origin: bool,
}

/// Whether a body is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum TrackingState {
    /// It is not.
    #[default]
    Off = 0,
    /// It is.
    Ok = 1,
    /// It was lost a moment ago; its position is predicted.
    Searching = 2,
    /// This is its last appearance.
    Terminate = 3,
}

/// What a body does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ActionState {
    /// It stands still.
    #[default]
    Idle = 0,
    /// It moves.
    Moving = 1,
}

/// One body. Floats are as the producer wrote them, NaN for what it does not know included.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Identity while the body is tracked.
    pub id: i32,
    /// Whether it is followed.
    pub tracking_state: TrackingState,
    /// What it does.
    pub action_state: ActionState,
    /// Confidence of the detection.
    pub confidence: f32,
    /// Position.
    pub position: [f32; 3],
    /// Velocity.
    pub velocity: [f32; 3],
    /// Covariance of the position, the six values of a symmetric matrix.
    pub position_covariance: [f32; 6],
    /// Corners in the picture.
    pub bounding_box_2d: [[f32; 2]; 4],
    /// Corners in space.
    pub bounding_box_3d: [[f32; 3]; 8],
    /// Dimensions of the body.
    pub dimensions: [f32; 3],
    /// Keypoints in the picture.
    pub keypoint_2d: [[f32; 2]; KEYPOINTS_MAX],
    /// Keypoints in space.
    pub keypoint_3d: [[f32; 3]; KEYPOINTS_MAX],
    /// Confidence of each keypoint.
    pub keypoint_confidence: [f32; KEYPOINTS_MAX],
    /// Covariance of each keypoint, the six values of a symmetric matrix.
    pub keypoint_covariance: [[f32; 6]; KEYPOINTS_MAX],
    /// The head's corners in the picture.
    pub head_bounding_box_2d: [[f32; 2]; 4],
    /// The head's corners in space.
    pub head_bounding_box_3d: [[f32; 3]; 8],
    /// The head's position.
    pub head_position: [f32; 3],
    /// Position of each joint relative to its parent.
    pub local_position_per_joint: [[f32; 3]; KEYPOINTS_MAX],
    /// Orientation of each joint relative to its parent, a quaternion.
    pub local_orientation_per_joint: [[f32; 4]; KEYPOINTS_MAX],
    /// Orientation of the skeleton's root, a quaternion.
    pub global_root_orientation: [f32; 4],
    /// Keypoints in use, at most 38.
    pub keypoint_count: u16,
    /// As on the wire; the contract defines no bit.
    pub flags: u16,
}

/// A body of which nothing is known.
impl Default for Body {
    fn default() -> Self {
        read_record(&WireRecord::read_from_bytes(&[0; RECORD_SIZE]).expect("a record has that size"))
    }
}

/// Why a message is no body-tracking packet, or a packet cannot be written as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Shorter than its header.
    #[error("body packet of {0} bytes, at least 64 expected")]
    Short(usize),
    /// Another first byte than 0x62.
    #[error("body packet starts with {0:#04x}, 0x62 expected")]
    Magic(u8),
    /// Another major version than 1.
    #[error("body packet version {0}, 1 expected")]
    Version(u8),
    /// A header field outside its rule.
    #[error("{field} is {value}, {rule}")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it has to hold.
        rule: &'static str,
    },
    /// The message has another length than its header says.
    #[error("body packet of {found} bytes, {expected} expected for {bodies} bodies")]
    Length {
        /// Bytes of the message.
        found: usize,
        /// Bytes that the header promises.
        expected: usize,
        /// Bodies that the header promises.
        bodies: u16,
    },
    /// A field of a record outside its rule.
    #[error("body {index}: {field} is {value}, {rule}")]
    Body {
        /// Which record.
        index: usize,
        /// The field's name on the wire.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it has to hold.
        rule: &'static str,
    },
}

impl Packet {
    /// A packet without bodies, of a producer's label; one longer than 24 bytes is cut.
    pub fn new(frame_id: u32, timestamp_ns: u64, label: &str) -> Self {
        let mut padded = [0; LABEL_SIZE];
        let length = label.len().min(LABEL_SIZE);
        padded[..length].copy_from_slice(&label.as_bytes()[..length]);
        Self {
            frame_id,
            timestamp_ns,
            sdk_timestamp_ns: 0,
            coordinate_system: CoordinateSystem::default(),
            reference_frame: ReferenceFrame::default(),
            format: Format::default(),
            selection: Selection::default(),
            detection_model: 0,
            inference_precision: 0,
            flags: Flags::default(),
            bodies: Vec::new(),
            label: padded,
        }
    }

    /// Reads a message as it came from the subject.
    ///
    /// # Errors
    /// When the bytes break a rule of the contract; the error names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
        let (header, records) = WireHeader::ref_from_prefix(bytes).map_err(|_| BodyError::Short(bytes.len()))?;
        if header.magic != MAGIC {
            return Err(BodyError::Magic(header.magic));
        }
        if header.version_major != VERSION_MAJOR {
            return Err(BodyError::Version(header.version_major));
        }
        let records = checked_records(header, records)?;
        let field = |field, value: u8, rule| BodyError::Field { field, value: value.into(), rule };
        let coordinate_system = match header.coordinate_system {
            0 => CoordinateSystem::Unknown,
            1 => CoordinateSystem::Image,
            2 => CoordinateSystem::RightHandedYUp,
            other => return Err(field("coordinate_system", other, "0 to 2 expected")),
        };
        let reference_frame = match header.reference_frame {
            0 => ReferenceFrame::Unknown,
            1 => ReferenceFrame::Camera,
            2 => ReferenceFrame::World,
            other => return Err(field("reference_frame", other, "0 to 2 expected")),
        };
        let format = match header.body_format {
            0 => Format::Body18,
            1 => Format::Body34,
            2 => Format::Body38,
            other => return Err(field("body_format", other, "0 to 2 expected")),
        };
        let selection = match header.selection {
            0 => Selection::Full,
            1 => Selection::UpperBody,
            other => return Err(field("selection", other, "0 or 1 expected")),
        };
        check_models(header.detection_model, header.inference_precision)?;
        let bodies = records.iter().enumerate().map(|(index, record)| parse_record(index, record));
        Ok(Self {
            frame_id: header.frame_count.get(),
            timestamp_ns: header.timestamp_ns.get(),
            sdk_timestamp_ns: header.sdk_timestamp_ns.get(),
            coordinate_system,
            reference_frame,
            format,
            selection,
            detection_model: header.detection_model,
            inference_precision: header.inference_precision,
            flags: read_flags(header.flags.get()),
            bodies: bodies.collect::<Result<_, _>>()?,
            label: header.label,
        })
    }

    /// The packet as it goes to the subject.
    ///
    /// # Errors
    /// When there are more bodies, keypoints or models than the packet can say.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BodyError> {
        let body_count = u16::try_from(self.bodies.len()).map_err(|_| BodyError::Field {
            field: "body_count",
            value: self.bodies.len() as u64,
            rule: "at most 65535 expected",
        })?;
        check_models(self.detection_model, self.inference_precision)?;
        let header = WireHeader {
            magic: MAGIC,
            coordinate_system: self.coordinate_system as u8,
            version_major: VERSION_MAJOR,
            version_minor: 0,
            frame_count: self.frame_id.into(),
            timestamp_ns: self.timestamp_ns.into(),
            sdk_timestamp_ns: self.sdk_timestamp_ns.into(),
            body_count: body_count.into(),
            body_record_size: (RECORD_SIZE as u16).into(),
            body_format: self.format as u8,
            selection: self.selection as u8,
            detection_model: self.detection_model,
            inference_precision: self.inference_precision,
            flags: write_flags(self.flags).into(),
            reference_frame: self.reference_frame as u8,
            reserved_35: 0,
            payload_size_bytes: (u32::from(body_count) * RECORD_SIZE as u32).into(),
            label: self.label,
        };
        let mut bytes = Vec::with_capacity(HEADER_SIZE + self.bodies.len() * RECORD_SIZE);
        bytes.extend_from_slice(header.as_bytes());
        for (index, body) in self.bodies.iter().enumerate() {
            check_keypoint_count(index, body.keypoint_count)?;
            bytes.extend_from_slice(write_record(body).as_bytes());
        }
        Ok(bytes)
    }

    /// Label bytes up to the first NUL: the producer's instance name.
    pub fn label(&self) -> &[u8] {
        let end = self.label.iter().position(|&byte| byte == 0);
        &self.label[..end.unwrap_or(LABEL_SIZE)]
    }
}

/// The records, when sizes and counts agree with each other and with the message.
fn checked_records<'a>(header: &WireHeader, records: &'a [u8]) -> Result<&'a [WireRecord], BodyError> {
    let bodies = header.body_count.get();
    let record_size = header.body_record_size.get();
    if usize::from(record_size) != RECORD_SIZE {
        return Err(BodyError::Field { field: "body_record_size", value: record_size.into(), rule: "3248 expected" });
    }
    let payload = usize::from(bodies) * RECORD_SIZE;
    if header.payload_size_bytes.get() as usize != payload {
        return Err(BodyError::Field {
            field: "payload_size_bytes",
            value: header.payload_size_bytes.get().into(),
            rule: "body_count * 3248 expected",
        });
    }
    let length = BodyError::Length { found: HEADER_SIZE + records.len(), expected: HEADER_SIZE + payload, bodies };
    if records.len() != payload {
        return Err(length);
    }
    <[WireRecord]>::ref_from_bytes(records).map_err(|_| length)
}

fn check_models(detection_model: u8, inference_precision: u8) -> Result<(), BodyError> {
    for (field, value) in [("detection_model", detection_model), ("inference_precision", inference_precision)] {
        if value > 2 {
            return Err(BodyError::Field { field, value: value.into(), rule: "0 to 2 expected" });
        }
    }
    Ok(())
}

fn check_keypoint_count(index: usize, count: u16) -> Result<(), BodyError> {
    if usize::from(count) <= KEYPOINTS_MAX {
        return Ok(());
    }
    Err(BodyError::Body { index, field: "keypoint_count", value: count.into(), rule: "at most 38 expected" })
}

fn parse_record(index: usize, wire: &WireRecord) -> Result<Body, BodyError> {
    let range = |field, value: u8, rule| BodyError::Body { index, field, value: value.into(), rule };
    if wire.tracking_state > TrackingState::Terminate as u8 {
        return Err(range("tracking_state", wire.tracking_state, "0 to 3 expected"));
    }
    if wire.action_state > ActionState::Moving as u8 {
        return Err(range("action_state", wire.action_state, "0 or 1 expected"));
    }
    check_keypoint_count(index, wire.keypoint_count.get())?;
    Ok(read_record(wire))
}

/// The body of a record whose enumerations are in range.
fn read_record(wire: &WireRecord) -> Body {
    Body {
        id: wire.id.get(),
        tracking_state: match wire.tracking_state {
            0 => TrackingState::Off,
            1 => TrackingState::Ok,
            2 => TrackingState::Searching,
            _ => TrackingState::Terminate,
        },
        action_state: match wire.action_state {
            0 => ActionState::Idle,
            _ => ActionState::Moving,
        },
        confidence: wire.confidence.get(),
        position: read(wire.position),
        velocity: read(wire.velocity),
        position_covariance: read(wire.position_covariance),
        bounding_box_2d: wire.bounding_box_2d.map(read),
        bounding_box_3d: wire.bounding_box_3d.map(read),
        dimensions: read(wire.dimensions),
        keypoint_2d: wire.keypoint_2d.map(read),
        keypoint_3d: wire.keypoint_3d.map(read),
        keypoint_confidence: read(wire.keypoint_confidence),
        keypoint_covariance: wire.keypoint_covariance.map(read),
        head_bounding_box_2d: wire.head_bounding_box_2d.map(read),
        head_bounding_box_3d: wire.head_bounding_box_3d.map(read),
        head_position: read(wire.head_position),
        local_position_per_joint: wire.local_position_per_joint.map(read),
        local_orientation_per_joint: wire.local_orientation_per_joint.map(read),
        global_root_orientation: read(wire.global_root_orientation),
        keypoint_count: wire.keypoint_count.get(),
        flags: wire.flags.get(),
    }
}

fn write_record(body: &Body) -> WireRecord {
    WireRecord {
        id: body.id.into(),
        tracking_state: body.tracking_state as u8,
        action_state: body.action_state as u8,
        reserved_6: [0; 2],
        confidence: body.confidence.into(),
        position: write(body.position),
        velocity: write(body.velocity),
        position_covariance: write(body.position_covariance),
        bounding_box_2d: body.bounding_box_2d.map(write),
        bounding_box_3d: body.bounding_box_3d.map(write),
        dimensions: write(body.dimensions),
        keypoint_2d: body.keypoint_2d.map(write),
        keypoint_3d: body.keypoint_3d.map(write),
        keypoint_confidence: write(body.keypoint_confidence),
        keypoint_covariance: body.keypoint_covariance.map(write),
        head_bounding_box_2d: body.head_bounding_box_2d.map(write),
        head_bounding_box_3d: body.head_bounding_box_3d.map(write),
        head_position: write(body.head_position),
        local_position_per_joint: body.local_position_per_joint.map(write),
        local_orientation_per_joint: body.local_orientation_per_joint.map(write),
        global_root_orientation: write(body.global_root_orientation),
        keypoint_count: body.keypoint_count.into(),
        flags: body.flags.into(),
    }
}

fn read<const N: usize>(wire: [Float; N]) -> [f32; N] {
    wire.map(Float::get)
}

fn write<const N: usize>(values: [f32; N]) -> [Float; N] {
    values.map(Float::new)
}

fn read_flags(bits: u16) -> Flags {
    Flags {
        is_new: bits & IS_NEW != 0,
        is_tracked: bits & IS_TRACKED != 0,
        fitting: bits & FITTING != 0,
        reduced_precision: bits & REDUCED_PRECISION != 0,
        floor_as_origin: bits & FLOOR_AS_ORIGIN != 0,
    }
}

fn write_flags(flags: Flags) -> u16 {
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    bit(flags.is_new, IS_NEW)
        | bit(flags.is_tracked, IS_TRACKED)
        | bit(flags.fitting, FITTING)
        | bit(flags.reduced_precision, REDUCED_PRECISION)
        | bit(flags.floor_as_origin, FLOOR_AS_ORIGIN)
}

#[cfg(test)]
mod tests;
