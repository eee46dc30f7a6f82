//! How long to wait before the next attempt.

use std::time::Duration;

/// Bounds of the wait between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first wait is at least this.
    pub min: Duration,
    /// No wait is longer.
    pub max: Duration,
}

/// Waits that double from one failure to the next, each spread at random so that many clients of a server that comes
/// back do not come all at once.
#[derive(Debug)]
pub struct Backoff {
    bounds: Bounds,
    /// Since the last success.
    failures: u32,
}

impl Backoff {
    /// Waits within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, failures: 0 }
    }

    /// An attempt has succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt has failed: how long to wait. `random` is from 0 to 1.
    pub fn fail(&mut self, random: f64) -> Duration {
        let Bounds { min, max } = self.bounds;
        self.failures = self.failures.saturating_add(1);
        let longest = min.saturating_mul(2u32.saturating_pow(self.failures)).min(max);
        let shortest = (longest / 2).max(min).min(longest);
        shortest + (longest - shortest).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds_and_start_over_after_a_success() {
        let [min, max] = [250, 1500].map(Duration::from_millis);
        let mut backoff = Backoff::new(Bounds { min, max });
        let mut ranges = Vec::new();
        for _ in 0..4 {
            let mut same = Backoff { failures: backoff.failures, ..backoff };
            ranges.push((same.fail(0.0).as_millis(), backoff.fail(1.0).as_millis()));
        }
        assert_eq!(ranges, [(250, 500), (500, 1000), (750, 1500), (750, 1500)]);
        for _ in 0..100 {
            assert!(backoff.fail(0.5) <= max);
        }
        backoff.reset();
        assert_eq!(backoff.fail(0.0), min);
        let mut constant = Backoff::new(Bounds { min, max: min });
        assert_eq!([constant.fail(0.0), constant.fail(1.0)], [min, min]);
    }
}
