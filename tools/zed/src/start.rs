//! Where recordings of several cameras begin together: the rule of the ZED SDK's multi-camera playback sample, since 4.0.7.

/// The latest of the cameras' first timestamps.
pub fn common_start(firsts: impl IntoIterator<Item = u64>) -> Option<u64> {
    firsts.into_iter().max()
}

/// The picture that was taken nearest to a moment, the earlier of two as near; none outside the recording. How the SDK
/// rounds is not documented.
pub fn position_at(timestamps: &[u64], moment: u64) -> Option<usize> {
    let behind = timestamps.partition_point(|&timestamp| timestamp < moment);
    let after = *timestamps.get(behind)?;
    match behind.checked_sub(1) {
        None => (after == moment).then_some(0),
        Some(before) if moment - timestamps[before] <= after - moment => Some(before),
        Some(_) => Some(behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_camera_to_begin_decides() {
        assert_eq!(common_start([3, 9, 4]), Some(9));
    }

    #[test]
    fn the_nearest_picture_is_taken_and_the_earlier_of_two() {
        let timestamps = [10, 20, 31];
        for (moment, expected) in [
            (9, None),
            (10, Some(0)),
            (15, Some(0)),
            (16, Some(1)),
            (25, Some(1)),
            (26, Some(2)),
            (31, Some(2)),
            (32, None),
        ] {
            assert_eq!(position_at(&timestamps, moment), expected, "{moment}");
        }
    }
}
