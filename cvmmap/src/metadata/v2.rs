//! The v2 layout: a header and four plane descriptors. Source: cv-mmap IPC contract, section 2, "v2 metadata".

use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    Abi, Codec, DepthUnit, Encoded, MAGIC, METADATA_SIZE, Metadata, MetadataBytes, MetadataError, PLANES, Plane,
    PlaneKind, enumerated,
};
use crate::pixel::{Depth, PixelFormat};

const DESCRIPTORS_OFFSET: u16 = 64;
const DESCRIPTOR_SIZE: u16 = 24;
/// `encoded_bitstream_format` of Annex B, the one that is defined.
const ANNEX_B: u8 = 1;
const KEYFRAME: u16 = 1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    magic: [u8; 8],
    version_major: u8,
    version_minor: u8,
    flags: U16,
    frame_id: U32,
    capture_ts_ns: U64,
    publish_seq: U64,
    plane_count: u8,
    plane_presence_mask: u8,
    plane_descriptors_offset: U16,
    plane_descriptor_size: U16,
    plane_descriptor_capacity: U16,
    payload_size_bytes: U32,
    depth_unit: u8,
    encoded_codec: u8,
    encoded_bitstream_format: u8,
    encoded_flags: U16,
    frame_rate_num: U16,
    frame_rate_den: U16,
    stream_pts_ns: U64,
    reserved_61: [u8; 3],
    descriptors: [Descriptor; PLANES],
    reserved_160: [u8; METADATA_SIZE - 160],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Descriptor {
    plane_type: u8,
    pixel_format: u8,
    depth: u8,
    reserved: u8,
    width: U32,
    height: U32,
    stride_bytes: U32,
    offset_bytes: U32,
    size_bytes: U32,
}

pub(super) fn parse(bytes: &MetadataBytes, minor: u8, capacity: u64) -> Result<Metadata, MetadataError> {
    let wire: &Wire = zerocopy::transmute_ref!(bytes);
    expect("plane_descriptors_offset", wire.plane_descriptors_offset, DESCRIPTORS_OFFSET)?;
    expect("plane_descriptor_size", wire.plane_descriptor_size, DESCRIPTOR_SIZE)?;
    expect("plane_descriptor_capacity", wire.plane_descriptor_capacity, PLANES as u16)?;
    let mask = checked_mask(wire, minor)?;
    let payload_size = wire.payload_size_bytes.get();
    if payload_size == 0 {
        return Err(MetadataError::Field { field: "payload_size_bytes", value: 0 });
    }
    if u64::from(payload_size) > capacity {
        return Err(MetadataError::Payload { payload: payload_size.into(), capacity });
    }
    let depth_unit = enumerated("depth_unit", wire.depth_unit, |value| match value {
        0 => Some(DepthUnit::Unknown),
        1 => Some(DepthUnit::Millimeter),
        2 => Some(DepthUnit::Meter),
        _ => None,
    })?;

    let mut planes = [None; PLANES];
    let mut next_offset = 0;
    for kind in PlaneKind::ALL {
        let slot = kind as usize;
        let descriptor = &wire.descriptors[slot];
        if mask & (1 << slot) == 0 {
            check_inactive(slot, descriptor)?;
            continue;
        }
        let plane = parse_plane(kind, descriptor, next_offset, payload_size)?;
        next_offset = plane.offset + plane.size;
        planes[slot] = Some(plane);
    }
    let encoded = match planes[PlaneKind::Encoded as usize] {
        Some(_) => Some(parse_encoded(wire)?),
        None => None,
    };
    Ok(Metadata {
        abi: Abi::V2 { minor },
        frame_id: wire.frame_id.get(),
        timestamp_ns: wire.capture_ts_ns.get(),
        publish_seq: wire.publish_seq.get(),
        payload_size,
        depth_unit,
        encoded,
        planes,
    })
}

fn expect(field: &'static str, found: U16, expected: u16) -> Result<(), MetadataError> {
    if found.get() == expected {
        return Ok(());
    }
    Err(MetadataError::Field { field, value: found.get().into() })
}

/// Which slots are active: contiguous from slot 0 in minor 0, any set that holds slot 0 after that.
fn checked_mask(wire: &Wire, minor: u8) -> Result<u8, MetadataError> {
    let (count, mask) = (wire.plane_count, wire.plane_presence_mask);
    if !(1..=PLANES as u8).contains(&count) {
        return Err(MetadataError::Field { field: "plane_count", value: count.into() });
    }
    let sound = if minor == 0 {
        mask == (1 << count) - 1
    } else {
        mask >> PLANES == 0 && mask & 1 == 1 && mask.count_ones() == u32::from(count)
    };
    if !sound {
        return Err(MetadataError::Field { field: "plane_presence_mask", value: mask.into() });
    }
    Ok(mask)
}

fn check_inactive(slot: usize, descriptor: &Descriptor) -> Result<(), MetadataError> {
    let fields = [
        ("width", descriptor.width),
        ("height", descriptor.height),
        ("stride_bytes", descriptor.stride_bytes),
        ("offset_bytes", descriptor.offset_bytes),
        ("size_bytes", descriptor.size_bytes),
    ];
    for (field, value) in fields {
        if value != 0 {
            return Err(MetadataError::Plane {
                slot,
                field,
                value: value.get().into(),
                rule: "0 expected in an absent plane",
            });
        }
    }
    Ok(())
}

fn parse_plane(
    kind: PlaneKind,
    descriptor: &Descriptor,
    expected_offset: u32,
    payload_size: u32,
) -> Result<Plane, MetadataError> {
    let slot = kind as usize;
    let check = |sound: bool, field, value: u32, rule| {
        let value = value.into();
        let error = MetadataError::Plane { slot, field, value, rule };
        if sound { Ok(()) } else { Err(error) }
    };
    check(
        descriptor.plane_type == kind as u8,
        "plane_type",
        descriptor.plane_type.into(),
        "the slot's own type expected",
    )?;
    let pixel_format = enumerated("pixel_format", descriptor.pixel_format, PixelFormat::from_wire)?;
    let depth = enumerated("depth", descriptor.depth, Depth::from_wire)?;
    let plane = Plane {
        pixel_format,
        depth,
        width: descriptor.width.get(),
        height: descriptor.height.get(),
        stride: descriptor.stride_bytes.get(),
        offset: descriptor.offset_bytes.get(),
        size: descriptor.size_bytes.get(),
    };
    check(plane.width > 0, "width", plane.width, "more than 0 expected")?;
    check(plane.height > 0, "height", plane.height, "more than 0 expected")?;
    match kind {
        PlaneKind::Left => {}
        PlaneKind::Depth => check(
            (pixel_format, depth) == (PixelFormat::Gray, Depth::F32),
            "depth",
            descriptor.depth.into(),
            "GRAY of f32 expected",
        )?,
        // The contract's text says f32; its fixture holds u8.
        PlaneKind::Confidence => check(
            pixel_format == PixelFormat::Gray && matches!(depth, Depth::F32 | Depth::U8),
            "depth",
            descriptor.depth.into(),
            "GRAY of f32 or u8 expected",
        )?,
        PlaneKind::Encoded => {
            check(
                (pixel_format, depth) == (PixelFormat::Gray, Depth::U8),
                "depth",
                descriptor.depth.into(),
                "GRAY of u8 expected",
            )?;
            check(plane.height == 1, "height", plane.height, "1 expected")?;
            check(
                plane.width == plane.size && plane.stride == plane.size,
                "size_bytes",
                plane.size,
                "width and stride_bytes expected to be the same",
            )?;
        }
    }
    if kind != PlaneKind::Encoded {
        let limit = u32::from(u16::MAX);
        check(plane.width <= limit, "width", plane.width, "at most 65535 expected")?;
        check(plane.height <= limit, "height", plane.height, "at most 65535 expected")?;
    }
    let row = u64::from(plane.width) * u64::from(pixel_format.channels()) * u64::from(depth.size());
    check(u64::from(plane.stride) >= row, "stride_bytes", plane.stride, "at least width * channels * depth expected")?;
    check(
        u64::from(plane.size) >= u64::from(plane.stride) * u64::from(plane.height),
        "size_bytes",
        plane.size,
        "at least stride_bytes * height expected",
    )?;
    check(plane.offset == expected_offset, "offset_bytes", plane.offset, "the end of the plane before expected")?;
    check(
        plane.offset.checked_add(plane.size).is_some_and(|end| end <= payload_size),
        "size_bytes",
        plane.size,
        "at most the rest of the payload expected",
    )?;
    Ok(plane)
}

fn parse_encoded(wire: &Wire) -> Result<Encoded, MetadataError> {
    let codec = enumerated("encoded_codec", wire.encoded_codec, |value| match value {
        1 => Some(Codec::H264),
        2 => Some(Codec::H265),
        _ => None,
    })?;
    if wire.version_minor == 0 || wire.encoded_bitstream_format != ANNEX_B {
        return Err(MetadataError::Field {
            field: "encoded_bitstream_format",
            value: wire.encoded_bitstream_format.into(),
        });
    }
    Ok(Encoded {
        codec,
        keyframe: wire.encoded_flags.get() & KEYFRAME != 0,
        frame_rate: (wire.frame_rate_num.get(), wire.frame_rate_den.get()),
        stream_pts_ns: wire.stream_pts_ns.get(),
    })
}

pub(super) fn build(metadata: &Metadata, minor: u8) -> MetadataBytes {
    let mut mask = 0u8;
    let mut descriptors = [Descriptor::new_zeroed(); PLANES];
    for kind in PlaneKind::ALL {
        let slot = kind as usize;
        let Some(plane) = metadata.planes[slot] else {
            continue;
        };
        mask |= 1 << slot;
        descriptors[slot] = Descriptor {
            plane_type: kind as u8,
            pixel_format: plane.pixel_format as u8,
            depth: plane.depth as u8,
            reserved: 0,
            width: plane.width.into(),
            height: plane.height.into(),
            stride_bytes: plane.stride.into(),
            offset_bytes: plane.offset.into(),
            size_bytes: plane.size.into(),
        };
    }
    let mut wire = Wire {
        magic: MAGIC,
        version_major: 2,
        version_minor: minor,
        flags: 0.into(),
        frame_id: metadata.frame_id.into(),
        capture_ts_ns: metadata.timestamp_ns.into(),
        publish_seq: metadata.publish_seq.into(),
        plane_count: mask.count_ones() as u8,
        plane_presence_mask: mask,
        plane_descriptors_offset: DESCRIPTORS_OFFSET.into(),
        plane_descriptor_size: DESCRIPTOR_SIZE.into(),
        plane_descriptor_capacity: (PLANES as u16).into(),
        payload_size_bytes: metadata.payload_size.into(),
        depth_unit: metadata.depth_unit as u8,
        encoded_codec: 0,
        encoded_bitstream_format: 0,
        encoded_flags: 0.into(),
        frame_rate_num: 0.into(),
        frame_rate_den: 0.into(),
        stream_pts_ns: 0.into(),
        reserved_61: [0; 3],
        descriptors,
        reserved_160: [0; METADATA_SIZE - 160],
    };
    if let Some(encoded) = metadata.encoded {
        wire.encoded_codec = encoded.codec as u8;
        wire.encoded_bitstream_format = ANNEX_B;
        wire.encoded_flags = if encoded.keyframe { KEYFRAME } else { 0 }.into();
        wire.frame_rate_num = encoded.frame_rate.0.into();
        wire.frame_rate_den = encoded.frame_rate.1.into();
        wire.stream_pts_ns = encoded.stream_pts_ns.into();
    }
    zerocopy::transmute!(wire)
}
