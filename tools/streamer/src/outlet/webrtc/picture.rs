//! Access units of the encoder as viewers take them.

use std::{
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use tools_media::{annex_b, capture_time, running_time::running_time};

use super::viewer::Picture;
use crate::outlet::feed::Unit;

/// Reads access units one after the other.
#[derive(Debug)]
pub struct Pictures {
    /// B-frames were asked for,
    planned: bool,
    /// or came.
    seen: bool,
    last: Option<u64>,
}

impl Pictures {
    /// `reordered` when B-frames are known to come.
    pub fn new(reordered: bool) -> Self {
        Self { planned: reordered, seen: false, last: None }
    }

    /// Whether pictures are not sent in the order in which they are shown.
    pub fn are_reordered(&self) -> bool {
        self.planned || self.seen
    }

    /// The next picture, where it is `wanted`. `None` as well for one that cannot be shown: no time, broken lengths, or out of
    /// order.
    pub fn read(&mut self, unit: &Unit, wanted: bool) -> Option<Picture> {
        let buffer = unit.sample.buffer()?;
        let time = u64::try_from(running_time(&unit.sample, buffer.pts()?)?).unwrap_or(0);
        let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if is_keyframe {
            // A new stage may begin anew, without B-frames.
            self.seen = false;
        } else if self.last.is_some_and(|last| time < last) {
            self.seen = true;
        }
        self.last = Some(time);
        if !wanted || self.are_reordered() {
            return None;
        }
        let map = buffer.map_readable().ok()?;
        let data = match annex_b::codec(unit.sample.caps()?)? {
            (_, true) => Arc::from(map.as_slice()),
            (_, false) => Arc::from(annex_b::from_lengths(map.as_slice())?),
        };
        let captured = unit.captured.unwrap_or_else(Instant::now);
        let captured_at = capture_time::of(buffer).map(|time| UNIX_EPOCH + Duration::from_nanos(time));
        Some(Picture { data, is_keyframe, time, captured, captured_at })
    }
}
