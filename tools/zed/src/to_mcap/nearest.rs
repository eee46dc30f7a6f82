//! Which picture of a camera goes with each moment of a timeline.

/// How far from the nearest picture the one may be that a moment gets, in pictures.
const REACH: usize = 2;
/// Numbers of pictures that may be used up behind a moment.
const STATES: usize = 2 * REACH + 2;

#[derive(Clone, Copy, Debug)]
enum Way {
    /// A picture goes with no moment.
    Leave,
    /// A moment gets no picture.
    Miss,
    /// The moment gets the picture.
    Take,
}

/// For each moment the number of the picture that goes with it. Pictures are given in order, each once, so that the sum of
/// their distances to the moments is the least, where a moment without a picture counts like a distance of `interval`:
/// none gets a picture that is further away, and two cameras that are half an interval apart go on side by side however
/// their intervals tremble.
pub fn assign(timestamps: &[u64], moments: &[u64], interval: u64) -> Vec<Option<usize>> {
    let windows: Vec<_> = moments.iter().map(|&moment| window(timestamps, moment)).collect();
    let mut ways = Vec::with_capacity(moments.len());
    // The least sums up to the last moment, by how many pictures are used up, from the window's begin on.
    let mut sums = [0_u64; STATES];
    let mut before: Option<(usize, usize)> = None;
    for (&moment, &(low, high)) in moments.iter().zip(&windows) {
        let sum_before = |used: usize| match before {
            Some((low, high)) => sums[used.min(high) - low],
            None => 0,
        };
        let mut next = [u64::MAX; STATES];
        let mut chosen = [Way::Miss; STATES];
        for used in low..=high {
            let (mut best, mut way) = (sum_before(used).saturating_add(interval), Way::Miss);
            if let Some(picture) = used.checked_sub(1).filter(|picture| *picture >= low) {
                if next[picture - low] <= best {
                    (best, way) = (next[picture - low], Way::Leave);
                }
                let taken = sum_before(picture).saturating_add(timestamps[picture].abs_diff(moment));
                if taken < best {
                    (best, way) = (taken, Way::Take);
                }
            }
            (next[used - low], chosen[used - low]) = (best, way);
        }
        ways.push(chosen);
        (sums, before) = (next, Some((low, high)));
    }
    let mut pictures = vec![None; moments.len()];
    let mut used = usize::MAX;
    for (at, &(low, high)) in windows.iter().enumerate().rev() {
        used = used.min(high);
        loop {
            match ways[at][used - low] {
                Way::Leave => used -= 1,
                Way::Miss => break,
                Way::Take => {
                    used -= 1;
                    pictures[at] = Some(used);
                    break;
                }
            }
        }
    }
    pictures
}

/// How many pictures may be used up before the first that a moment may get, and behind the last.
fn window(timestamps: &[u64], moment: u64) -> (usize, usize) {
    let behind = timestamps.partition_point(|&timestamp| timestamp < moment);
    let nearest = match behind.checked_sub(1) {
        Some(before) if timestamps.get(behind).is_none_or(|&after| moment - timestamps[before] <= after - moment) => {
            before
        }
        _ => behind,
    };
    (nearest.saturating_sub(REACH), (nearest + REACH + 1).min(timestamps.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(interval: u64, from: u64, count: u64) -> Vec<u64> {
        (0..count).map(|number| from + number * interval).collect()
    }

    #[test]
    fn a_faster_camera_gives_its_nearest_pictures() {
        let pictures = assign(&every(33, 5, 40), &every(100, 0, 13), 100);
        let nearest = (0..13_u64).map(|at| Some(((at * 100).saturating_sub(5) as f64 / 33.0).round() as usize));
        assert_eq!(pictures, nearest.collect::<Vec<_>>());
    }

    #[test]
    fn cameras_half_an_interval_apart_stay_side_by_side() {
        // Now the picture before is nearer, now the one behind.
        let moments: Vec<_> = (0..50_u64).map(|at| 1000 + at * 100 + at * 7 % 5).collect();
        let timestamps: Vec<_> = (0..50_u64).map(|at| 950 + at * 100 + at * 3 % 5).collect();
        let pictures = assign(&timestamps, &moments, 100);
        let first = pictures[0].unwrap();
        assert_eq!(pictures, (first..first + 50).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn a_pause_is_no_reason_to_be_late_for_ever() {
        // Ten pictures are not there.
        let mut timestamps = every(100, 10, 50);
        timestamps.drain(20..30);
        let pictures = assign(&timestamps, &every(100, 0, 50), 100);
        for (at, picture) in pictures.iter().enumerate() {
            let expected = match at {
                0..20 => Some(at),
                20..30 => None,
                _ => Some(at - 10),
            };
            assert_eq!(*picture, expected, "{at}");
        }
    }

    #[test]
    fn nothing_is_given_twice_and_nothing_out_of_order() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let mut timestamps: Vec<_> = (0..=random(60)).map(|_| random(3000)).collect();
            let mut moments: Vec<_> = (0..=random(60)).map(|_| random(3000)).collect();
            timestamps.sort_unstable();
            moments.sort_unstable();
            let pictures = assign(&timestamps, &moments, 100);
            assert!(pictures.iter().flatten().is_sorted_by(|one, next| one < next), "{pictures:?}");
            for (picture, moment) in pictures.iter().zip(&moments) {
                assert!(picture.is_none_or(|picture| timestamps[picture].abs_diff(*moment) <= 100));
            }
        }
    }
}
