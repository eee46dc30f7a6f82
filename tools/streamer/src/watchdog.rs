//! Tells an encoder that has stopped from one that waits for frames.

/// Frames into an encoder that gives nothing before it is judged broken. Source: the specification, "NVENC with
/// Fallback".
const FRAMES_MAX: u64 = 60;
/// Looks at an encoder that has frames and gives nothing before it is judged broken: 0.6 seconds. They are counted, for
/// a machine that stood still does not look.
const LOOKS_MAX: u32 = 600 / super::events::TICK_MS;
/// The same before the first access unit, for an encoder's start may take longer: 3 seconds.
const FIRST_LOOKS_MAX: u32 = 3000 / super::events::TICK_MS;
/// Frames that an encoder may hold before the first comes out.
const STARTUP_FRAMES: u64 = 4;

/// Looks at one encoder, time and again.
#[derive(Debug)]
pub struct Watchdog {
    /// Frames that the encoder may keep back to put them in another order.
    reordered: u64,
    /// Access units at the last look,
    given: u64,
    /// and frames by the time that they had become so many.
    answered: u64,
    looks: u32,
}

impl Watchdog {
    /// Looks at an encoder that makes so many B-frames in a row.
    pub fn new(b_frames: u32) -> Self {
        Self { reordered: b_frames.into(), given: 0, answered: 0, looks: 0 }
    }

    /// How many frames the encoder has swallowed, once it has to be given up. `taken` frames are in it or through,
    /// `given` access units came out, and it is `busy` while it does not want another frame.
    pub fn look(&mut self, taken: u64, given: u64, busy: bool) -> Option<u64> {
        if given != self.given {
            (self.given, self.answered, self.looks) = (given, taken, 0);
            return None;
        }
        let swallowed = taken - self.answered;
        let kept = if given == 0 { self.reordered + STARTUP_FRAMES } else { self.reordered };
        self.looks = if busy || swallowed > kept { self.looks + 1 } else { 0 };
        let looks_max = if given == 0 { FIRST_LOOKS_MAX } else { LOOKS_MAX };
        (swallowed >= FRAMES_MAX || self.looks >= looks_max).then_some(swallowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until it barks, at most this often; the number of looks.
    fn looks(watchdog: &mut Watchdog, max: u32, mut state: impl FnMut(u32) -> (u64, u64, bool)) -> Option<u32> {
        (1..=max).find(|look| {
            let (taken, given, busy) = state(*look);
            watchdog.look(taken, given, busy).is_some()
        })
    }

    #[test]
    fn sixty_frames_and_nothing() {
        // Three frames a look, as 150 fps are.
        let barked = looks(&mut Watchdog::new(0), 100, |look| (u64::from(look) * 3, 0, false));
        assert_eq!(barked, Some(20));
    }

    #[test]
    fn slow_frames_and_nothing_are_judged_by_time() {
        let mut watchdog = Watchdog::new(0);
        watchdog.look(50, 50, false);
        // 15 fps: a frame every third look.
        assert_eq!(looks(&mut watchdog, 100, |look| (50 + u64::from(look / 3), 50, false)), Some(LOOKS_MAX + 2));
    }

    #[test]
    fn a_frame_that_is_never_done_with() {
        let mut watchdog = Watchdog::new(0);
        watchdog.look(50, 50, false);
        assert_eq!(looks(&mut watchdog, 100, |_| (50, 50, true)), Some(LOOKS_MAX));
    }

    #[test]
    fn the_first_frame_may_take_longer() {
        assert_eq!(looks(&mut Watchdog::new(0), 1000, |_| (1, 0, true)), Some(FIRST_LOOKS_MAX));
        let mut slow_starter = Watchdog::new(0);
        let state = |look| if look < FIRST_LOOKS_MAX { (1, 0, true) } else { (1, 1, false) };
        assert_eq!(looks(&mut slow_starter, 1000, state), None);
    }

    #[test]
    fn an_encoder_without_frames_is_not_to_blame() {
        let mut watchdog = Watchdog::new(0);
        assert_eq!(looks(&mut watchdog, 1000, |_| (0, 0, false)), None);
        assert_eq!(looks(&mut watchdog, 1000, |_| (9, 9, false)), None);
    }

    #[test]
    fn one_that_puts_slow_frames_in_order_is_not_to_blame() {
        // A frame every 50 looks; two are kept back for the third.
        let taken = |look: u32| u64::from(look / 50);
        let mut watchdog = Watchdog::new(2);
        assert_eq!(looks(&mut watchdog, 5000, |look| (taken(look), taken(look) / 3 * 3, false)), None);
    }
}
