//! Where a picture is put: a buffer of its size, mapped.

use std::sync::Mutex;

use cvmmap::SnapshotError;
use gst::{buffer::Writable, prelude::*};

use super::filled::unusable;
use crate::{lock::lock, picture::Picture};

/// A buffer that is mapped to take a picture. Every picture has one plane, so that a plain mapping will do, which costs less
/// than a video frame's.
pub(crate) struct Canvas {
    map: gst::MappedBuffer<Writable>,
    offset: usize,
    stride: usize,
}

impl Canvas {
    fn of(mut buffer: gst::Buffer, info: &gst_video::VideoInfo) -> Result<Self, SnapshotError> {
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

/// Gives canvases: of downstream's pool, once it has agreed to a picture.
#[derive(Default)]
pub(crate) struct Canvases(Mutex<Option<Agreed>>);

struct Agreed {
    picture: Picture,
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
}

impl Canvases {
    /// From now on canvases for a picture are of this pool.
    pub(crate) fn agree_on(&self, picture: Picture, pool: Option<gst::BufferPool>) {
        let agreed = pool.zip(picture.video_info().ok()).map(|(pool, info)| Agreed { picture, info, pool });
        *lock(&self.0) = agreed;
    }

    /// A canvas for a picture. The inner error is one that cannot be shown at all.
    pub(crate) fn take(&self, picture: &Picture) -> Result<Result<Canvas, String>, SnapshotError> {
        let of_pool = lock(&self.0).as_ref().filter(|agreed| agreed.picture == *picture).and_then(Agreed::canvas);
        if let Some(canvas) = of_pool {
            return Ok(Ok(canvas));
        }
        // The first frame of a picture, or a pool that is being replaced or that downstream holds all buffers of.
        let info = match picture.video_info() {
            Ok(info) => info,
            Err(refused) => return Ok(Err(refused)),
        };
        let buffer = gst::Buffer::with_size(info.size()).map_err(|_| unusable("no memory for a frame"))?;
        Canvas::of(buffer, &info).map(Ok)
    }
}

impl Agreed {
    /// One of the pool, if it has one to give now that fits.
    fn canvas(&self) -> Option<Canvas> {
        let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
        let buffer = self.pool.acquire_buffer(Some(&params)).ok()?;
        Canvas::of(buffer, &self.info).ok()
    }
}
