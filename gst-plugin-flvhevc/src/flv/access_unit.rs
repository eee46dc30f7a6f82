//! A look over the NAL units of an access unit: do their lengths add up, and can decoding start here?

use super::{bytes::Bytes, video::VideoFormat};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessUnitError {
    #[error("it is empty")]
    Empty,
    #[error("it begins with an Annex B start code in place of a NAL unit length")]
    StartCode,
    #[error("the length of NAL unit {index} exceeds the {left} bytes that are left")]
    Overrun { index: usize, left: usize },
    #[error("NAL unit {index} is shorter than its header")]
    ShortUnit { index: usize },
    #[error("NAL unit {index} has its forbidden_zero_bit set")]
    ForbiddenBit { index: usize },
}

/// Checks an access unit whose NAL units stand behind lengths of `length_size` bytes, and tells whether it is a keyframe.
///
/// The bitstream decides: an H.265 IRAP picture (types 16 to 21) or an H.264 IDR picture is one whatever upstream said.
/// H.264 also has streams that refresh without IDR pictures; there an I slice that upstream does not call a delta unit counts.
pub fn is_keyframe(
    format: VideoFormat,
    length_size: usize,
    data: &[u8],
    delta_unit: bool,
) -> Result<bool, AccessUnitError> {
    walk(format, length_size, data, delta_unit).map_err(|error| match data {
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => AccessUnitError::StartCode,
        _ => error,
    })
}

fn walk(format: VideoFormat, length_size: usize, data: &[u8], delta_unit: bool) -> Result<bool, AccessUnitError> {
    if data.is_empty() {
        return Err(AccessUnitError::Empty);
    }
    let mut keyframe = false;
    let mut first_slice = None;
    let mut bytes = Bytes::new(data);
    let mut index = 0;
    while !bytes.is_empty() {
        let left = bytes.len();
        let overrun = || AccessUnitError::Overrun { index, left };
        let size = bytes.number(length_size).ok_or_else(overrun)?;
        let unit = bytes.take(size as usize).ok_or_else(overrun)?;
        let header_size = if format.is_hevc() { 2 } else { 1 };
        if unit.len() < header_size {
            return Err(AccessUnitError::ShortUnit { index });
        }
        if unit[0] & 0x80 != 0 {
            return Err(AccessUnitError::ForbiddenBit { index });
        }
        if format.is_hevc() {
            keyframe |= (16..=21).contains(&(unit[0] >> 1));
        } else {
            match unit[0] & 0x1F {
                5 => keyframe = true,
                1 => first_slice = first_slice.or(Some(unit)),
                _ => (),
            }
        }
        index += 1;
    }
    Ok(keyframe || (!delta_unit && first_slice.is_some_and(is_intra_slice)))
}

/// Whether an H.264 slice header (7.3.3) says I or SI: slice_type behind first_mb_in_slice, both Exp-Golomb coded.
fn is_intra_slice(slice: &[u8]) -> bool {
    let mut bits = slice[1..].iter().flat_map(|byte| (0..8).rev().map(move |bit| u64::from(byte >> bit & 1)));
    let mut exp_golomb = || {
        let zeros = bits.by_ref().take_while(|bit| *bit == 0).take(32).count();
        (zeros < 32).then_some(())?;
        let mut value = 1;
        for _ in 0..zeros {
            value = value << 1 | bits.next()?;
        }
        Some(value - 1)
    };
    exp_golomb();
    matches!(exp_golomb(), Some(2 | 4 | 7 | 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
    }

    fn hevc(nal_types: &[u8]) -> Result<bool, AccessUnitError> {
        let data: Vec<u8> = nal_types.iter().flat_map(|nal_type| unit(&[nal_type << 1, 1, 0xAA])).collect();
        is_keyframe(VideoFormat::EnhancedHevc, 4, &data, false)
    }

    fn avc(units: &[&[u8]], delta_unit: bool) -> Result<bool, AccessUnitError> {
        let data: Vec<u8> = units.iter().flat_map(|bytes| unit(bytes)).collect();
        is_keyframe(VideoFormat::Avc, 4, &data, delta_unit)
    }

    #[test]
    fn hevc_keyframes_are_irap_pictures() {
        for nal_type in 0..64 {
            assert_eq!(hevc(&[nal_type]), Ok((16..=21).contains(&nal_type)));
        }
        assert_eq!(hevc(&[35, 32, 33, 34, 39, 19]), Ok(true));
        assert_eq!(hevc(&[35, 1]), Ok(false));
    }

    #[test]
    fn avc_keyframes_are_idr_or_flagged_intra() {
        assert_eq!(avc(&[&[0x09, 0x10], &[0x65, 0x88]], true), Ok(true));
        // first_mb 0, slice types 7 (I), 5 (P), 2 (I) and 0 (P).
        assert_eq!(avc(&[&[0x41, 0x88]], false), Ok(true));
        assert_eq!(avc(&[&[0x41, 0x88]], true), Ok(false));
        assert_eq!(avc(&[&[0x41, 0x98]], false), Ok(false));
        assert_eq!(avc(&[&[0x41, 0b1011_0000]], false), Ok(true));
        assert_eq!(avc(&[&[0x41, 0b1100_0000]], false), Ok(false));
        assert_eq!(avc(&[&[0x41]], false), Ok(false));
        assert_eq!(avc(&[&[0x41, 0, 0, 0, 0, 0]], false), Ok(false));
        assert_eq!(avc(&[&[0x06, 0x05]], false), Ok(false));
    }

    #[test]
    fn lengths_must_add_up() {
        let check = |data: &[u8]| is_keyframe(VideoFormat::EnhancedHevc, 4, data, false);
        assert_eq!(check(&[]), Err(AccessUnitError::Empty));
        let overrun = |index, left| Err(AccessUnitError::Overrun { index, left });
        assert_eq!(check(&[0, 0, 0]), overrun(0, 3));
        assert_eq!(check(&[0, 0, 0, 3, 2, 1]), overrun(0, 6));
        assert_eq!(check(&[0, 0, 0, 2, 2, 1, 0]), overrun(1, 1));
        assert_eq!(check(&[0xFF; 8]), overrun(0, 8));
        assert_eq!(check(&[0, 0, 0, 0]), Err(AccessUnitError::ShortUnit { index: 0 }));
        assert_eq!(check(&[0, 0, 0, 2, 0x82, 1]), Err(AccessUnitError::ForbiddenBit { index: 0 }));
    }

    #[test]
    fn start_codes_are_recognised() {
        let annex_b = [0, 0, 0, 1, 0x40, 1, 0x0c, 1, 0, 0, 0, 1, 0x42, 1];
        for data in [&annex_b[..], &annex_b[1..]] {
            let result = is_keyframe(VideoFormat::DomesticHevc, 4, data, false);
            assert_eq!(result, Err(AccessUnitError::StartCode));
        }
    }

    #[test]
    fn short_lengths_work() {
        let data = [2, 0x28, 1, 3, 0x02, 1, 0];
        assert_eq!(is_keyframe(VideoFormat::DomesticHevc, 1, &data, true), Ok(true));
    }
}
