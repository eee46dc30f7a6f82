//! Counters behind the `stats` property, from READY to READY.

use crate::flv::session::Dropped;

#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub tags: u64,
    pub bytes: u64,
    pub header_changes: u64,
    pub timestamps_raised: u64,
    dropped_before_keyframe: u64,
    dropped_backwards: u64,
    dropped_oversize: u64,
    dropped_malformed: u64,
}

impl Stats {
    /// Counts a drop and returns how many of its kind there are.
    pub fn count_drop(&mut self, dropped: &Dropped) -> u64 {
        let counter = match dropped {
            Dropped::BeforeKeyframe => &mut self.dropped_before_keyframe,
            Dropped::Backwards => &mut self.dropped_backwards,
            Dropped::Oversized(_) => &mut self.dropped_oversize,
            Dropped::Malformed(_) | Dropped::CompositionOutOfRange(_) | Dropped::Unreadable | Dropped::Unconfigured => {
                &mut self.dropped_malformed
            }
        };
        *counter += 1;
        *counter
    }

    pub fn dropped(&self) -> u64 {
        self.dropped_before_keyframe + self.dropped_backwards + self.dropped_oversize + self.dropped_malformed
    }

    pub fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("flvhevcmux-stats")
            .field("tags", self.tags)
            .field("bytes", self.bytes)
            .field("header-changes", self.header_changes)
            .field("timestamps-raised", self.timestamps_raised)
            .field("dropped-before-keyframe", self.dropped_before_keyframe)
            .field("dropped-backwards", self.dropped_backwards)
            .field("dropped-oversize", self.dropped_oversize)
            .field("dropped-malformed", self.dropped_malformed)
            .build()
    }
}
