//! What the clocks say when a frame is stamped.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One instant on every clock that matters, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Running time of the pipeline.
    pub(crate) running: i64,
    /// Unix time.
    pub(crate) unix: i64,
    /// Time since the frame arrived.
    pub(crate) since_arrival: i64,
}

/// Two clocks read further apart than this were not read at one instant: something came in between.
const ONE_INSTANT: Duration = Duration::from_micros(50);
/// Tries to read them closer together.
const READINGS: usize = 5;

impl Now {
    /// Reads the clocks for a frame that arrived at `arrived`: `running` gives running time, nanoseconds.
    pub(crate) fn read(running: impl Fn() -> i64, arrived: Instant) -> Self {
        let reading = || {
            let before = unix_now();
            let (running, since_arrival) = (running(), arrived.elapsed().as_nanos() as i64);
            let apart = unix_now().saturating_sub(before).abs();
            (apart, Self { running, unix: before.saturating_add(apart / 2), since_arrival })
        };
        let (mut least, mut now) = reading();
        for _ in 1..READINGS {
            if least <= nanos(ONE_INSTANT) {
                break;
            }
            let (apart, again) = reading();
            if apart < least {
                (least, now) = (apart, again);
            }
        }
        now
    }
}

/// Nanoseconds since the Unix epoch.
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds of a duration.
pub(crate) fn nanos(duration: Duration) -> i64 {
    duration.as_nanos() as i64
}
