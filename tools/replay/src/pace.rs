//! When the next frame is due.

use std::time::{Duration, Instant};

/// A replay that is further behind does not hurry after its timeline.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// Keeps the pace of a recording.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    last: Option<(u64, Instant)>,
    /// The last time from one frame to the next.
    interval: Duration,
}

impl Pace {
    /// `speed` times as fast as it was recorded.
    pub fn new(speed: f64) -> Self {
        Self { speed, last: None, interval: Duration::ZERO }
    }

    /// The next frame is due at once, wherever it is.
    pub fn jump(&mut self) {
        self.last = None;
    }

    /// When a frame of this capture time is due, at `now` the earliest for the first. A clock that went back, as at the
    /// end of a loop, costs as much time as the frame before.
    pub fn due(&mut self, timestamp_ns: u64, now: Instant) -> Instant {
        let due = self.last.map_or(now, |(last, due)| {
            if let Some(passed) = timestamp_ns.checked_sub(last) {
                let interval = Duration::from_nanos(passed).as_secs_f64() / self.speed;
                // One of several centuries is none.
                self.interval = Duration::try_from_secs_f64(interval).unwrap_or_default();
            }
            due.checked_add(self.interval).unwrap_or(now).max(now.checked_sub(BEHIND_MAX).unwrap_or(now))
        });
        self.last = Some((timestamp_ns, due));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn intervals_are_kept_and_scaled() {
        let now = Instant::now();
        let mut pace = Pace::new(2.0);
        assert_eq!(pace.due(1000 * MS, now), now);
        assert_eq!(pace.due(1100 * MS, now), now + Duration::from_millis(50));
        assert_eq!(pace.due(900 * MS, now), now + Duration::from_millis(100));
        assert_eq!(pace.due(1000 * MS, now), now + Duration::from_millis(150));
        pace.jump();
        assert_eq!(pace.due(2000 * MS, now), now);
        assert_eq!(pace.due(900 * MS, now), now + Duration::from_millis(50));
    }

    #[test]
    fn who_is_behind_does_not_hurry_for_ever() {
        let now = Instant::now();
        let mut pace = Pace::new(1.0);
        pace.due(0, now);
        let late = now + Duration::from_secs(10);
        assert_eq!(pace.due(100 * MS, late), late - BEHIND_MAX);
        assert_eq!(pace.due(u64::MAX, late).max(late), pace.last.unwrap().1);
    }
}
