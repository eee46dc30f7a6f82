//! How often something may happen.

use std::time::{Duration, Instant};

/// Spaces keyframe requests, whoever asks: one is passed on at once, the next ones wait for their time and become one.
#[derive(Debug)]
pub struct KeyframeLimit {
    spacing: Duration,
    last: Option<Instant>,
    waits: bool,
}

impl KeyframeLimit {
    /// One request in `spacing` at most.
    pub fn new(spacing: Duration) -> Self {
        Self { spacing, last: None, waits: false }
    }

    /// Somebody asks. Whether the encoder is to be asked now.
    pub fn ask(&mut self, now: Instant) -> bool {
        self.waits = true;
        self.look(now)
    }

    /// Whether the encoder is to be asked now, for those that asked before.
    pub fn look(&mut self, now: Instant) -> bool {
        let due = self.waits && self.due().is_none_or(|due| due <= now);
        if due {
            self.waits = false;
            self.last = Some(now);
        }
        due
    }

    /// A keyframe came: nobody waits for one any more.
    pub fn served(&mut self) {
        self.waits = false;
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Instant> {
        self.due().filter(|_| self.waits)
    }

    fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + self.spacing)
    }
}

/// Lets through so many a second, and twice as many at once.
#[derive(Debug)]
pub struct RateLimit {
    a_second: f64,
    left: f64,
    last: Instant,
}

impl RateLimit {
    /// So many a second.
    pub fn new(a_second: u32, now: Instant) -> Self {
        let a_second = f64::from(a_second);
        Self { a_second, left: 2.0 * a_second, last: now }
    }

    /// Whether one more may pass.
    pub fn pass(&mut self, now: Instant) -> bool {
        let more = now.saturating_duration_since(self.last).as_secs_f64() * self.a_second;
        self.left = (self.left + more).min(2.0 * self.a_second);
        self.last = now;
        let passes = self.left >= 1.0;
        if passes {
            self.left -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: Duration = Duration::from_millis(500);

    #[test]
    fn keyframes_are_asked_for_twice_a_second_at_most() {
        let (mut limit, start) = (KeyframeLimit::new(SPACING), Instant::now());
        let asked = (0..2000).filter(|ms| {
            let now = start + Duration::from_millis(*ms);
            limit.ask(now)
        });
        assert_eq!(asked.collect::<Vec<_>>(), [0, 500, 1000, 1500]);
    }

    #[test]
    fn who_asks_too_early_is_heard_later_unless_a_keyframe_came() {
        let (mut limit, start) = (KeyframeLimit::new(SPACING), Instant::now());
        assert!(limit.ask(start));
        assert_eq!(limit.deadline(), None);
        assert!(!limit.ask(start + SPACING / 2));
        assert_eq!(limit.deadline(), Some(start + SPACING));
        assert!(limit.look(start + SPACING));
        assert!(!limit.look(start + 3 * SPACING));
        assert!(!limit.ask(start + SPACING + SPACING / 2));
        limit.served();
        assert!(!limit.look(start + 3 * SPACING));
    }

    #[test]
    fn a_flood_is_let_through_at_its_rate() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, start);
        let passed = (0..10_000).filter(|ms| limit.pass(start + Duration::from_millis(*ms))).count();
        assert!((118..=120).contains(&passed), "{passed}");
    }
}
