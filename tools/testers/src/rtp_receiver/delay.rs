//! How old pictures are when they come, where their packets say when they were captured (RFC 6051 section 3.3, ntp-64).

use std::time::{SystemTime, UNIX_EPOCH};

/// What the session description calls it.
pub const URI: &str = "urn:ietf:params:rtp-hdrext:ntp-64";
/// From NTP's epoch to that of Unix, in seconds.
const UNIX_EPOCH_S: i128 = 2_208_988_800;

#[derive(Debug, Default)]
pub struct Delays {
    count: u64,
    sum_ns: i128,
    min_ns: Option<i128>,
    max_ns: Option<i128>,
}

impl Delays {
    /// Takes in the time in an extension that came now.
    pub fn came(&mut self, extension: [u8; 8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).cast_signed();
        self.add(now - captured_ns(u64::from_be_bytes(extension)));
    }

    fn add(&mut self, delay_ns: i128) {
        self.count += 1;
        self.sum_ns += delay_ns;
        self.min_ns = Some(self.min_ns.map_or(delay_ns, |min| min.min(delay_ns)));
        self.max_ns = Some(self.max_ns.map_or(delay_ns, |max| max.max(delay_ns)));
    }

    /// Least, mean and greatest, in milliseconds.
    pub fn milliseconds(&self) -> [Option<f64>; 3] {
        let mean = (self.count > 0).then(|| self.sum_ns / i128::from(self.count));
        [self.min_ns, mean, self.max_ns].map(|ns| ns.map(|ns| (ns / 1000) as f64 / 1000.0))
    }
}

/// Nanoseconds since the Unix epoch.
fn captured_ns(ntp: u64) -> i128 {
    let (seconds, fraction) = (i128::from(ntp >> 32), i128::from(ntp & 0xffff_ffff));
    (seconds - UNIX_EPOCH_S) * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_delays() {
        assert_eq!(captured_ns(0x83aa_7e81_8000_0000), 1_500_000_000);
        let mut delays = Delays::default();
        assert_eq!(delays.milliseconds(), [None; 3]);
        [2_000_000, -1_000_000, 5_000_000].iter().for_each(|ns| delays.add(*ns));
        assert_eq!(delays.milliseconds(), [Some(-1.0), Some(2.0), Some(5.0)]);
    }
}
