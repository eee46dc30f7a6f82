//! Where buffers of pictures come from.

use gst::prelude::*;

use super::{frame_allocator::FrameAllocator, imp::CAT};

/// Answers an ALLOCATION query with downstream's pool, or with a video pool of our own, with video metas where
/// downstream knows them.
pub(super) fn offer_video_pool(
    query: &mut gst::query::Allocation,
    info: &gst_video::VideoInfo,
) -> Result<(), gst::LoggableError> {
    let offered = query.allocation_pools().next();
    let in_query = offered.is_some();
    let (pool, size, min, max) = offered.unwrap_or((None, 0, 2, 0));
    let size = size.max(u32::try_from(info.size()).unwrap_or(u32::MAX));
    let caps = info.to_caps().map_err(|_| gst::loggable_error!(CAT, "no caps for {info:?}"))?;
    let video_meta = query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
    let configured = |pool: &gst::BufferPool| {
        let mut config = pool.config();
        config.set_params(Some(&caps), size, min, max);
        if video_meta {
            config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        }
        pool.set_config(config)
    };
    let pool = match pool {
        Some(pool) if configured(&pool).is_ok() => pool,
        _ => {
            let own = gst_video::VideoBufferPool::new().upcast::<gst::BufferPool>();
            configured(&own).map_err(|_| gst::loggable_error!(CAT, "no buffer pool for {caps}"))?;
            offer_allocator(query);
            own
        }
    };
    if in_query {
        query.set_nth_allocation_pool(0, Some(&pool), size, min, max);
    } else {
        query.add_allocation_pool(Some(&pool), size, min, max);
    }
    Ok(())
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
