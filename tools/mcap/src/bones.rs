//! Which keypoints of a skeleton are joined, for everything that draws one. Source: the ZED SDK's body formats.

use cvmmap::body::Format;

/// Keypoints of which each is joined to the next, such as those of a leg.
type Limb = &'static [u8];

/// The keypoints at the two ends of each bone.
pub fn of(format: Format) -> impl Iterator<Item = [usize; 2]> {
    let bones = limbs(format).iter().flat_map(|limb| limb.windows(2));
    bones.map(|ends| [ends[0].into(), ends[1].into()])
}

/// The keypoint that a body's name stands at: the head, or the nose where the head is none.
pub fn head(format: Format) -> usize {
    match format {
        Format::Body18 => 0,
        Format::Body34 => 26,
        Format::Body38 => 5,
    }
}

fn limbs(format: Format) -> &'static [Limb] {
    match format {
        Format::Body18 => {
            &[&[1, 0, 14, 16], &[0, 15, 17], &[1, 2, 3, 4], &[1, 5, 6, 7], &[2, 8, 9, 10], &[5, 11, 12, 13], &[8, 11]]
        }
        Format::Body34 => &[
            &[0, 1, 2, 3, 26, 27],
            &[27, 28, 29],
            &[27, 30, 31],
            &[2, 4, 5, 6, 7, 8, 9],
            &[7, 10],
            &[2, 11, 12, 13, 14, 15, 16],
            &[14, 17],
            &[0, 18, 19, 20, 21],
            &[20, 32, 21],
            &[0, 22, 23, 24, 25],
            &[24, 33, 25],
        ],
        Format::Body38 => &[
            &[0, 1, 2, 3, 4, 5],
            &[5, 6, 8],
            &[5, 7, 9],
            &[3, 10, 12, 14, 16, 30],
            &[16, 32],
            &[16, 34],
            &[16, 36],
            &[3, 11, 13, 15, 17, 31],
            &[17, 33],
            &[17, 35],
            &[17, 37],
            &[0, 18, 20, 22, 24],
            &[22, 26],
            &[22, 28],
            &[0, 19, 21, 23, 25],
            &[23, 27],
            &[23, 29],
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keypoint_hangs_on_the_others() {
        for format in [Format::Body18, Format::Body34, Format::Body38] {
            let mut reached = vec![false; format.keypoints()];
            reached[head(format)] = true;
            for _ in 0..format.keypoints() {
                for [from, to] in of(format) {
                    let is_reached = reached[from] || reached[to];
                    (reached[from], reached[to]) = (is_reached, is_reached);
                }
            }
            assert!(reached.iter().all(|reached| *reached), "{format:?}: {reached:?}");
        }
    }

    #[test]
    fn no_bone_is_there_twice() {
        for format in [Format::Body18, Format::Body34, Format::Body38] {
            let mut bones = of(format).map(|[from, to]| [from.min(to), from.max(to)]).collect::<Vec<_>>();
            let count = bones.len();
            bones.sort_unstable();
            bones.dedup();
            assert!(bones.len() == count && bones.iter().all(|[from, to]| from < to), "{format:?}");
        }
    }
}
