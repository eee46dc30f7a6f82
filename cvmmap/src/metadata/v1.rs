//! The v1 layout: one packed picture. Source: cv-mmap IPC contract, section 2, "v1 metadata".

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{
    Abi, DepthUnit, MAGIC, METADATA_SIZE, Metadata, MetadataBytes, MetadataError, PLANES, Plane, PlaneKind, enumerated,
};
use crate::pixel::{Depth, PixelFormat};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    magic: [u8; 8],
    version_major: u8,
    version_minor: u8,
    reserved_10: [u8; 2],
    frame_count: U32,
    timestamp_ns: U64,
    width: U16,
    height: U16,
    channels: u8,
    depth: u8,
    pixel_format: u8,
    reserved_31: u8,
    buffer_size: U32,
    rest: [u8; METADATA_SIZE - 36],
}

pub(super) fn parse(bytes: &MetadataBytes, capacity: u64) -> Result<Metadata, MetadataError> {
    let wire: &Wire = zerocopy::transmute_ref!(bytes);
    let pixel_format = enumerated("pixel_format", wire.pixel_format, PixelFormat::from_wire)?;
    let depth = enumerated("depth", wire.depth, Depth::from_wire)?;
    let (width, height) = (u32::from(wire.width), u32::from(wire.height));
    let buffer_size = wire.buffer_size.get();
    let nonzero =
        [("width", width), ("height", height), ("channels", wire.channels.into()), ("buffer_size", buffer_size)];
    for (field, value) in nonzero {
        if value == 0 {
            return Err(MetadataError::Field { field, value: 0 });
        }
    }
    if wire.channels != pixel_format.channels() {
        return Err(MetadataError::Field { field: "channels", value: wire.channels.into() });
    }
    // At most 65535 * 4 * 8: fits.
    let stride = width * u32::from(wire.channels) * u32::from(depth.size());
    let size = u64::from(stride) * u64::from(height);
    if size > u64::from(buffer_size) {
        return Err(MetadataError::Plane {
            slot: 0,
            field: "buffer_size",
            value: buffer_size.into(),
            rule: "at least width * height * channels * depth expected",
        });
    }
    if u64::from(buffer_size) > capacity {
        return Err(MetadataError::Payload { payload: buffer_size.into(), capacity });
    }
    let mut planes = [None; PLANES];
    planes[PlaneKind::Left as usize] =
        Some(Plane { pixel_format, depth, width, height, stride, offset: 0, size: size as u32 });
    Ok(Metadata {
        abi: Abi::V1,
        frame_id: wire.frame_count.get(),
        timestamp_ns: wire.timestamp_ns.get(),
        publish_seq: 0,
        payload_size: buffer_size,
        depth_unit: DepthUnit::Unknown,
        encoded: None,
        planes,
    })
}

pub(super) fn build(metadata: &Metadata) -> MetadataBytes {
    let mut wire = Wire {
        magic: MAGIC,
        version_major: 1,
        version_minor: 0,
        reserved_10: [0; 2],
        frame_count: metadata.frame_id.into(),
        timestamp_ns: metadata.timestamp_ns.into(),
        width: 0.into(),
        height: 0.into(),
        channels: 0,
        depth: 0,
        pixel_format: 0,
        reserved_31: 0,
        buffer_size: metadata.payload_size.into(),
        rest: [0; METADATA_SIZE - 36],
    };
    if let Some(plane) = metadata.plane(PlaneKind::Left) {
        wire.width = (plane.width as u16).into();
        wire.height = (plane.height as u16).into();
        wire.channels = plane.pixel_format.channels();
        wire.depth = plane.depth as u8;
        wire.pixel_format = plane.pixel_format as u8;
    }
    zerocopy::transmute!(wire)
}
