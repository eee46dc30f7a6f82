//! What happened to the producer's frames, counted by cause.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use crate::lock::lock;

/// A cause to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Count {
    /// Sync messages of the producer.
    Announced,
    /// Whole snapshots.
    Received,
    /// Buffers given to downstream.
    Pushed,
    /// Frames replaced by newer ones while they waited.
    Dropped,
    /// Frames that changed under the copy, or before it.
    Torn,
    /// Frames whose copy ended when the next write may have begun, or before the cadence was known.
    Late,
    /// Frame ids that were never announced here.
    Skipped,
    /// Announcements of the frame before.
    Repeated,
    /// Frames whose metadata or segment are unusable.
    Invalid,
    /// Announced frames without a segment.
    Unavailable,
    /// Frames that lack the wanted plane.
    WithoutPlane,
    /// Access units that need one that was lost.
    Undecodable,
    /// Messages that are not the producer's.
    Foreign,
    /// Times the frame ids started over.
    Restarts,
}

const NAMES: [&str; 14] = [
    "frames-announced",
    "frames-received",
    "frames-pushed",
    "frames-dropped",
    "frames-torn",
    "frames-late",
    "frames-skipped",
    "frames-repeated",
    "frames-invalid",
    "frames-unavailable",
    "frames-without-plane",
    "frames-undecodable",
    "messages-foreign",
    "source-restarts",
];

#[derive(Debug, Default)]
pub(super) struct Stats {
    counters: [AtomicU64; NAMES.len()],
    /// Why no frame comes; empty while they do.
    stall: Mutex<String>,
}

impl Stats {
    pub(super) fn add(&self, count: Count, more: u64) -> u64 {
        self.counters[count as usize].fetch_add(more, Ordering::Relaxed) + more
    }

    /// Counts one, and says whether this one is worth a line in the log: the 1st, 2nd, 4th, 8th …
    pub(super) fn note(&self, count: Count) -> Option<u64> {
        let total = self.add(count, 1);
        total.is_power_of_two().then_some(total)
    }

    pub(super) fn set_stall(&self, why: String) {
        *lock(&self.stall) = why;
    }

    pub(super) fn reset(&self) {
        self.counters.iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
        self.set_stall(String::new());
    }

    pub(super) fn structure(&self) -> gst::Structure {
        let mut structure = gst::Structure::new_empty("application/x-cvmmapsrc-stats");
        for (name, counter) in NAMES.iter().zip(&self.counters) {
            structure.set(*name, counter.load(Ordering::Relaxed));
        }
        structure.set("stall", lock(&self.stall).as_str());
        structure
    }
}
