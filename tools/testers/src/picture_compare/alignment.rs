//! Which sent frame each received one is.

use super::likeness::Small;

/// How much better an earlier sent frame has to fit before a received one is taken for a repetition: encoding
/// noise blurs what differs little.
const REPETITION_FACTOR: u64 = 4;

/// Mean squares below this are rounding.
const NOISE: f64 = 1.0;

/// How far back repetitions are looked for.
const REPETITION_REACH: usize = 60;

/// Pairs of frames to compare at most. The work grows with received frames times left-out frames.
const MAX_PAIRS: usize = 1_000_000;

#[derive(Debug, PartialEq, Eq)]
pub enum AlignmentError {
    /// There are more received frames than sent ones.
    TooManyReceived,
    /// The clips are too long and too different in length.
    TooMuchWork,
}

/// For each received frame the index of its sent frame, strictly increasing, with the least difference over all.
pub fn align(sent: &[Small], received: &[Small]) -> Result<Vec<usize>, AlignmentError> {
    let Some(late) = sent.len().checked_sub(received.len()) else {
        return Err(AlignmentError::TooManyReceived);
    };
    let width = late + 1;
    if received.len().saturating_mul(width) > MAX_PAIRS {
        return Err(AlignmentError::TooMuchWork);
    }
    // Received frame i is sent frame i + d, and d, the frames left out so far, never shrinks: the best way to end
    // at d is the best to have come to any d' <= d before.
    let mut totals = vec![0_u64; width];
    let mut origins = Vec::with_capacity(received.len() * width);
    for (index, frame) in received.iter().enumerate() {
        let mut best = (u64::MAX, 0);
        for (left_out, total) in totals.iter_mut().enumerate() {
            if *total < best.0 {
                best = (*total, left_out);
            }
            origins.push(best.1);
            *total = best.0 + frame.difference(&sent[index + left_out]);
        }
    }
    let mut left_out = totals.iter().enumerate().min_by_key(|(_, total)| **total).map_or(0, |(left_out, _)| left_out);
    let mut matches = vec![0; received.len()];
    for index in (0..received.len()).rev() {
        matches[index] = index + left_out;
        left_out = origins[index * width + left_out];
    }
    Ok(matches)
}

/// The first received frame that shows an earlier sent frame rather than its own: its index and that frame's.
pub fn find_repetition(sent: &[Small], received: &[Small], matches: &[usize]) -> Option<(usize, usize)> {
    (1..received.len()).find_map(|index| {
        let own = received[index].difference(&sent[matches[index]]);
        if Small::mean_square(own) <= NOISE {
            return None;
        }
        let latest = matches[index - 1];
        (latest.saturating_sub(REPETITION_REACH)..=latest)
            .map(|earlier| (received[index].difference(&sent[earlier]), earlier))
            .min()
            .filter(|(difference, _)| difference * REPETITION_FACTOR < own)
            .map(|(_, earlier)| (index, earlier))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar that moves by a pixel each frame.
    fn frame(number: usize) -> Small {
        let mut luma = vec![20; 160 * 90];
        for row in luma.chunks_mut(160) {
            row[number..number + 8].fill(200);
        }
        Small::of(&luma, 160, 90)
    }

    fn frames(numbers: impl IntoIterator<Item = usize>) -> Vec<Small> {
        numbers.into_iter().map(frame).collect()
    }

    #[test]
    fn a_late_start_and_left_out_frames_are_found() {
        let sent = frames(0..40);
        let numbers = [5, 6, 7, 11, 12, 30, 39];
        let received = frames(numbers);
        let matches = align(&sent, &received).unwrap();
        assert_eq!(matches, numbers);
        assert_eq!(find_repetition(&sent, &received, &matches), None);
    }

    #[test]
    fn a_repeated_frame_is_found() {
        let sent = frames(0..40);
        let received = frames([5, 6, 7, 7, 9, 10]);
        let matches = align(&sent, &received).unwrap();
        assert!(matches.is_sorted_by(|a, b| a < b));
        assert_eq!(find_repetition(&sent, &received, &matches), Some((3, 7)));
    }

    #[test]
    fn going_back_is_found() {
        let sent = frames(0..40);
        let received = frames([5, 6, 7, 8, 3, 9, 10, 11]);
        let matches = align(&sent, &received).unwrap();
        assert_eq!(find_repetition(&sent, &received, &matches), Some((4, 3)));
    }

    #[test]
    fn a_still_picture_repeats_nothing() {
        let sent = frames([7; 20]);
        let received = frames([7; 12]);
        let matches = align(&sent, &received).unwrap();
        assert_eq!(matches, (0..12).collect::<Vec<_>>());
        assert_eq!(find_repetition(&sent, &received, &matches), None);
    }

    #[test]
    fn limits() {
        assert_eq!(align(&frames([1]), &frames([1, 2])), Err(AlignmentError::TooManyReceived));
        assert_eq!(align(&frames([1]), &[]), Ok(Vec::new()));
    }
}
