//! Whether a keyframe begins a stream with other parameter sets. Parsers keep quiet about a change that leaves the size as
//! it was, and outputs have to be told of every one.

use std::hash::{DefaultHasher, Hasher};

use cvmmap::Codec;
use tools_media::annex_b;

/// A digest of the parameter sets in front of a keyframe's slices; none when it has none there.
pub fn digest(codec: Codec, unit: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut found = false;
    for nal in annex_b::stream_units(unit) {
        match kind(codec, nal) {
            Kind::Slice => break,
            Kind::ParameterSet => {
                found = true;
                hasher.write(nal);
            }
            Kind::Other => {}
        }
    }
    found.then(|| hasher.finish())
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    ParameterSet,
    Slice,
    Other,
}

/// Source: ITU-T H.264 table 7-1, H.265 table 7-1.
fn kind(codec: Codec, nal: &[u8]) -> Kind {
    let first = nal.first().copied().unwrap_or_default();
    match codec {
        Codec::H264 => match first & 0x1f {
            1..=5 => Kind::Slice,
            7 | 8 => Kind::ParameterSet,
            _ => Kind::Other,
        },
        Codec::H265 => match first >> 1 & 0x3f {
            0..=31 => Kind::Slice,
            32..=34 => Kind::ParameterSet,
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_alone_count() {
        let plain = digest(Codec::H264, &[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9, 9]);
        assert!(plain.is_some());
        // A delimiter in front, three-byte start codes, trailing zeros, another slice.
        let same =
            [0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 0, 1, 0x65, 7, 0, 0, 1, 0x67];
        assert_eq!(digest(Codec::H264, &same), plain);
        let other = [0, 0, 0, 1, 0x67, 1, 3, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9, 9];
        assert_ne!(digest(Codec::H264, &other), plain);
    }

    #[test]
    fn units_without_parameter_sets_and_rubbish() {
        for unit in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x65, 1, 0, 0, 1, 0x67, 1], &[1, 2, 3], &[0, 0, 0, 0]] {
            assert_eq!(digest(Codec::H264, unit), None, "{unit:?}");
        }
        assert_eq!(digest(Codec::H265, &[0, 0, 1, 0x26, 1, 0xaa]), None);
        assert!(digest(Codec::H265, &[0, 0, 1, 0x40, 1, 5, 0, 0, 1, 0x26, 1]).is_some());
    }
}
