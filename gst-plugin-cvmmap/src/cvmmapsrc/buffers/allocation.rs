//! Where buffers of pictures come from.

use gst::prelude::*;

use super::frame_allocator::FrameAllocator;
use crate::cvmmapsrc::category::CAT;

/// Answers an ALLOCATION query with downstream's pool, or with a video pool of our own, with video metas where
/// downstream knows them.
pub(crate) fn offer_video_pool(query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
    // GstBaseSrc also asks before there are caps.
    let Some(info) = query.get().0.and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()) else {
        return Ok(());
    };
    let offered = query.allocation_pools().next();
    let in_query = offered.is_some();
    let (pool, size, min, max) = offered.unwrap_or((None, 0, 2, 0));
    let size = size.max(u32::try_from(info.size()).unwrap_or(u32::MAX));
    let caps = info.to_caps().map_err(|_| gst::loggable_error!(CAT, "no caps for {info:?}"))?;
    let wanted =
        Wanted { caps, size, min, max, video_meta: query.find_allocation_meta::<gst_video::VideoMeta>().is_some() };
    let taken = pool.and_then(|pool| wanted.configure(&pool).map(|(size, min, max)| (pool, size, min, max)));
    let (pool, size, min, max) = match taken {
        Some(taken) => taken,
        None => {
            let own = gst_video::VideoBufferPool::new().upcast::<gst::BufferPool>();
            let (size, min, max) = wanted
                .configure(&own)
                .ok_or_else(|| gst::loggable_error!(CAT, "no buffer pool for {}", wanted.caps))?;
            offer_allocator(query);
            (own, size, min, max)
        }
    };
    if in_query {
        query.set_nth_allocation_pool(0, Some(&pool), size, min, max);
    } else {
        query.add_allocation_pool(Some(&pool), size, min, max);
    }
    Ok(())
}

/// What a pool is to give.
struct Wanted {
    caps: gst::Caps,
    size: u32,
    min: u32,
    max: u32,
    video_meta: bool,
}

impl Wanted {
    /// Has a pool give this, or what it makes of it if that will do as well; size and numbers of its buffers then.
    fn configure(&self, pool: &gst::BufferPool) -> Option<(u32, u32, u32)> {
        let mut config = pool.config();
        config.set_params(Some(&self.caps), self.size, self.min, self.max);
        if self.video_meta {
            config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        }
        if pool.set_config(config).is_err() {
            // What it cannot do it has changed into what it can, and takes that when it is asked for it.
            let possible = pool.config();
            possible.validate_params(Some(&self.caps), self.size, self.min, self.max).ok()?;
            gst::debug!(CAT, "{} does not take {}; taking {possible:?}", pool.name(), self.caps);
            pool.set_config(possible).ok()?;
        }
        let (_, size, min, max) = pool.config().params()?;
        Some((size, min, max))
    }
}

/// Has the pool of our own take our memory, unless downstream has an allocator for it.
fn offer_allocator(query: &mut gst::query::Allocation) {
    let own = FrameAllocator::default();
    match query.allocation_params().next() {
        Some((Some(_), _)) => {}
        Some((None, params)) => query.set_nth_allocation_param(0, Some(&own), params),
        None => query.add_allocation_param(Some(&own), gst::AllocationParams::default()),
    }
}
