//! What is in an access unit. Source: ITU-T H.264, 7.3.1, 7.3.3 and table 7-1; H.265, 7.3.1.2, 7.3.6.1 and table 7-1.

use cvmmap::Codec;
use tools_media::annex_b;

/// What a message of video holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessUnit {
    /// Whether it begins with a start code.
    pub is_byte_stream: bool,
    /// Whether decoding can start here.
    pub is_keyframe: bool,
    /// Whether SPS and PPS, and with H.265 VPS, are there.
    pub has_parameter_sets: bool,
    /// How many pictures begin in it.
    pub pictures: usize,
}

impl AccessUnit {
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        let is_byte_stream = bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1]);
        let mut unit = Self { is_byte_stream, ..Self::default() };
        let wanted: &[u8] = match codec {
            Codec::H264 => &[7, 8],
            Codec::H265 => &[32, 33, 34],
        };
        let mut sets = vec![false; wanted.len()];
        for nal in annex_b::stream_units(bytes) {
            let Some(header) = nal.first() else { continue };
            // Of a slice: the first bit behind the header is set in the first one of a picture.
            let (kind, is_slice, is_key, slice_header) = match codec {
                Codec::H264 => {
                    let kind = header & 0x1F;
                    (kind, (1..=5).contains(&kind), kind == 5, 1)
                }
                Codec::H265 => {
                    let kind = header >> 1 & 0x3F;
                    (kind, kind < 32, (16..=23).contains(&kind), 2)
                }
            };
            // Of slices in data partitions only the first one has a header.
            let begins = nal.get(slice_header).is_some_and(|byte| byte & 0x80 != 0);
            let is_partition = codec == Codec::H264 && (3..=4).contains(&kind);
            unit.pictures += usize::from(is_slice && begins && !is_partition);
            unit.is_keyframe |= is_key;
            for (set, wanted) in sets.iter_mut().zip(wanted) {
                *set |= kind == *wanted;
            }
        }
        unit.has_parameter_sets = sets.into_iter().all(|set| set);
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(codec: Codec, nals: &[&[u8]]) -> AccessUnit {
        let bytes = nals.iter().flat_map(|nal| [&[0, 0, 1], *nal].concat()).collect::<Vec<_>>();
        AccessUnit::of(codec, &bytes)
    }

    #[test]
    fn pictures_are_counted_by_their_first_slices() {
        let nals: [&[u8]; 5] = [&[0x67, 1], &[0x68, 1], &[0x65, 0x88], &[0x65, 0x44], &[0x41, 0x9A]];
        let [sps, pps, first, further, delta] = nals;
        let whole = AccessUnit { is_byte_stream: true, is_keyframe: true, has_parameter_sets: true, pictures: 1 };
        assert_eq!(unit(Codec::H264, &[sps, pps, first, further]), whole);
        assert_eq!(unit(Codec::H264, &[sps, pps, first, delta]), AccessUnit { pictures: 2, ..whole });
        assert_eq!(unit(Codec::H264, &[sps, first]), AccessUnit { has_parameter_sets: false, ..whole });
        let only_delta = AccessUnit { is_keyframe: false, has_parameter_sets: false, ..whole };
        assert_eq!(unit(Codec::H264, &[delta]), only_delta);
        let sets: [&[u8]; 3] = [&[0x40, 1, 1], &[0x42, 1, 1], &[0x44, 1, 1]];
        assert_eq!(unit(Codec::H265, &[sets[0], sets[1], sets[2], &[0x26, 1, 0x80], &[0x26, 1, 0x40]]), whole);
        assert_eq!(unit(Codec::H265, &[&[0x02, 1, 0x80]]), only_delta);
    }

    #[test]
    fn what_is_none_has_no_picture() {
        for bytes in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x65], &[0, 0, 0, 2, 0x65, 0x88]] {
            assert_eq!(AccessUnit::of(Codec::H264, bytes).pictures, 0, "{bytes:?}");
        }
        assert!(!AccessUnit::of(Codec::H264, &[0, 0, 0, 2, 0x65, 0x88]).is_byte_stream);
    }
}
