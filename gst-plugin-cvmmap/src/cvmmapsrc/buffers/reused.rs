//! Buffers of one size that go round, for what no pool of downstream's is made for.

use cvmmap::SnapshotError;
use gst::prelude::*;

use super::{filled::unusable, frame_allocator::FrameAllocator};

/// A pool that is made anew when the size changes.
#[derive(Default)]
pub(crate) struct Reused(Option<(u32, gst::BufferPool)>);

impl Reused {
    /// A buffer of this size, whose bytes are anything.
    pub(crate) fn buffer(&mut self, size: usize) -> Result<gst::Buffer, SnapshotError> {
        let size = u32::try_from(size).map_err(|_| unusable("a plane of more than 4 GiB"))?;
        if self.0.as_ref().is_none_or(|(made_for, _)| *made_for != size) {
            self.retire();
            self.0 = Some((size, pool_of(size).map_err(|_| unusable("no pool for a plane"))?));
        }
        let pool = self.0.as_ref().map(|(_, pool)| pool).ok_or_else(|| unusable("no pool for a plane"))?;
        pool.acquire_buffer(None).map_err(|_| unusable("no memory for a plane"))
    }

    /// A buffer for what has another size each time.
    pub(crate) fn buffer_of_its_own(size: usize) -> Result<gst::Buffer, SnapshotError> {
        gst::Buffer::with_size(size).map_err(|_| unusable("no memory for a plane"))
    }

    fn retire(&mut self) {
        if let Some((_, pool)) = self.0.take() {
            // Buffers that are out are freed when they come back.
            let _ = pool.set_active(false);
        }
    }
}

impl Drop for Reused {
    fn drop(&mut self) {
        self.retire();
    }
}

fn pool_of(size: u32) -> Result<gst::BufferPool, gst::glib::BoolError> {
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(None, size, 0, 0);
    config.set_allocator(Some(&FrameAllocator::default()), Some(&gst::AllocationParams::default()));
    pool.set_config(config)?;
    pool.set_active(true)?;
    Ok(pool)
}
