//! How far a producer is behind its own rhythm.
//!
//! A frame that comes later than it was due may have others behind it, which come at once when they were held up together.
//! Where a timestamp is taken when the write begins, nothing but the gap before it says so, and only the first time: the next
//! frames tell how close they came.

/// Part of an interval by which a gap is imprecise.
const IMPRECISE: f64 = 0.1;

/// What is overdue. Times are nanoseconds of timestamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    overdue: f64,
    /// Frames for which that counts: as many as may have been held up. One that is behind by then has skipped them.
    frames: u32,
}

impl Backlog {
    /// Takes note of a frame that came so long after the one that is so many frames before it, of a producer with this
    /// usual interval.
    pub(super) fn note(&mut self, elapsed: i64, frames: u32, usual: i64) {
        let usual = usual.max(1) as f64;
        self.frames = self.frames.saturating_sub(frames);
        let excess = elapsed as f64 - f64::from(frames) * usual;
        // One that is late again has not caught up.
        if self.frames == 0 && excess <= usual * IMPRECISE {
            self.overdue = 0.0;
        }
        self.overdue = (self.overdue + excess).max(0.0);
        if excess > 0.0 {
            self.frames = self.frames.max((self.overdue / usual - IMPRECISE).ceil().max(1.0) as u32);
        }
    }

    /// How much earlier than an interval behind the last frame the next one may come.
    pub(super) fn overdue(&self) -> f64 {
        self.overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: i64 = 100;

    fn overdue_after(steps: impl IntoIterator<Item = (i64, u32)>) -> f64 {
        let mut backlog = Backlog::default();
        steps.into_iter().for_each(|(elapsed, frames)| backlog.note(elapsed, frames, USUAL));
        backlog.overdue()
    }

    #[test]
    fn nothing_is_overdue_while_frames_come_when_they_are_due() {
        assert_eq!(overdue_after([(100, 1), (100, 1), (300, 3)]), 0.0);
        assert_eq!(overdue_after([(100, 1), (90, 1), (100, 1)]), 0.0, "one that is early owes nothing");
    }

    #[test]
    fn behind_a_gap_as_many_are_overdue_as_it_is_long() {
        let held = |behind: usize| [(640, 1)].into_iter().chain(vec![(10, 1); behind]);
        assert_eq!(overdue_after(held(0)), 540.0);
        assert_eq!(overdue_after(held(5)), 90.0, "the last one is late for the next");
        assert_eq!(overdue_after(held(5).chain([(10, 1)])), 0.0);
        assert_eq!(overdue_after([(690, 6)]), 90.0, "whether they were seen or not");
    }

    #[test]
    fn frames_that_were_skipped_are_forgotten_when_they_would_have_come() {
        assert_eq!(overdue_after([(200, 1)]), 100.0);
        assert_eq!(overdue_after([(205, 1), (100, 1)]), 0.0);
        assert_eq!(overdue_after([(400, 1), (100, 1), (100, 1)]), 300.0);
        assert_eq!(overdue_after([(400, 1), (100, 1), (100, 1), (100, 1)]), 0.0);
    }

    #[test]
    fn frames_that_are_late_one_after_the_other_are_late_together() {
        assert_eq!(overdue_after([(150, 1), (140, 1)]), 90.0);
        assert_eq!(overdue_after([(150, 1), (140, 1), (100, 1)]), 0.0);
        assert_eq!(overdue_after([(150, 1), (140, 1), (40, 1)]), 0.0);
    }

    #[test]
    fn intervals_that_are_longer_than_the_usual_one_by_little_do_not_add_up() {
        assert_eq!(overdue_after([(101, 1); 100]), 1.0);
    }
}
