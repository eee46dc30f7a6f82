//! Frames at a pace.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

/// Ticks at a fixed rate. A tick that was missed is not made up for.
pub struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// `fps` 0 does not wait at all.
    pub fn new(fps: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(fps).unwrap_or_default();
        Self { interval, next: Instant::now() }
    }

    pub fn wait(&mut self) {
        let now = Instant::now();
        match self.next.checked_duration_since(now) {
            Some(left) => {
                thread::sleep(left);
                self.next += self.interval;
            }
            None => self.next = now + self.interval,
        }
    }
}

/// Nanoseconds since the Unix epoch.
pub fn unix_now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64
}

/// Nanoseconds since the machine started.
pub fn boot_now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
