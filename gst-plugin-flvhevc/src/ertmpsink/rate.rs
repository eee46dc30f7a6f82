//! How many bytes a stream makes in a time.

/// Over how long the rate is taken.
const WINDOW_MS: u32 = 2000;

/// Bytes and timestamps of the tags that went by.
#[derive(Debug, Default)]
pub struct Rate {
    /// Begin of the window, and what came in it.
    window: Option<(u32, u64)>,
    bytes_per_second: Option<u64>,
}

impl Rate {
    pub fn add(&mut self, timestamp: u32, bytes: usize) {
        let Some((begin, so_far)) = &mut self.window else {
            self.window = Some((timestamp, bytes as u64));
            return;
        };
        let time = timestamp.wrapping_sub(*begin);
        if time >> 31 != 0 {
            // Back a little, or a new stream.
            self.window = Some((timestamp, bytes as u64));
        } else if time >= WINDOW_MS {
            self.bytes_per_second = Some(*so_far * 1000 / u64::from(time));
            self.window = Some((timestamp, bytes as u64));
        } else {
            *so_far += bytes as u64;
        }
    }

    /// `None` as long as it is not known.
    pub fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_two_seconds() {
        let mut rate = Rate::default();
        for frame in 0..=50 {
            assert_eq!(rate.bytes_per_second(), None);
            rate.add(frame * 40, 1500);
        }
        assert_eq!(rate.bytes_per_second(), Some(37_500));
        for frame in 51..=100 {
            rate.add(frame * 40, 3000);
        }
        assert_eq!(rate.bytes_per_second(), Some(74_250));
        rate.add(0, 1);
        assert_eq!(rate.bytes_per_second(), Some(74_250));
    }
}
