//! Tags on their way to the network. A live stream that falls behind loses the whole backlog and goes on with a keyframe:
//! what refers to a lost picture would only show smears, and an old picture helps nobody. What tells how to decode it stays.

use std::{collections::VecDeque, time::Duration};

/// Largest backlog, against a wild bit rate.
pub const BYTES_MAX: usize = 16 << 20;

/// What the backlog has to know of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Metadata or a sequence header: never dropped.
    Header,
    /// A stream can begin with it.
    Keyframe,
    /// Anything else.
    Frame,
}

/// A tag's weight.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub kind: Kind,
    pub bytes: usize,
    /// Milliseconds, which wrap.
    pub timestamp: u32,
}

/// What was done with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Kept,
    /// It was dropped, and these before it.
    Dropped {
        others: u64,
    },
}

/// A queue of tags.
#[derive(Debug)]
pub struct Backlog<T> {
    tags: VecDeque<(Weight, T)>,
    bytes: usize,
    /// Frames are dropped until a keyframe comes.
    awaits_keyframe: bool,
    /// Since it overflowed nothing was taken: even a keyframe would be old before its turn.
    is_behind: bool,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { tags: VecDeque::new(), bytes: 0, awaits_keyframe: true, is_behind: false }
    }
}

impl<T> Backlog<T> {
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Whether a keyframe would help.
    pub fn wants_keyframe(&self) -> bool {
        self.awaits_keyframe && !self.is_behind
    }

    /// Time between the oldest tag and the newest.
    pub fn time(&self) -> Duration {
        let frames = || self.tags.iter().filter(|(weight, _)| weight.kind != Kind::Header);
        let span = frames().next().zip(frames().next_back());
        span.map_or(Duration::ZERO, |((first, _), (last, _))| since(first.timestamp, last.timestamp))
    }

    /// Whether one more tag would go beyond `time_max`, or beyond what fits.
    pub fn is_full(&self, weight: Weight, time_max: Duration) -> bool {
        let oldest = self.tags.iter().find(|(weight, _)| weight.kind != Kind::Header);
        oldest.is_some_and(|(oldest, _)| since(oldest.timestamp, weight.timestamp) > time_max)
            || self.bytes + weight.bytes > BYTES_MAX
    }

    /// Takes in a tag of a live stream.
    pub fn offer(&mut self, weight: Weight, tag: T, time_max: Duration) -> Offered {
        if weight.kind == Kind::Header {
            if self.bytes + weight.bytes > BYTES_MAX {
                return Offered::Dropped { others: 0 };
            }
            self.put(weight, tag);
            return Offered::Kept;
        }
        if self.is_behind || (self.awaits_keyframe && weight.kind != Kind::Keyframe) {
            return Offered::Dropped { others: 0 };
        }
        if self.is_full(weight, time_max) {
            let others = self.drop_frames();
            self.is_behind = true;
            return Offered::Dropped { others };
        }
        self.awaits_keyframe = false;
        self.put(weight, tag);
        Offered::Kept
    }

    /// Takes in a tag of a stream that waits. `false`: it does not begin with a keyframe, and was dropped.
    pub fn put_in_turn(&mut self, weight: Weight, tag: T) -> bool {
        if self.awaits_keyframe && weight.kind == Kind::Frame {
            return false;
        }
        self.awaits_keyframe &= weight.kind == Kind::Header;
        self.put(weight, tag);
        true
    }

    fn put(&mut self, weight: Weight, tag: T) {
        self.bytes += weight.bytes;
        self.tags.push_back((weight, tag));
    }

    /// The network takes again.
    pub fn resume(&mut self) {
        self.is_behind = false;
    }

    /// What is next.
    pub fn front(&self) -> Option<&Weight> {
        self.tags.front().map(|(weight, _)| weight)
    }

    /// Takes what is next.
    pub fn take(&mut self) -> Option<T> {
        let (weight, tag) = self.tags.pop_front()?;
        self.bytes -= weight.bytes;
        Some(tag)
    }

    /// A new connection takes over where the old one broke: what is queued up to the next keyframe is lost. How many.
    pub fn begin_anew(&mut self) -> u64 {
        let mut dropped = 0;
        let mut kept_frames = false;
        self.tags.retain(|(weight, _)| {
            kept_frames |= weight.kind == Kind::Keyframe;
            let keep = kept_frames || weight.kind == Kind::Header;
            dropped += u64::from(!keep);
            keep
        });
        self.bytes = self.tags.iter().map(|(weight, _)| weight.bytes).sum();
        self.awaits_keyframe = !kept_frames;
        dropped
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn drop_frames(&mut self) -> u64 {
        let before = self.tags.len();
        self.tags.retain(|(weight, _)| weight.kind == Kind::Header);
        self.bytes = self.tags.iter().map(|(weight, _)| weight.bytes).sum();
        self.awaits_keyframe = true;
        (before - self.tags.len()) as u64
    }
}

/// Timestamps wrap, and may go back a little.
fn since(earlier: u32, later: u32) -> Duration {
    let ahead = later.wrapping_sub(earlier);
    Duration::from_millis(if ahead >> 31 == 0 { ahead.into() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn weight(kind: Kind, timestamp: u32) -> Weight {
        Weight { kind, bytes: 1, timestamp }
    }

    fn taken(backlog: &mut Backlog<u32>) -> Vec<u32> {
        std::iter::from_fn(|| backlog.take()).collect()
    }

    #[test]
    fn a_stream_begins_with_its_headers_and_a_keyframe() {
        let mut backlog = Backlog::default();
        assert!(backlog.wants_keyframe());
        assert_eq!(backlog.offer(weight(Kind::Frame, 0), 0, SECOND), Offered::Dropped { others: 0 });
        assert_eq!(backlog.offer(weight(Kind::Header, 0), 1, SECOND), Offered::Kept);
        assert_eq!(backlog.offer(weight(Kind::Frame, 0), 2, SECOND), Offered::Dropped { others: 0 });
        assert_eq!(backlog.offer(weight(Kind::Keyframe, 0), 3, SECOND), Offered::Kept);
        assert_eq!(backlog.offer(weight(Kind::Frame, 40), 4, SECOND), Offered::Kept);
        assert!(!backlog.wants_keyframe());
        assert_eq!(taken(&mut backlog), [1, 3, 4]);
        let mut waits = Backlog::default();
        assert!(!waits.put_in_turn(weight(Kind::Frame, 0), 0) && waits.put_in_turn(weight(Kind::Header, 0), 1));
        assert!(!waits.put_in_turn(weight(Kind::Frame, 0), 2) && waits.put_in_turn(weight(Kind::Keyframe, 0), 3));
        assert!(waits.put_in_turn(weight(Kind::Frame, 0), 4));
    }

    #[test]
    fn what_falls_behind_goes_on_with_a_keyframe_made_after_the_network_takes_again() {
        let mut backlog = Backlog::default();
        // Across the wrap of the timestamps.
        let start = u32::MAX - 499;
        let at = |ms: u32| start.wrapping_add(ms);
        backlog.offer(weight(Kind::Keyframe, at(0)), 0, SECOND);
        for ms in [400, 1000] {
            assert_eq!(backlog.offer(weight(Kind::Frame, at(ms)), ms, SECOND), Offered::Kept);
        }
        backlog.offer(weight(Kind::Header, at(1000)), 7, SECOND);
        assert_eq!(backlog.time(), SECOND);
        assert_eq!(backlog.offer(weight(Kind::Frame, at(1001)), 9, SECOND), Offered::Dropped { others: 3 });
        assert!(!backlog.wants_keyframe());
        assert_eq!(backlog.offer(weight(Kind::Keyframe, at(1100)), 9, SECOND), Offered::Dropped { others: 0 });
        backlog.resume();
        assert!(backlog.wants_keyframe());
        assert_eq!(backlog.offer(weight(Kind::Frame, at(1200)), 9, SECOND), Offered::Dropped { others: 0 });
        assert_eq!(backlog.offer(weight(Kind::Keyframe, at(1300)), 8, SECOND), Offered::Kept);
        assert_eq!(taken(&mut backlog), [7, 8]);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut backlog = Backlog::default();
        let half = |kind| Weight { kind, bytes: BYTES_MAX / 2, timestamp: 0 };
        assert_eq!(backlog.offer(half(Kind::Keyframe), 0, SECOND), Offered::Kept);
        assert_eq!(backlog.offer(half(Kind::Frame), 0, SECOND), Offered::Kept);
        assert_eq!(backlog.offer(weight(Kind::Header, 0), 0, SECOND), Offered::Dropped { others: 0 });
        assert_eq!(backlog.offer(weight(Kind::Frame, 0), 0, SECOND), Offered::Dropped { others: 2 });
    }

    #[test]
    fn a_connection_that_takes_over_begins_with_the_next_keyframe() {
        let mut backlog = Backlog::default();
        backlog.put_in_turn(weight(Kind::Keyframe, 0), 0);
        backlog.take();
        let kinds = [Kind::Frame, Kind::Header, Kind::Keyframe, Kind::Frame];
        for (index, kind) in (1..).zip(kinds) {
            backlog.put_in_turn(weight(kind, 0), index);
        }
        assert_eq!(backlog.begin_anew(), 1);
        assert!(!backlog.wants_keyframe());
        assert_eq!(taken(&mut backlog), [2, 3, 4]);
        backlog.put_in_turn(weight(Kind::Frame, 0), 5);
        assert_eq!(backlog.begin_anew(), 1);
        assert!(backlog.wants_keyframe());
    }
}
