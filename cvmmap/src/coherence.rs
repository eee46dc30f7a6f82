//! Telling a whole frame from a mixed one by time, where the segment cannot tell.
//!
//! The reference producer overwrites the payload while the old metadata still stand. A reader whose copy overlaps the
//! next frame's write sees the same metadata before and after, and mixed pixels. What it can know is how late it is: the
//! next write does not begin before the next capture, and captures come in a cadence.
//!
//! Let `T` be a frame's timestamp and `D` the shortest recent interval of timestamps. A frame is announced at
//! `T + delay`; the smallest recent `delay` is that of a frame which nothing held up. The next frame's announcement comes
//! no earlier than `D` after the earliest possible one of this frame, and its write began one write before that. So a
//! copy that ended no later than `D` less one write after that earliest announcement did not meet the next write. How
//! long a write takes is not known; this reader's own copy of as many bytes, six times over, stands in for it, and
//! whatever that is, a copy later than [`LATEST`] of the interval is not taken.
//!
//! That is a conclusion from what was seen of the producer so far. The payload can refute it: a write that has begun
//! changes it. Where it is seen to have changed although the rule held, the producer has to be watched for longer.
//!
//! What the rule rests on, and cannot see: that no interval is shorter than the shortest of the last [`HISTORY`] by more
//! than the margin, that one of these frames was announced and received without delay, and that the producer writes
//! no slower than a sixth as fast as this reader copies. A reader that was busy whenever a frame came has received none
//! without delay, and takes none. `docs/coherence.md` has the whole story.

use std::time::{Duration, Instant};

use crate::subscriber::Arrival;

/// Frames that are looked back on: long enough to hold one that nothing delayed, short enough that a clock that was set
/// back by less than an interval is forgotten in a second.
const HISTORY: usize = 32;
/// Frames that have to be known before one is taken: enough for one that nothing delayed to be among them.
const LEARNED: usize = 8;
/// Largest part of the interval by which the end of a copy may be late.
const LATEST: f64 = 0.4;
/// Copies that a write may take as long as. A writer that makes a system call for each piece takes twice or three times as
/// long as one that copies, and a reader of whole frames copies in half to two thirds of the usual time.
const WRITES: f64 = 6.0;
/// Nanoseconds taken for copying a byte by a reader that has only copied small pieces so far: a memory bandwidth of about
/// 7 GB/s.
const COPY_COST: f64 = 0.15;
/// Frame ids further apart are not neighbours in a cadence.
const GAP_MAX: u32 = 16;

/// How a reader decides that a copied frame is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coherence {
    /// Equal metadata before and after the copy, those that were announced, and a copy that ended before the next write
    /// can have begun, by the producer's cadence. The first eight frames teach the cadence and are dropped, as is every
    /// frame that this reader is late for. A producer that says it changes its metadata before its payload, as
    /// [`Publisher`](crate::Publisher) does, is taken at its word and loses none.
    #[default]
    Cadence,
    /// Equal metadata before and after the copy, those that were announced. With the reference producer, which overwrites
    /// its payload first, a late reader gets mixed frames.
    Metadata,
}

/// Whether a copy ended before the next write can have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did.
    Whole,
    /// The cadence is not known yet.
    Learning,
    /// Nobody waited for any of the recent announcements, so their delays may all be the reader's own.
    NeverWaited,
    /// It may not have: the end was this late, and this late is allowed.
    Late { by: Duration, allowed: Duration },
}

/// The producer's cadence, as far as it is known.
#[derive(Debug)]
pub(crate) struct Cadence {
    epoch: Instant,
    last: Option<(u32, u64)>,
    /// The last announcements.
    history: [Noted; HISTORY],
    known: usize,
    next: usize,
    /// Frames that have to be known before one is taken.
    needed: usize,
    /// Nanoseconds this reader takes to copy a byte, when it is known.
    copy_cost: Option<f64>,
}

/// An announcement, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    /// From the frame before to this one.
    interval: i64,
    /// From the timestamp to the arrival, at most: a reader that was busy saw it later than it came.
    delay: i64,
    /// Whether the reader was not.
    waited: bool,
}

impl Cadence {
    pub(crate) fn new(now: Instant) -> Self {
        let history = [Noted::default(); HISTORY];
        Self { epoch: now, last: None, history, known: 0, next: 0, needed: LEARNED, copy_cost: None }
    }

    /// Takes note of what a copy cost.
    pub(crate) fn note_copy(&mut self, bytes: u64, took: Duration) {
        // Small copies measure the system call and not the memory.
        if bytes >= 64 << 10 {
            let cost = took.as_nanos() as f64 / bytes as f64;
            self.copy_cost = Some(self.copy_cost.map_or(cost, |known| known + (cost - known) / 8.0));
        }
    }

    /// Takes note of an announcement, whether its frame can be copied or not.
    pub(crate) fn note_announcement(&mut self, frame_id: u32, timestamp_ns: u64, arrival: Arrival) {
        if self.last == Some((frame_id, timestamp_ns)) {
            // Announced again; the first time told how late it is.
            return;
        }
        let timestamp = i64::try_from(timestamp_ns).unwrap_or(i64::MAX);
        let delay = self.since_epoch(arrival.at).saturating_sub(timestamp);
        let Some((last_id, last_timestamp)) = self.last.replace((frame_id, timestamp_ns)) else {
            return;
        };
        let frames = frame_id.wrapping_sub(last_id);
        let elapsed = timestamp_ns.checked_sub(last_timestamp).and_then(|elapsed| i64::try_from(elapsed).ok());
        match elapsed {
            Some(elapsed) if elapsed > 0 && (1..=GAP_MAX).contains(&frames) => {
                let interval = elapsed / i64::from(frames);
                if self.has_jumped(delay, interval) {
                    self.forget();
                }
                self.history[self.next] = Noted { interval, delay, waited: arrival.waited };
                self.next = (self.next + 1) % HISTORY;
                self.known = (self.known + 1).min(HISTORY);
            }
            // The source started over, or its clock was set back.
            _ => self.forget(),
        }
    }

    /// Takes note of a write that was seen to have begun when, by what was known, it could not have: what was known is
    /// forgotten, and from now on a whole history is needed.
    pub(crate) fn note_refuted(&mut self) {
        self.needed = HISTORY;
        self.forget();
    }

    /// Judges a copy of a frame, whose announcement was noted, that ended at `ended`.
    pub(crate) fn judge(&self, timestamp_ns: u64, payload_bytes: u64, ended: Instant) -> Verdict {
        let recent = &self.history[..self.known];
        if self.known < self.needed {
            return Verdict::Learning;
        }
        if !recent.iter().any(|noted| noted.waited) {
            return Verdict::NeverWaited;
        }
        let interval = recent.iter().map(|noted| noted.interval).min().unwrap_or(0) as f64;
        let earliest = recent.iter().map(|noted| noted.delay).min().unwrap_or(0);
        let timestamp = i64::try_from(timestamp_ns).unwrap_or(i64::MAX);
        let late = self.since_epoch(ended).saturating_sub(timestamp).saturating_sub(earliest) as f64;
        let write = self.copy_cost.unwrap_or(COPY_COST) * payload_bytes as f64;
        let allowed = (interval * LATEST).min(interval - WRITES * write);
        let allowed = if self.is_ahead_of_time(interval) { f64::NEG_INFINITY } else { allowed };
        if late <= allowed {
            return Verdict::Whole;
        }
        let duration = |nanos: f64| Duration::from_nanos(nanos.max(0.0) as u64);
        Verdict::Late { by: duration(late), allowed: duration(allowed) }
    }

    /// Whether the timestamps run faster than time, as those of a recording that is played fast do: then the next write
    /// comes sooner than they say. The newer half of the frames was announced earlier, by its timestamps, than the older
    /// half.
    fn is_ahead_of_time(&self, interval: f64) -> bool {
        let oldest = self.next + HISTORY - self.known;
        let earliest = |from: usize, to: usize| (from..to).map(|at| self.history[(oldest + at) % HISTORY].delay).min();
        match (earliest(0, self.known / 2), earliest(self.known / 2, self.known)) {
            (Some(older), Some(newer)) => older.saturating_sub(newer) as f64 > interval * LATEST,
            _ => false,
        }
    }

    /// Whether the timestamps left the line that they were on: a clock was set. A delay that fell by more than an
    /// interval is no frame in a hurry.
    fn has_jumped(&self, delay: i64, interval: i64) -> bool {
        let recent = &self.history[..self.known];
        let earliest = recent.iter().map(|noted| noted.delay).min();
        let shortest = recent.iter().map(|noted| noted.interval).min();
        match (earliest, shortest) {
            (Some(earliest), Some(shortest)) => {
                earliest.saturating_sub(delay) > shortest || interval > shortest.saturating_mul(GAP_MAX.into())
            }
            _ => false,
        }
    }

    fn forget(&mut self) {
        self.known = 0;
        self.next = 0;
    }

    fn since_epoch(&self, instant: Instant) -> i64 {
        i64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod model;
