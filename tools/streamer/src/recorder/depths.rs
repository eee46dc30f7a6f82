//! Depth of frames that are being encoded: it waits here for their access units.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tools_mcap::depth::DepthPlane;

/// No encoder holds as many frames; the depth of one that it dropped must not stay for ever.
const WAITING_MAX: usize = 32;

/// Depth planes by the capture time of their frames.
#[derive(Debug, Default)]
pub struct Depths(Mutex<VecDeque<(u64, DepthPlane)>>);

impl Depths {
    /// A frame goes into the encoder.
    pub fn note(&self, timestamp_ns: u64, depth: DepthPlane) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back((timestamp_ns, depth));
    }

    /// Its access unit came out. Of two frames of one time the first is meant.
    pub fn take(&self, timestamp_ns: u64) -> Option<DepthPlane> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = waiting.iter().position(|(time, _)| *time == timestamp_ns)?;
        waiting.remove(index).map(|(_, depth)| depth)
    }

    /// Nobody asks any more.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use tools_mcap::schema::cvmmap_streamer::depth_map::DepthUnit;

    use super::*;

    fn plane(width: u32) -> DepthPlane {
        gst::init().unwrap();
        let buffer = gst::Buffer::with_size(width as usize * 4).unwrap();
        DepthPlane::new(buffer, width, 1, DepthUnit::Meter).unwrap()
    }

    fn taken(depths: &Depths, timestamp_ns: u64) -> Option<usize> {
        depths.take(timestamp_ns).map(|depth| depth.size() / 4)
    }

    #[test]
    fn depth_comes_out_in_any_order_and_once() {
        let depths = Depths::default();
        for (time, width) in [(10, 1), (20, 2), (20, 3), (30, 4)] {
            depths.note(time, plane(width));
        }
        assert_eq!([30, 20, 20, 20, 10].map(|time| taken(&depths, time)), [Some(4), Some(2), Some(3), None, Some(1)]);
    }

    #[test]
    fn depth_of_what_an_encoder_dropped_does_not_stay() {
        let depths = Depths::default();
        (0..100).for_each(|time| depths.note(time, plane(1)));
        assert!(depths.take(100 - WAITING_MAX as u64).is_some());
        assert!(depths.take(99 - WAITING_MAX as u64).is_none());
    }
}
