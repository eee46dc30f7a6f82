//! Where access units land on the tags' time axis.

use super::video::COMPOSITION_RANGE;

/// Decode and presentation time of a unit in nanoseconds of running time, which is negative before the segment's start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub dts: Option<i64>,
    pub pts: Option<i64>,
}

/// Place of a unit on the time axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Milliseconds since the first tag; the low 32 bits are the tag's timestamp.
    position: i64,
    base: Option<i64>,
    pub composition: i32,
    /// What is left of the presentation time below a millisecond, in nanoseconds.
    pub nanoseconds: u32,
    /// The unit came later than its turn and was moved up to the latest timestamp.
    pub raised: bool,
}

impl Slot {
    /// Wraps after 49.7 days, as the field does.
    pub fn timestamp(&self) -> u32 {
        self.position as u32
    }

    /// Presentation time in milliseconds since the first tag.
    pub fn presentation(&self) -> i64 {
        self.position + i64::from(self.composition)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is presented {0} ms from its decoding, beyond the 24 bits of a composition time")]
pub struct CompositionOutOfRange(i64);

/// Turns running times into timestamps that start at 0 and never go back.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Running time in milliseconds that timestamp 0 stands for; unknown until the first unit with a time.
    base: Option<i64>,
    last: i64,
}

impl Timeline {
    /// The place that a unit with these times would get. [`Self::take`] then makes it the latest.
    pub fn slot(&self, times: Times) -> Result<Slot, CompositionOutOfRange> {
        let Some(dts) = times.dts.or(times.pts).map(floor_ms) else {
            return Ok(Slot { position: self.last, base: self.base, composition: 0, nanoseconds: 0, raised: false });
        };
        let base = self.base.unwrap_or(dts - self.last);
        let wanted = dts - base;
        let position = wanted.max(self.last);
        // Both times are floored on their own: the floor of their difference would be off by one every now and then.
        let composition = times.pts.map_or(0, |pts| floor_ms(pts) - base - position);
        if !COMPOSITION_RANGE.contains(&composition) {
            return Err(CompositionOutOfRange(composition));
        }
        let raised = position > wanted;
        // What has no presentation time of its own is presented when it is decoded.
        let presented = times.pts.or(times.dts.filter(|_| !raised)).unwrap_or(0);
        let nanoseconds = presented.rem_euclid(1_000_000) as u32;
        Ok(Slot { position, base: Some(base), composition: composition as i32, nanoseconds, raised })
    }

    /// The latest timestamp.
    pub fn latest(&self) -> u32 {
        self.last as u32
    }

    pub fn take(&mut self, slot: &Slot) {
        self.base = slot.base;
        self.last = slot.position;
    }

    /// Running time starts over: whatever comes next continues at the latest timestamp.
    pub fn resume(&mut self) {
        self.base = None;
    }
}

fn floor_ms(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn times(dts: i64, pts: i64) -> Times {
        Times { dts: Some(dts), pts: Some(pts) }
    }

    impl Timeline {
        fn place(&mut self, times: Times) -> (u32, i32) {
            let slot = self.slot(times).unwrap();
            self.take(&slot);
            (slot.timestamp(), slot.composition)
        }
    }

    #[test]
    fn first_timestamp_is_zero() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(times(5_000 * MS, 5_080 * MS)), (0, 80));
        assert_eq!(timeline.place(times(5_040 * MS, 5_040 * MS)), (40, 0));
    }

    #[test]
    fn decode_times_before_the_segment_keep_their_distance() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(times(-80 * MS, 0)), (0, 80));
        assert_eq!(timeline.place(times(-MS / 2, 160 * MS)), (79, 161));
        assert_eq!(timeline.place(times(0, 80 * MS)), (80, 80));
    }

    #[test]
    fn each_time_is_floored_on_its_own() {
        // 30 frames/s: the floored difference of these would be 66 ms, off by one.
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        assert_eq!(timeline.place(times(33_333_333, 100_000_000)), (33, 67));
    }

    #[test]
    fn time_never_goes_back_and_presentation_stays() {
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        timeline.place(times(100 * MS, 100 * MS));
        let slot = timeline.slot(times(60 * MS, 140 * MS)).unwrap();
        assert_eq!((slot.timestamp(), slot.composition, slot.raised), (100, 40, true));
        let slot = timeline.slot(times(60 * MS, 60 * MS)).unwrap();
        assert_eq!((slot.timestamp(), slot.composition), (100, -40));
    }

    #[test]
    fn a_slot_that_is_not_taken_leaves_no_trace() {
        let mut timeline = Timeline::default();
        timeline.slot(times(70 * MS, 70 * MS)).unwrap();
        assert_eq!(timeline.place(times(90 * MS, 90 * MS)), (0, 0));
    }

    #[test]
    fn one_time_stands_for_the_other() {
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        let only = |dts, pts| Times { dts, pts };
        assert_eq!(timeline.place(only(None, Some(40 * MS))), (40, 0));
        assert_eq!(timeline.place(only(Some(80 * MS), None)), (80, 0));
        assert_eq!(timeline.place(Times::default()), (80, 0));
    }

    #[test]
    fn untimed_start_does_not_fix_the_base() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(Times::default()), (0, 0));
        assert_eq!(timeline.place(times(900 * MS, 900 * MS)), (0, 0));
    }

    #[test]
    fn timestamps_cross_24_31_and_32_bits() {
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        for edge in [1_i64 << 24, 1 << 31, 1 << 32] {
            let (before, _) = timeline.place(times((edge - 1) * MS, (edge - 1) * MS));
            let (at, _) = timeline.place(times(edge * MS, edge * MS));
            assert_eq!(u64::from(before), (edge as u64 - 1) & 0xFFFF_FFFF);
            assert_eq!(u64::from(at), edge as u64 & 0xFFFF_FFFF);
        }
    }

    #[test]
    fn resumption_continues_at_the_latest_timestamp() {
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        timeline.place(times(500 * MS, 500 * MS));
        timeline.resume();
        assert_eq!(timeline.place(times(0, 0)), (500, 0));
        assert_eq!(timeline.place(times(40 * MS, 40 * MS)), (540, 0));
    }

    #[test]
    fn composition_must_fit_24_bits() {
        let timeline = Timeline::default();
        assert!(timeline.slot(times(0, 0x7F_FFFF * MS)).is_ok());
        assert!(timeline.slot(times(0x80_0000 * MS, 0)).is_ok());
        assert_eq!(timeline.slot(times(0, 0x80_0000 * MS)), Err(CompositionOutOfRange(0x80_0000)));
        assert!(timeline.slot(times(i64::MIN, i64::MAX)).is_err());
    }

    #[test]
    fn nanoseconds_are_what_milliseconds_leave_of_the_presentation() {
        let mut timeline = Timeline::default();
        timeline.place(times(0, 0));
        let nanoseconds = |timeline: &Timeline, times| timeline.slot(times).unwrap().nanoseconds;
        assert_eq!(nanoseconds(&timeline, times(33_333_333, 66_666_667)), 666_667);
        assert_eq!(nanoseconds(&timeline, Times { dts: Some(33_333_333), pts: None }), 333_333);
        assert_eq!(nanoseconds(&timeline, times(0, -1)), 999_999);
        assert_eq!(nanoseconds(&timeline, Times::default()), 0);
        timeline.place(times(100 * MS, 100 * MS));
        assert_eq!(nanoseconds(&timeline, Times { dts: Some(33_333_333), pts: None }), 0, "it was moved up");
    }
}
