//! HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).

use super::{
    bytes::Bytes,
    parameter_sets::{self, BadRun, check_run},
};

const FIXED_SIZE: usize = 23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HvccError {
    #[error("hvcC has {0} bytes, at least {FIXED_SIZE} are needed")]
    Short(usize),
    #[error("hvcC has version {0} in place of 1")]
    Version(u8),
    #[error("hvcC states profile 0, which readers refuse")]
    NoProfile,
    #[error("hvcC states level 0")]
    NoLevel,
    #[error("hvcC states NAL unit lengths of 3 bytes, which ISO/IEC 14496-15 does not allow")]
    LengthSize,
    #[error("hvcC ends within its parameter sets")]
    Truncated,
    #[error("hvcC has {0} bytes behind its last array")]
    Trailing(usize),
    #[error("hvcC has a NAL unit that is not of its array's type {0}")]
    WrongType(u8),
    #[error("hvcC lacks a {0}")]
    Missing(&'static str),
}

/// Checks a record and returns the size of the NAL unit lengths in the stream's access units.
pub fn nal_length_size(record: &[u8]) -> Result<usize, HvccError> {
    let fixed = record.first_chunk::<FIXED_SIZE>().ok_or(HvccError::Short(record.len()))?;
    if fixed[0] != 1 {
        return Err(HvccError::Version(fixed[0]));
    }
    if fixed[1] & 0x1F == 0 {
        return Err(HvccError::NoProfile);
    }
    if fixed[12] == 0 {
        return Err(HvccError::NoLevel);
    }
    let length_size = parameter_sets::nal_length_size(fixed[21]).ok_or(HvccError::LengthSize)?;

    let mut found = [(VPS, "VPS", false), (SPS, "SPS", false), (PPS, "PPS", false)];
    let mut arrays = Bytes::new(&record[FIXED_SIZE..]);
    for _ in 0..fixed[22] {
        let nal_type = arrays.number(1).ok_or(HvccError::Truncated)? as u8 & 0x3F;
        let count = arrays.number(2).ok_or(HvccError::Truncated)?;
        let of_type = |unit: &[u8]| unit.len() >= 2 && unit[0] >> 1 & 0x3F == nal_type;
        check_run(&mut arrays, count, of_type).map_err(|error| match error {
            BadRun::Truncated => HvccError::Truncated,
            BadRun::WrongType => HvccError::WrongType(nal_type),
        })?;
        for (wanted, _, seen) in &mut found {
            *seen |= *wanted == nal_type && count > 0;
        }
    }
    if !arrays.is_empty() {
        return Err(HvccError::Trailing(arrays.len()));
    }
    match found.iter().find(|(_, _, seen)| !seen) {
        Some((_, name, _)) => Err(HvccError::Missing(name)),
        None => Ok(length_size),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 1280x720 Main, level 3.1, from SRS's KernelCodecTest.HevcVideoFormat.
    pub const RECORD: [u8; 109] = *b"\
        \x01\x01\x60\0\0\0\x90\0\0\0\0\0\x5d\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03\
        \x20\0\x01\0\x18\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x5d\x95\x98\x09\
        \x21\0\x01\0\x28\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x5d\xa0\x02\x80\x80\x2d\x16\x59\x59\xa4\x93\x2b\xc0\x40\x40\0\0\xfa\x40\0\x17\x70\x02\
        \x22\0\x01\0\x07\x44\x01\xc1\x72\xb4\x62\x40";

    fn with(offset: usize, value: u8) -> Result<usize, HvccError> {
        let mut record = RECORD;
        record[offset] = value;
        nal_length_size(&record)
    }

    #[test]
    fn sound_record_passes() {
        assert_eq!(nal_length_size(&RECORD), Ok(4));
        assert_eq!(with(21, 0x0C), Ok(1));
    }

    #[test]
    fn every_truncation_is_refused() {
        for size in 0..RECORD.len() {
            assert!(nal_length_size(&RECORD[..size]).is_err(), "{size} bytes");
        }
    }

    #[test]
    fn bad_fields_are_named() {
        assert_eq!(with(0, 0), Err(HvccError::Version(0)));
        assert_eq!(with(1, 0), Err(HvccError::NoProfile));
        assert_eq!(with(12, 0), Err(HvccError::NoLevel));
        assert_eq!(with(21, 0x0E), Err(HvccError::LengthSize));
        assert_eq!(with(22, 4), Err(HvccError::Truncated));
        assert_eq!(with(22, 2), Err(HvccError::Trailing(12)));
        assert_eq!(with(23, 0x27), Err(HvccError::WrongType(0x27)));
        assert_eq!(with(27, 0xFF), Err(HvccError::Truncated));
        let fixed_only = [&RECORD[..22], &[0]].concat();
        assert_eq!(nal_length_size(&fixed_only), Err(HvccError::Missing("VPS")));
    }

    #[test]
    fn reserved_profile_and_level_of_a_public_sample_are_refused() {
        // The fixed part of a public test file: profile 0, level 0, all compatibility bits set.
        let mut record = RECORD;
        record[1..13].copy_from_slice(b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0");
        assert_eq!(nal_length_size(&record), Err(HvccError::NoProfile));
    }
}
