//! From the producer's timestamps to running time.
//!
//! A timestamp near the wall clock is a Unix time: its age now, taken off the running time now, is the running time of
//! the capture. Any other timestamp counts in the producer's own domain (media time, a boot clock): there the first
//! frame is taken to have been captured when it arrived, and the rest follow by the difference, moved earlier when a
//! frame arrives sooner than that: it cannot have been captured after it arrived. When none of the last frames arrived near
//! its time, the clock is slower than real time, and the rest are moved later.
//!
//! A frame may have been captured before running time began, or before the frame that was given last: a camera is some
//! frames late, a pause ends, a clock is set. `v4l2src` and `pipewiresrc` give such frames the time 0 and say no more:
//! several frames get one time, and parsers and muxers take that for a frame without any (`mp4mux` ends with an error).
//! Dropping them would leave a producer that seldom publishes without a picture. So they get times that rise by half of
//! the time that passes between them, until these have met the capture times again: after twice the camera's delay, and
//! never ahead of the frames' arrival.

use std::{collections::VecDeque, time::Duration};

use super::clocks::{Now, nanos};
use crate::cvmmapsrc::TimestampMode;

/// How old a frame may be to pass for one stamped with the wall clock.
const OLDEST: Duration = Duration::from_secs(10);
/// How far in the future such a stamp may lie: two clocks of one machine differ by rounding alone.
const NEWEST: Duration = Duration::from_millis(50);
/// A frame that seems older than this in the producer's own domain means that its clock jumped.
const STALE: Duration = Duration::from_secs(2);
/// Frames that are looked back on: so many are not late one after the other by chance.
const RECENT: usize = 16;
/// How long after its time even the earliest of them may arrive in the producer's own domain.
const LATE: Duration = Duration::from_millis(20);
/// A frame that seems older than the one before by this much means that the source jumped.
const JUMP: Duration = Duration::from_millis(200);

/// Where a frame is in running time, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// Later than that of every frame before.
    pub(crate) pts: u64,
    /// When the frame was captured, as far as that is known. The PTS is later for a frame that it has no time for.
    pub(crate) captured: i64,
    /// When the frame arrived.
    pub(crate) arrived: i64,
}

/// The mapping, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Running time less timestamp in the producer's own domain.
    anchor: Option<i64>,
    /// What the anchor would be by each of the last frames, since it was made.
    recent: VecDeque<i64>,
    last: Option<Last>,
    /// The source starts over; its timestamps may jump backwards, if they have not yet.
    starts_over: bool,
    /// What captures in Unix time are moved by since then, to go on where they were.
    shift: i64,
}

/// The frame before.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: i64,
    pts: i64,
    arrived: i64,
}

impl Timeline {
    /// The source starts over: when its Unix times jump backwards, they go on from the arrival of that frame. Those of
    /// another domain are anchored anew.
    pub(crate) fn start_over(&mut self) {
        self.anchor = None;
        self.starts_over = true;
    }

    /// Running time of a frame.
    pub(crate) fn stamp(&mut self, mode: TimestampMode, timestamp_ns: u64, now: Now) -> Stamp {
        let timestamp = i64::try_from(timestamp_ns).unwrap_or(i64::MAX);
        let age = now.unix.saturating_sub(now.since_arrival).saturating_sub(timestamp);
        let arrived = now.running.saturating_sub(now.since_arrival);
        if self.last.is_some_and(|last| arrived < last.arrived.saturating_sub(nanos(JUMP))) {
            // Not the frames but running time went back: somebody gave the element another clock or base time.
            *self = Self::default();
        }
        let is_unix = mode == TimestampMode::Capture || (-nanos(NEWEST)..=nanos(OLDEST)).contains(&age);
        let captured = if mode == TimestampMode::Arrival {
            arrived
        } else if is_unix {
            self.anchor = None;
            self.unix_capture(timestamp, arrived, age)
        } else {
            self.anchored_capture(timestamp, arrived)
        };
        if self.last.is_some_and(|last| timestamp < last.timestamp) {
            self.starts_over = false;
        }
        let pts = captured.max(self.earliest_pts(timestamp, arrived));
        self.last = Some(Last { timestamp, pts, arrived });
        Stamp { pts: pts.unsigned_abs(), captured, arrived }
    }

    /// The earliest PTS that the next frame can have.
    fn earliest_pts(&self, timestamp: i64, arrived: i64) -> i64 {
        let Some(last) = self.last else { return 0 };
        let half_between_arrivals = arrived.saturating_sub(last.arrived) / 2;
        let step = match timestamp.saturating_sub(last.timestamp) {
            // Not ahead of the arrival, whatever the timestamps say.
            between_captures @ 1.. => {
                (between_captures / 2).min(arrived.saturating_sub(last.pts).max(half_between_arrivals))
            }
            _ => half_between_arrivals,
        };
        last.pts.saturating_add(step.max(1))
    }

    fn anchored_capture(&mut self, timestamp: i64, arrived: i64) -> i64 {
        let arrival_anchor = arrived.saturating_sub(timestamp);
        // A timestamp that goes back is of a source that started over, and one that stands still is no clock's.
        let goes_on = self.last.is_none_or(|last| timestamp > last.timestamp);
        let anchor = match self.anchor {
            Some(anchor) if goes_on && (0..nanos(STALE)).contains(&arrival_anchor.saturating_sub(anchor)) => {
                anchor.max(self.latest_anchor(arrival_anchor))
            }
            _ => {
                self.recent.clear();
                arrival_anchor
            }
        };
        self.anchor = Some(anchor);
        anchor.saturating_add(timestamp)
    }

    /// The latest anchor by which one of the last frames arrived near its time, once there are enough of them.
    fn latest_anchor(&mut self, arrival_anchor: i64) -> i64 {
        self.recent.push_back(arrival_anchor);
        if self.recent.len() <= RECENT {
            return i64::MIN;
        }
        self.recent.pop_front();
        self.recent.iter().min().map_or(i64::MIN, |earliest| earliest.saturating_sub(nanos(LATE)))
    }

    fn unix_capture(&mut self, timestamp: i64, arrived: i64, age: i64) -> i64 {
        let captured = arrived.saturating_sub(age.max(0));
        let last_pts = self.last.map_or(0, |last| last.pts);
        let behind = last_pts.saturating_sub(captured.saturating_add(self.shift));
        let has_jumped = self.last.is_some_and(|last| timestamp < last.timestamp) || behind > nanos(JUMP);
        // The event may come before the jump or after it. Captures this old are of no running time that comes soon.
        if self.starts_over && has_jumped || behind > nanos(OLDEST) {
            self.shift = arrived.saturating_sub(captured);
            self.starts_over = false;
        }
        // Nothing was captured after it arrived.
        self.shift = self.shift.min(arrived.saturating_sub(captured));
        captured.saturating_add(self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTO: TimestampMode = TimestampMode::Auto;
    const MS: i64 = 1_000_000;
    const UNIX: i64 = 1_790_000_000_000 * MS;

    impl Timeline {
        fn pts(&mut self, mode: TimestampMode, timestamp_ns: u64, now: Now) -> u64 {
            self.stamp(mode, timestamp_ns, now).pts
        }
    }

    fn now(running_ms: i64, since_arrival_ms: i64) -> Now {
        Now { running: running_ms * MS, unix: UNIX + running_ms * MS, since_arrival: since_arrival_ms * MS }
    }

    #[test]
    fn a_unix_time_is_its_age_before_now() {
        let mut timeline = Timeline::default();
        let captured = (UNIX + 90 * MS) as u64;
        assert_eq!(timeline.pts(AUTO, captured, now(100, 0)), 90_000_000);
        assert_eq!(timeline.pts(AUTO, captured + 10_000_000, now(130, 25)), 100_000_000);
    }

    #[test]
    fn a_capture_before_the_pipeline_is_at_its_start() {
        assert_eq!(Timeline::default().pts(AUTO, (UNIX - 50 * MS) as u64, now(10, 0)), 0);
    }

    #[test]
    fn media_time_is_anchored_at_the_first_arrival() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.pts(AUTO, 5_000_000, now(100, 10)), 90_000_000);
        assert_eq!(timeline.pts(AUTO, 38_000_000, now(140, 0)), 123_000_000);
    }

    #[test]
    fn media_time_moves_earlier_when_a_frame_arrives_sooner() {
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, 0, now(100, 0));
        assert_eq!(timeline.pts(AUTO, 33_000_000, now(120, 0)), 120_000_000);
        assert_eq!(timeline.pts(AUTO, 66_000_000, now(160, 0)), 153_000_000);
    }

    #[test]
    fn media_time_keeps_its_distances_when_frames_are_held_up() {
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, 0, now(100, 0));
        let mut arrived = 100;
        for frame in 1..200 {
            // Up to 15 ms late, and now and then a third of a second, with those that follow at its heels.
            let late = if frame % 30 == 0 { 333 } else { frame * 7 % 16 };
            arrived = (arrived + 1).max(100 + frame * 33 + late);
            let pts = timeline.pts(AUTO, (frame * 33 * MS) as u64, now(arrived, 0));
            assert_eq!(pts as i64, (100 + frame * 33) * MS);
        }
    }

    #[test]
    fn media_time_that_is_slower_than_real_time_does_not_fall_behind() {
        // Real time for each 40 ms of media time, and how far behind a frame may be in the end.
        for (interval, behind) in [(41, 40), (44, 100), (80, 700)] {
            let mut timeline = Timeline::default();
            let mut last = 0;
            for frame in 0..1_000 {
                let arrived = 100 + frame * interval;
                let pts = timeline.pts(AUTO, (frame * 40 * MS) as u64, now(arrived, 0)) as i64;
                let lag = arrived * MS - pts;
                assert!((0..behind * MS).contains(&lag), "{interval}: frame {frame} is {lag} ns behind");
                if frame > 100 {
                    assert_eq!(pts - last, interval * MS, "{interval}: frame {frame}");
                }
                last = pts;
            }
        }
    }

    #[test]
    fn a_source_that_starts_over_goes_on_from_its_arrival() {
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, 9_000_000_000, now(100, 0));
        assert_eq!(timeline.pts(AUTO, 0, now(133, 0)), 133_000_000);
        assert_eq!(timeline.pts(AUTO, 33_000_000, now(170, 0)), 166_000_000);
    }

    #[test]
    fn a_short_loop_goes_on_from_its_arrival() {
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, 0, now(100, 0));
        assert_eq!(timeline.pts(AUTO, 500_000_000, now(600, 0)), 600_000_000);
        assert_eq!(timeline.pts(AUTO, 0, now(633, 0)), 633_000_000);
        assert_eq!(timeline.pts(AUTO, 33_000_000, now(666, 0)), 666_000_000);
    }

    #[test]
    fn a_short_loop_goes_on_from_its_arrival_when_it_is_told() {
        for told_late in [false, true] {
            let mut timeline = Timeline::default();
            timeline.pts(AUTO, (UNIX + 5_000 * MS) as u64, now(5_000, 0));
            if told_late {
                // On its way to the capture times, for nobody says that they are another source's.
                assert_eq!(timeline.pts(AUTO, (UNIX + 1_000 * MS) as u64, now(5_034, 0)), 5_017_000_000);
            }
            timeline.start_over();
            assert_eq!(timeline.pts(AUTO, (UNIX + 1_033 * MS) as u64, now(5_066, 0)), 5_066_000_000);
            assert_eq!(timeline.pts(AUTO, (UNIX + 1_066 * MS) as u64, now(5_110, 0)), 5_099_000_000);
        }
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, 1_000_000_000, now(100, 0));
        timeline.start_over();
        timeline.pts(AUTO, 1_033_000_000, now(133, 0));
        assert_eq!(timeline.pts(AUTO, 0, now(166, 0)), 166_000_000);
    }

    #[test]
    fn time_never_goes_back_and_never_stands_still() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.pts(AUTO, (UNIX + 90 * MS) as u64, now(100, 0)), 90_000_000);
        assert_eq!(timeline.pts(AUTO, (UNIX + 40 * MS) as u64, now(110, 0)), 95_000_000);
        assert_eq!(timeline.pts(AUTO, (UNIX + 40 * MS) as u64, now(110, 0)), 95_000_001);
    }

    #[test]
    fn captures_before_running_time_catch_up_with_it() {
        for (age, interval) in [(50, 33), (150, 16), (150, 33), (150, 200), (2_000, 40)] {
            let mut timeline = Timeline::default();
            let mut last = -1;
            for frame in 0..200 {
                let arrived = 5 + frame * interval;
                let stamp = timeline.stamp(AUTO, (UNIX + (arrived - age) * MS) as u64, now(arrived, 0));
                let pts = stamp.pts as i64;
                assert_eq!(stamp.captured, (arrived - age) * MS);
                assert!(pts > last && pts <= arrived * MS, "{age}, {interval}: {pts} after {last}");
                if frame > 0 {
                    assert!(pts - last >= interval * MS / 2, "{age}, {interval}: {pts} after {last}");
                }
                if arrived - 5 >= 2 * age {
                    assert_eq!(pts, stamp.captured, "{age}, {interval}");
                }
                last = pts;
            }
        }
    }

    #[test]
    fn captures_of_long_ago_keep_their_distances() {
        let mut timeline = Timeline::default();
        for frame in 0..100 {
            let captured = (UNIX - 3_600_000 * MS + frame * 33 * MS) as u64;
            let pts = timeline.pts(TimestampMode::Capture, captured, now(20 + frame * 33, 0));
            assert_eq!(pts as i64, (20 + frame * 33) * MS);
        }
    }

    #[test]
    fn timestamps_that_stand_still_rise_with_the_arrivals() {
        for timestamp in [0, UNIX as u64, u64::MAX] {
            let mut timeline = Timeline::default();
            let mut last = None;
            for frame in 0..100 {
                let pts = timeline.pts(AUTO, timestamp, now(100 + frame * 33, 0));
                assert!(last.is_none_or(|last| pts > last), "{timestamp}");
                last = Some(pts);
            }
            assert!(last.unwrap() as i64 >= 1_600 * MS, "{timestamp}: {last:?}");
        }
    }

    #[test]
    fn running_time_that_goes_back_starts_over() {
        let mut timeline = Timeline::default();
        timeline.pts(AUTO, (UNIX + 3_990 * MS) as u64, now(4_000, 0));
        let again = |running_ms: i64| Now {
            running: running_ms * MS,
            unix: UNIX + (4_033 + running_ms) * MS,
            since_arrival: 0,
        };
        assert_eq!(timeline.pts(AUTO, (UNIX + 4_023 * MS) as u64, again(0)), 0);
        assert_eq!(timeline.pts(AUTO, (UNIX + 4_056 * MS) as u64, again(33)), 23_000_000);
    }

    #[test]
    fn no_timestamps_make_time_stand_still_or_run_ahead() {
        // xorshift64
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut below = move |limit: i64| (random() >> 1) as i64 % limit;
        for _ in 0..2_000 {
            let mode = [AUTO, TimestampMode::Capture, TimestampMode::Arrival][below(3) as usize];
            let mut timeline = Timeline::default();
            let (mut last, mut running) = (None, 0);
            for _ in 0..50 {
                let passed = 1 + below(100 * MS);
                running += passed;
                let unix = UNIX + running;
                let timestamp = match below(6) {
                    0 => below(i64::MAX) as u64 * 2 + 1,
                    1 => below(1_000) as u64,
                    2 => unix as u64,
                    3 => (unix + below(100 * MS)) as u64,
                    _ => (unix - below(12_000 * MS)) as u64,
                };
                if below(16) == 0 {
                    timeline.start_over();
                }
                let since_arrival = below(passed);
                let stamp = timeline.stamp(mode, timestamp, Now { running, unix, since_arrival });
                assert!(last.is_none_or(|last| stamp.pts > last), "{} after {last:?}", stamp.pts);
                last = Some(stamp.pts);
            }
            assert!(last.unwrap() as i64 <= running + 50, "{last:?} at {running}");
        }
    }

    #[test]
    fn arrival_ignores_the_timestamp_and_capture_believes_it() {
        let captured = (UNIX - 20_000 * MS) as u64;
        let arrival = Timeline::default().pts(TimestampMode::Arrival, captured, now(30_000, 10));
        assert_eq!(arrival, 29_990_000_000);
        let capture = Timeline::default().pts(TimestampMode::Capture, captured + 25_000_000_000, now(30_000, 10));
        assert_eq!(capture, 5_000_000_000);
    }

    #[test]
    fn no_timestamp_overflows() {
        for mode in [AUTO, TimestampMode::Capture, TimestampMode::Arrival] {
            for timestamp in [0, 1, i64::MAX as u64, u64::MAX] {
                let mut timeline = Timeline::default();
                timeline.pts(mode, timestamp, now(100, 0));
                timeline.pts(mode, u64::MAX - timestamp, now(101, 0));
            }
        }
    }
}
