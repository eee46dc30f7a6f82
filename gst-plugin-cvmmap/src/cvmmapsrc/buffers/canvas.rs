//! Where a picture is put: a buffer of its size, mapped.

use std::sync::{Arc, Mutex};

use cvmmap::SnapshotError;
use gst::{buffer::Writable, prelude::*};
use gst_video::{VideoFrame, VideoInfo, prelude::*};

use super::filled::unusable;
use crate::{
    cvmmapsrc::planes::planar::{Conversion, Planes},
    lock::lock,
    picture::Picture,
};

/// A buffer that is mapped to take a packed picture. Such a picture has one plane, so that a plain mapping will do, which costs
/// less than a video frame's.
pub(crate) struct Canvas {
    map: gst::MappedBuffer<Writable>,
    offset: usize,
    stride: usize,
}

impl Canvas {
    fn of(mut buffer: gst::Buffer, info: &VideoInfo) -> Result<Self, SnapshotError> {
        let layout = buffer.get_mut().ok_or_else(|| unusable("buffer is shared"))?;
        let (offset, stride) = match layout.meta::<gst_video::VideoMeta>() {
            Some(meta) => (meta.offset()[0], meta.stride()[0]),
            None => (info.offset()[0], info.stride()[0]),
        };
        let stride = usize::try_from(stride).map_err(|_| unusable("negative stride"))?;
        let map = buffer.into_mapped_buffer_writable().map_err(|_| unusable("buffer cannot be written"))?;
        let row_bytes = info.width() as usize * info.comp_pstride(0) as usize;
        if map.size() < offset + stride * (info.height() as usize - 1) + row_bytes {
            return Err(unusable("buffer too small for the picture"));
        }
        Ok(Self { map, offset, stride })
    }

    /// The buffer, after its rows were written at the stride that they have there.
    pub(crate) fn paint(
        mut self,
        paint: impl FnOnce(&mut [u8], usize) -> Result<(), SnapshotError>,
    ) -> Result<gst::Buffer, SnapshotError> {
        paint(&mut self.map[self.offset..], self.stride)?;
        Ok(self.map.into_buffer())
    }
}

/// A buffer that is mapped to take a planar picture.
pub(crate) struct PlanarCanvas(VideoFrame<gst_video::video_frame::Writable>);

impl PlanarCanvas {
    fn of(buffer: gst::Buffer, info: &VideoInfo) -> Result<Self, SnapshotError> {
        let frame =
            VideoFrame::from_buffer_writable(buffer, info).map_err(|_| unusable("buffer cannot take the picture"))?;
        if frame.plane_stride().iter().any(|stride| *stride < 0) {
            return Err(unusable("negative stride"));
        }
        Ok(Self(frame))
    }

    /// The planes to write to.
    pub(crate) fn planes(&mut self) -> Planes<'_> {
        let strides = [0, 1, 2].map(|plane| self.0.plane_stride().get(plane).map_or(0, |stride| *stride as usize));
        let [y, u, v, _] = self.0.planes_data_mut();
        Planes { data: [y, u, v], strides }
    }

    /// The buffer, after its planes were written.
    pub(crate) fn into_buffer(self) -> gst::Buffer {
        self.0.into_buffer()
    }
}

/// Gives canvases: of downstream's pool, once it has agreed to a picture.
#[derive(Default)]
pub(crate) struct Canvases(Mutex<Option<Arc<Agreement>>>);

/// What downstream has agreed to.
pub(crate) struct Agreement {
    picture: Picture,
    info: VideoInfo,
    /// For pictures that are to be given in another form than their own.
    conversion: Option<Conversion>,
    pool: Option<gst::BufferPool>,
}

impl Canvases {
    /// From now on pictures are given as this says, in buffers of the pool.
    pub(crate) fn agree_on(&self, picture: Picture, info: VideoInfo, pool: Option<gst::BufferPool>) {
        let conversion = Conversion::new(picture, &info);
        *lock(&self.0) = Some(Arc::new(Agreement { picture, info, conversion, pool }));
    }

    /// What is agreed on for a picture.
    pub(crate) fn agreement(&self, picture: &Picture) -> Option<Arc<Agreement>> {
        lock(&self.0).as_ref().filter(|agreed| agreed.picture == *picture).map(Arc::clone)
    }

    /// A canvas for a picture in its own form. The inner error is one that cannot be shown at all.
    pub(crate) fn take(&self, picture: &Picture) -> Result<Result<Canvas, String>, SnapshotError> {
        let agreed = self.agreement(picture).filter(|agreed| agreed.conversion.is_none());
        if let Some(canvas) = agreed.and_then(|agreed| Canvas::of(agreed.pooled()?, &agreed.info).ok()) {
            return Ok(Ok(canvas));
        }
        // The first frame of a picture, or a pool that is being replaced or that downstream holds all buffers of.
        let info = match picture.video_info() {
            Ok(info) => info,
            Err(refused) => return Ok(Err(refused)),
        };
        Canvas::of(fresh(&info)?, &info).map(Ok)
    }
}

impl Agreement {
    /// How pictures are converted, if they are.
    pub(crate) fn conversion(&self) -> Option<&Conversion> {
        self.conversion.as_ref()
    }

    /// A canvas for a converted picture.
    pub(crate) fn planar_canvas(&self) -> Result<PlanarCanvas, SnapshotError> {
        match self.pooled().and_then(|buffer| PlanarCanvas::of(buffer, &self.info).ok()) {
            Some(canvas) => Ok(canvas),
            None => PlanarCanvas::of(fresh(&self.info)?, &self.info),
        }
    }

    /// A buffer of the pool, if it has one to give now.
    fn pooled(&self) -> Option<gst::Buffer> {
        let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
        self.pool.as_ref()?.acquire_buffer(Some(&params)).ok()
    }
}

fn fresh(info: &VideoInfo) -> Result<gst::Buffer, SnapshotError> {
    gst::Buffer::with_size(info.size()).map_err(|_| unusable("no memory for a frame"))
}
