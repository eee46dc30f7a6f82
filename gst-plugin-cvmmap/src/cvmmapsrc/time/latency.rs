//! How late frames are copied and how long they may wait, as a live source has to tell.

use std::collections::VecDeque;

/// Latency before frames were seen: one frame at 30 per second.
const FIRST: gst::ClockTime = gst::ClockTime::from_nseconds(33_333_334);
/// Frames that have to be seen for their age to count instead.
const LEARNED: u64 = 8;
/// It changes in such steps, or each slower frame would make the pipeline redistribute it.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// A frame later than this is an accident, not the producer's latency.
const MAX: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// Frames that are looked back on. One of them may be an accident.
const RECENT: usize = 64;

/// The latency of a source.
///
/// It is the age at which the second oldest of the last frames was copied, so that one that the machine held up does not
/// raise it for good. How long a frame waits after that is downstream's doing, and the sink's latency has it already.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    recent: VecDeque<gst::ClockTime>,
    seen: u64,
    /// By the frames that were seen.
    seen_least: Option<gst::ClockTime>,
    /// Age of the youngest frame so far, rounded down.
    youngest: Option<gst::ClockTime>,
    /// Time until the frame that downstream has makes another one go.
    room: Option<gst::ClockTime>,
}

impl Latency {
    /// How late the source's frames are.
    pub(crate) fn least(&self) -> gst::ClockTime {
        let least = self.seen_least.unwrap_or(STEP);
        if self.seen < LEARNED { least.max(FIRST) } else { least }
    }

    /// How long after its capture downstream may let go of a frame without another one being lost, once that is known: of
    /// the frames that come meanwhile no more may be too many than fit into the queue.
    pub(crate) fn most(&self) -> Option<gst::ClockTime> {
        let is_known = self.seen >= LEARNED;
        self.room.filter(|_| is_known).map(|room| room + self.youngest.unwrap_or_default())
    }

    /// Counts a frame in that was copied at this age, while the frames in downstream's hands and in the queue are worth so
    /// much time; whether that changes the latency.
    pub(crate) fn note(&mut self, age: gst::ClockTime, room: Option<gst::ClockTime>) -> bool {
        let before = (self.least(), self.most());
        self.room = room;
        self.seen += 1;
        if age <= MAX {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front(age);
            let rounded = STEP * (age.nseconds() / STEP.nseconds());
            self.youngest = Some(self.youngest.map_or(rounded, |youngest| youngest.min(rounded)));
        }
        let mut oldest = [gst::ClockTime::ZERO; 2];
        for age in &self.recent {
            oldest = [oldest[0].max(*age), oldest[1].max(oldest[0].min(*age))];
        }
        let least = STEP * oldest[1].nseconds().div_ceil(STEP.nseconds()).max(1);
        self.seen_least = self.seen_least.max(Some(least));
        (self.least(), self.most()) != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(ms)
    }

    /// Ages, and what the latency is after each of them.
    fn latencies(ages: &[u64]) -> Vec<gst::ClockTime> {
        let mut latency = Latency::default();
        let after = |age: &u64| {
            latency.note(ms(*age), None);
            latency.least()
        };
        ages.iter().map(after).collect()
    }

    #[test]
    fn it_is_what_frames_show_once_there_are_enough() {
        assert_eq!(Latency::default().least(), FIRST);
        assert_eq!(latencies(&[3; 8]), [[FIRST; 7].as_slice(), &[ms(10)]].concat());
        assert_eq!(latencies(&[25; 9])[7..], [ms(30); 2]);
    }

    #[test]
    fn it_grows_at_once_and_in_steps() {
        assert_eq!(
            latencies(&[150, 141, 163, 161, 161, 1_000, 999]),
            [FIRST, ms(150), ms(150), ms(170), ms(170), ms(170), ms(1_000)]
        );
    }

    #[test]
    fn an_accident_is_forgiven() {
        let mut ages = vec![5; 200];
        for accident in [20, 100, 170] {
            ages[accident] = 700;
        }
        ages[50] = 1_001;
        ages[51] = 1_001;
        assert_eq!(latencies(&ages).last(), Some(&ms(10)));
        ages[110] = 400;
        assert_eq!(latencies(&ages).last(), Some(&ms(400)));
    }

    #[test]
    fn what_may_wait_is_told_when_it_is_known() {
        let mut latency = Latency::default();
        for _ in 1..LEARNED {
            assert!(!latency.note(ms(57), Some(ms(330))) || latency.least() == ms(60));
            assert_eq!(latency.most(), None);
        }
        assert!(latency.note(ms(51), Some(ms(330))));
        assert_eq!((latency.least(), latency.most()), (ms(60), Some(ms(380))));
        assert!(!latency.note(ms(59), Some(ms(330))));
        assert!(latency.note(ms(49), Some(ms(330))), "the youngest so far");
        assert_eq!(latency.most(), Some(ms(370)));
        assert!(!latency.note(ms(55), Some(ms(330))), "it does not wander");
        assert!(latency.note(ms(49), None));
        assert_eq!(latency.most(), None);
    }
}
