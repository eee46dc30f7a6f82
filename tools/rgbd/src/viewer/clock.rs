//! When the next frame is due while a recording plays, in the time it was recorded in.

use std::time::{Duration, Instant};

/// From one frame to the next where time does not go on.
const USUAL: Duration = Duration::from_millis(33);

/// Plays, or does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// When the next frame is due; none while it stands.
    due: Option<Instant>,
}

impl Clock {
    pub fn is_playing(self) -> bool {
        self.due.is_some()
    }

    pub fn stop(&mut self) {
        self.due = None;
    }

    /// Plays from a frame on, whose time and the following ones' are in `times`.
    pub fn play(&mut self, now: Instant, times: &[u64], frame: usize) {
        self.due = interval(times, frame).map(|interval| now + interval);
    }

    /// The frame to show now, after `frame`. Stops at the last one.
    pub fn tick(&mut self, now: Instant, times: &[u64], mut frame: usize) -> usize {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            frame = (frame + 1).min(times.len().saturating_sub(1));
            self.due = interval(times, frame).map(|interval| due + interval);
        }
        frame
    }

    /// How long nothing changes.
    pub fn patience(self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }
}

fn interval(times: &[u64], frame: usize) -> Option<Duration> {
    let (this, next) = (times.get(frame)?, times.get(frame + 1)?);
    let interval = next.checked_sub(*this).filter(|interval| *interval > 0);
    Some(interval.map_or(USUAL, Duration::from_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_their_time_and_end() {
        let times = [0, 40_000_000, 100_000_000, 90_000_000, 130_000_000];
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut clock = Clock::default();
        assert_eq!(clock.tick(at(1000), &times, 1), 1);
        clock.play(begin, &times, 0);
        assert_eq!(clock.tick(at(39), &times, 0), 0);
        assert_eq!(clock.patience(at(30)), Some(Duration::from_millis(10)));
        assert_eq!(clock.tick(at(41), &times, 0), 1);
        // Late: one is left out, and time that goes back takes no longer than usual.
        assert_eq!(clock.tick(at(134), &times, 1), 3);
        assert!(clock.is_playing());
        assert_eq!(clock.tick(at(10_000), &times, 3), 4);
        assert!(!clock.is_playing());
        clock.play(begin, &times, 4);
        assert!(!clock.is_playing());
    }
}
