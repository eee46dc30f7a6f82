//! The other planes of a frame, riding along on its buffer.

use cvmmap::{Metadata, PLANES, PlaneKind, Snapshot, SnapshotError};

use super::media::unit_name;
use crate::{
    cvmmapsrc::buffers::{filled::filled, reused::Reused},
    planes_meta::PLANES_META,
};

/// Where the planes are copied to.
#[derive(Default)]
pub(crate) struct Attachments([Reused; PLANES]);

/// Planes that were copied, to be attached once the frame is known to be whole.
pub(crate) struct Attached {
    structure: gst::Structure,
    /// Bytes of their buffers.
    pub(crate) bytes: usize,
}

impl Attachments {
    /// Copies every plane of a frame but one.
    pub(crate) fn copy(&mut self, snapshot: &mut Snapshot<'_>, except: PlaneKind) -> Result<Attached, SnapshotError> {
        let metadata = *snapshot.metadata();
        let mut structure = gst::Structure::builder(PLANES_META)
            .field("frame-id", metadata.frame_id)
            .field("timestamp", metadata.timestamp_ns)
            .build();
        let mut bytes = 0;
        for kind in PlaneKind::ALL.into_iter().filter(|kind| *kind != except) {
            let Some(plane) = metadata.plane(kind) else {
                continue;
            };
            let row_bytes = plane.row_bytes() as usize;
            let size = row_bytes * plane.height as usize;
            let buffer = match kind {
                PlaneKind::Encoded => Reused::buffer_of_its_own(size),
                _ => self.0[kind as usize].buffer(size),
            }?;
            let buffer = filled(buffer, |data| snapshot.read(kind, data, row_bytes))?;
            bytes += size;
            structure.set(kind.name(), describe(&metadata, kind, plane, buffer));
        }
        Ok(Attached { structure, bytes })
    }
}

impl Attached {
    pub(crate) fn attach_to(self, buffer: &mut gst::BufferRef) -> Result<(), gst::glib::BoolError> {
        let mut meta = gst::meta::CustomMeta::add(buffer, PLANES_META)?;
        for (field, value) in self.structure.iter() {
            meta.mut_structure().set_value(field, value.clone());
        }
        Ok(())
    }
}

fn describe(metadata: &Metadata, kind: PlaneKind, plane: &cvmmap::Plane, buffer: gst::Buffer) -> gst::Structure {
    let described = gst::Structure::builder("plane").field("buffer", buffer);
    if let (PlaneKind::Encoded, Some(encoded)) = (kind, metadata.encoded) {
        return described.field("codec", encoded.codec.name()).field("keyframe", encoded.keyframe).build();
    }
    let described = described
        .field("pixel-format", plane.pixel_format.to_string())
        .field("sample", plane.depth.to_string())
        .field("width", plane.width)
        .field("height", plane.height)
        .field("stride", plane.row_bytes());
    match kind {
        PlaneKind::Depth => described.field("unit", unit_name(metadata.depth_unit)).build(),
        _ => described.build(),
    }
}
