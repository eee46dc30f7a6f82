//! When the next frame is due.

use std::time::{Duration, Instant};

/// A replay that is further behind does not hurry after its timeline.
const BEHIND_MAX: Duration = Duration::from_millis(500);

/// Keeps the pace of a recording.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    last: Option<(u64, Instant)>,
}

impl Pace {
    /// `speed` times as fast as it was recorded.
    pub fn new(speed: f64) -> Self {
        Self { speed, last: None }
    }

    /// When a frame of this capture time is due, at `now` the earliest for the first. A clock that went back costs no
    /// time.
    pub fn due(&mut self, timestamp_ns: u64, now: Instant) -> Instant {
        let due = self.last.map_or(now, |(last, due)| {
            let interval = Duration::from_nanos(timestamp_ns.saturating_sub(last)).as_secs_f64() / self.speed;
            // A recording of several centuries ends here.
            let due = Duration::try_from_secs_f64(interval).ok().and_then(|interval| due.checked_add(interval));
            due.unwrap_or(now).max(now.checked_sub(BEHIND_MAX).unwrap_or(now))
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
        assert_eq!(pace.due(900 * MS, now), now + Duration::from_millis(50));
        assert_eq!(pace.due(1000 * MS, now), now + Duration::from_millis(100));
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
