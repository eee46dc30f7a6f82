//! From a frame in shared memory to a buffer: the wanted plane, in the wanted form.

use std::sync::atomic::Ordering;

use cvmmap::{Depth, DepthUnit, Metadata, Plane, PlaneKind, Snapshot, SnapshotError};
use gst_video::VideoFormat;

use super::{
    attached::Attachments,
    depth,
    encoded::{Chain, is_annex_b},
    media::Media,
    planar::{Conversion, Form},
    plane::{DepthFormat, PlaneSettings, Selector},
};
use crate::{
    cvmmapsrc::{
        buffers::{
            canvas::{Agreement, Canvas, Canvases},
            filled::{filled, unusable},
            reused::Reused,
        },
        category::CAT,
    },
    picture::Picture,
};

/// What became of a frame.
pub(crate) enum Outcome {
    Copied(Copied),
    /// It lacks the plane.
    Absent(PlaneKind),
    /// Its access unit needs one that was lost.
    Undecodable,
    /// It holds what cannot be shown at all.
    Refused(String),
}

/// A frame in a buffer.
pub(crate) struct Copied {
    pub(crate) buffer: gst::Buffer,
    pub(crate) media: Media,
    /// What a picture was converted to, if it was.
    pub(crate) form: Option<Form>,
    /// Number of an access unit among its like.
    pub(crate) unit: Option<u32>,
    /// Bytes of the buffer and of what is attached to it.
    pub(crate) bytes: usize,
}

/// What was read before the frame was known to be whole.
enum Read {
    /// All there is to do.
    Done(gst::Buffer, Media),
    /// Likewise, of a picture in another form than its own.
    Converted(gst::Buffer, Picture, Form),
    /// The floats in the scratch buffer, to become a picture.
    Floats(Canvas, Picture, depth::Conversion),
}

/// Copies frames as the settings want them.
pub(crate) struct Copier {
    settings: PlaneSettings,
    selector: Selector,
    chain: Chain,
    /// Rows or floats on their way to a picture.
    scratch: Vec<u8>,
    floats: Reused,
    attachments: Attachments,
    unknown_unit_told: bool,
}

impl Copier {
    pub(crate) fn new(settings: PlaneSettings) -> Self {
        Self {
            selector: Selector::new(settings.plane),
            settings,
            chain: Chain::default(),
            scratch: Vec::new(),
            floats: Reused::default(),
            attachments: Attachments::default(),
            unknown_unit_told: false,
        }
    }

    /// So many frames did not get here: access units need a new keyframe.
    pub(crate) fn lose(&mut self, frames: u32) {
        self.chain.lose(frames);
    }

    /// Copies one frame.
    pub(crate) fn copy(&mut self, mut snapshot: Snapshot<'_>, canvases: &Canvases) -> Result<Outcome, SnapshotError> {
        let metadata = *snapshot.metadata();
        let kind = match self.selector.choose(&metadata) {
            Ok(kind) => kind,
            Err(missing) => {
                snapshot.finish()?;
                return Ok(Outcome::Absent(missing));
            }
        };
        // The selector looked.
        let Some(plane) = metadata.plane(kind) else {
            return Ok(Outcome::Absent(kind));
        };
        let read = match kind {
            PlaneKind::Encoded => match self.chain.stream_of(&metadata) {
                Some(stream) => read_unit(&mut snapshot, plane, &metadata)
                    .map(|buffer| Ok(Read::Done(buffer, Media::Encoded(stream)))),
                None => {
                    snapshot.finish()?;
                    return Ok(Outcome::Undecodable);
                }
            },
            PlaneKind::Depth if self.settings.depth_format == DepthFormat::Float32 => {
                self.read_float32(&mut snapshot, plane, metadata.depth_unit).map(Ok)
            }
            PlaneKind::Depth => {
                self.tell_unknown_unit(metadata.depth_unit);
                let conversion = depth::Conversion::of_depth(metadata.depth_unit);
                self.read_floats(&mut snapshot, (kind, plane), canvases, VideoFormat::Gray16Le, conversion)
            }
            PlaneKind::Confidence if plane.depth == Depth::F32 => {
                self.read_floats(&mut snapshot, (kind, plane), canvases, VideoFormat::Gray8, depth::Conversion::Gray8)
            }
            PlaneKind::Left | PlaneKind::Confidence => self.read_picture(&mut snapshot, (kind, plane), canvases),
        };
        let read = match read? {
            Ok(read) => read,
            Err(refused) => {
                // Refused for what it says, so it had better say it.
                snapshot.finish()?;
                return Ok(Outcome::Refused(refused));
            }
        };
        let attach = self.settings.attach.load(Ordering::Relaxed);
        let attached = if attach { Some(self.attachments.copy(&mut snapshot, kind)?) } else { None };
        snapshot.finish()?;

        let (mut buffer, media, form) = match read {
            Read::Done(buffer, media) => (buffer, media, None),
            Read::Converted(buffer, picture, form) => (buffer, Media::Raw(picture), Some(form)),
            Read::Floats(canvas, picture, conversion) => {
                let buffer = canvas.paint(|data, stride| {
                    conversion.convert(&self.scratch, plane, data, stride);
                    Ok(())
                })?;
                (buffer, Media::Raw(picture), None)
            }
        };
        let mut bytes = buffer.size();
        if let Some(attached) = attached {
            bytes += attached.bytes;
            attached.attach_to(buffer.make_mut()).map_err(|_| unusable("no memory for a meta"))?;
        }
        let unit = match media {
            Media::Encoded(stream) => Some(self.chain.append(stream)),
            _ => None,
        };
        Ok(Outcome::Copied(Copied { buffer, media, form, unit, bytes }))
    }

    fn tell_unknown_unit(&mut self, unit: DepthUnit) {
        if unit == DepthUnit::Unknown && !self.unknown_unit_told {
            self.unknown_unit_told = true;
            gst::warning!(CAT, "the producer does not tell the unit of its depth; taken for millimetres");
        }
    }

    /// The inner error is a picture that cannot be shown at all.
    fn read_floats(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        (kind, plane): (PlaneKind, &Plane),
        canvases: &Canvases,
        format: VideoFormat,
        conversion: depth::Conversion,
    ) -> Result<Result<Read, String>, SnapshotError> {
        let picture = Picture { format, width: plane.width, height: plane.height };
        let canvas = match canvases.take(&picture)? {
            Ok(canvas) => canvas,
            Err(refused) => return Ok(Err(refused)),
        };
        let row_bytes = plane.row_bytes() as usize;
        self.make_room(row_bytes * plane.height as usize)?;
        snapshot.read(kind, &mut self.scratch, row_bytes)?;
        Ok(Ok(Read::Floats(canvas, picture, conversion)))
    }

    fn read_float32(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        plane: &Plane,
        unit: DepthUnit,
    ) -> Result<Read, SnapshotError> {
        let row_bytes = plane.row_bytes() as usize;
        let buffer = self.floats.buffer(row_bytes * plane.height as usize)?;
        let buffer = filled(buffer, |data| snapshot.read(PlaneKind::Depth, data, row_bytes))?;
        Ok(Read::Done(buffer, Media::Float32 { width: plane.width, height: plane.height, unit }))
    }

    /// The inner error is a picture that cannot be shown at all.
    fn read_picture(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        (kind, plane): (PlaneKind, &Plane),
        canvases: &Canvases,
    ) -> Result<Result<Read, String>, SnapshotError> {
        let picture = match Picture::of(plane) {
            Ok(picture) => picture,
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(agreed) = canvases.agreement(&picture)
            && let Some(conversion) = agreed.conversion()
        {
            return self.read_converted(snapshot, (kind, plane), &picture, &agreed, conversion).map(Ok);
        }
        let canvas = match canvases.take(&picture)? {
            Ok(canvas) => canvas,
            Err(refused) => return Ok(Err(refused)),
        };
        let buffer = canvas.paint(|data, stride| {
            snapshot.read(kind, data, stride)?;
            picture.complete(data, stride);
            Ok(())
        })?;
        Ok(Ok(Read::Done(buffer, Media::Raw(picture))))
    }

    /// Converts a picture piece by piece while it is read: each is in the caches when it is converted.
    fn read_converted(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        (kind, plane): (PlaneKind, &Plane),
        picture: &Picture,
        agreed: &Agreement,
        conversion: &Conversion,
    ) -> Result<Read, SnapshotError> {
        let mut canvas = agreed.planar_canvas()?;
        let stride = conversion.piece_stride(plane.row_bytes() as usize);
        let piece_rows = conversion.piece_rows(stride);
        self.make_room(stride * piece_rows)?;
        for first in (0..plane.height as usize).step_by(piece_rows) {
            let rows = piece_rows.min(plane.height as usize - first);
            let piece = &mut self.scratch[..stride * rows];
            snapshot.read_rows(kind, first as u32..(first + rows) as u32, piece, stride)?;
            picture.complete(piece, stride);
            if !conversion.convert(piece, stride, first, canvas.planes()) {
                return Err(unusable("buffer too small for the picture"));
            }
        }
        Ok(Read::Converted(canvas.into_buffer(), *picture, conversion.form()))
    }

    /// Has the scratch buffer hold so many bytes, whatever they are.
    fn make_room(&mut self, size: usize) -> Result<(), SnapshotError> {
        let more = size.saturating_sub(self.scratch.len());
        self.scratch.try_reserve_exact(more).map_err(|_| unusable("no memory for a plane"))?;
        self.scratch.resize(size, 0);
        Ok(())
    }
}

fn read_unit(snapshot: &mut Snapshot<'_>, plane: &Plane, metadata: &Metadata) -> Result<gst::Buffer, SnapshotError> {
    let size = plane.size as usize;
    let mut buffer = filled(Reused::buffer_of_its_own(size)?, |data| {
        snapshot.read(PlaneKind::Encoded, data, size)?;
        if is_annex_b(data) { Ok(()) } else { Err(unusable("the access unit does not begin with a start code")) }
    })?;
    if !metadata.encoded.is_some_and(|encoded| encoded.keyframe) {
        buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    Ok(buffer)
}
