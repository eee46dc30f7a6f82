//! How much two luma planes are alike.

/// Width and height of the small pictures by which frames are matched.
const SMALL: (usize, usize) = (160, 90);

/// What identical pictures are said to have, in place of infinity.
pub const IDENTICAL_DB: f64 = 100.0;

/// A luma plane, averaged down.
pub struct Small(Vec<u8>);

impl Small {
    pub fn of(luma: &[u8], width: usize, height: usize) -> Self {
        let mut small = Vec::with_capacity(SMALL.0 * SMALL.1);
        for row in 0..SMALL.1 {
            let rows = span(row, SMALL.1, height);
            for column in 0..SMALL.0 {
                let columns = span(column, SMALL.0, width);
                let sum: u64 = rows
                    .clone()
                    .flat_map(|y| &luma[y * width + columns.start..y * width + columns.end])
                    .map(|value| u64::from(*value))
                    .sum();
                let count = (rows.len() * columns.len()) as u64;
                small.push(((sum + count / 2) / count) as u8);
            }
        }
        Self(small)
    }

    /// Sum of squared differences.
    pub fn difference(&self, other: &Self) -> u64 {
        squared_difference(&self.0, &other.0)
    }

    /// As a mean over the pixels.
    pub fn mean_square(difference: u64) -> f64 {
        difference as f64 / (SMALL.0 * SMALL.1) as f64
    }
}

/// Which of `size` pixels make the one at `index` of `count`: one at least, where there are fewer.
fn span(index: usize, count: usize, size: usize) -> std::ops::Range<usize> {
    let start = index * size / count;
    let end = ((index + 1) * size / count).max(start + 1);
    start..end
}

/// Peak signal-to-noise ratio of 8-bit planes of the same size.
pub fn psnr(sent: &[u8], received: &[u8]) -> f64 {
    let difference = squared_difference(sent, received);
    if difference == 0 {
        return IDENTICAL_DB;
    }
    let mean = difference as f64 / sent.len() as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(IDENTICAL_DB)
}

fn squared_difference(one: &[u8], other: &[u8]) -> u64 {
    // Sums of a row's length fit in 32 bits, which are faster.
    one.chunks(4096)
        .zip(other.chunks(4096))
        .map(|(one, other)| {
            let sum: u32 = one
                .iter()
                .zip(other)
                .map(|(a, b)| {
                    let difference = u32::from(a.abs_diff(*b));
                    difference * difference
                })
                .sum();
            u64::from(sum)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_of_known_differences() {
        assert_eq!(psnr(&[5; 100], &[5; 100]), IDENTICAL_DB);
        // A mean square of 1 is 20 log10(255) dB.
        assert!((psnr(&[5; 100], &[6; 100]) - 48.1308).abs() < 1e-3);
        assert!(psnr(&[0; 10_000], &[255; 10_000]).abs() < 1e-9);
    }

    #[test]
    fn small_pictures_are_averages_of_any_size() {
        for (width, height) in [(160, 90), (640, 360), (17, 5), (1, 1), (321, 241)] {
            let small = Small::of(&vec![77; width * height], width, height);
            assert!(small.0.iter().all(|value| *value == 77));
        }
        let mut luma = vec![0; 320 * 180];
        luma[..2].fill(255);
        assert_eq!(Small::of(&luma, 320, 180).0[0], 128);
    }
}
