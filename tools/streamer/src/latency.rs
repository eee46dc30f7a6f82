//! Percentiles of a run of any length in a fixed amount of memory.

use std::time::Duration;

/// Buckets for each power of two: a percentile is at most 1/32 above the true value.
const STEPS: u32 = 32;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Values are in microseconds; this many buckets reach past 2^40 µs, twelve days.
const BUCKETS: usize = (40 * STEPS) as usize;

/// A logarithmic histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), total: 0, sum: Duration::ZERO }
    }
}

impl Histogram {
    /// Takes one value in.
    pub fn record(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Values so far.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Values up to each of `bounds`, in seconds and rising, which are not up to the one before.
    pub fn buckets(&self, bounds: &[f64]) -> Vec<(f64, u64)> {
        let mut buckets = bounds.iter().map(|bound| (*bound, 0)).collect::<Vec<_>>();
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let seconds = upper_bound(index) as f64 / 1e6;
            if let Some((_, sum)) = buckets.iter_mut().find(|(bound, _)| seconds <= *bound) {
                *sum += count;
            }
        }
        buckets
    }

    /// The value that `percent` of the values do not exceed; `None` without values.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(upper_bound(at)))
    }
}

/// Values below `2 * STEPS` have a bucket of their own; above, each power of two is cut into `STEPS`.
fn bucket(micros: u64) -> usize {
    let exponent = micros.max(1).ilog2().saturating_sub(STEPS_BITS);
    let index = u64::from(exponent * STEPS) + (micros >> exponent);
    (index as usize).min(BUCKETS - 1)
}

/// Largest value of a bucket.
fn upper_bound(index: usize) -> u64 {
    let exponent = (index as u32 / STEPS).saturating_sub(1);
    let step = index as u64 - u64::from(exponent * STEPS);
    ((step + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_a_thirty_second() {
        for value in (0..100_000u64).chain((17..39).map(|bits| (1 << bits) + 12_345)) {
            let upper = upper_bound(bucket(value));
            assert!(upper >= value && upper - value <= value / 32, "{value} {upper}");
            assert!(bucket(value) == 0 || upper_bound(bucket(value) - 1) < value);
        }
    }

    #[test]
    fn percentiles_of_known_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        for micros in 1..=50 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.percentile(50.0), Some(Duration::from_micros(25)));
        assert_eq!(histogram.percentile(99.0), Some(Duration::from_micros(50)));
        assert_eq!(histogram.percentile(0.0), Some(Duration::from_micros(1)));
        assert_eq!((histogram.count(), histogram.sum()), (50, Duration::from_micros(1275)));
        let buckets = histogram.buckets(&[0.000_01, 0.000_02, f64::INFINITY]);
        assert_eq!(buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [10, 10, 30]);
    }

    #[test]
    fn values_past_the_end_are_kept() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert!(histogram.percentile(50.0).unwrap() > Duration::from_secs(86_400));
    }
}
