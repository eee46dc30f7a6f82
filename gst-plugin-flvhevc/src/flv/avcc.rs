//! AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).

use super::{
    bytes::Bytes,
    parameter_sets::{self, BadRun, check_run},
};

const FIXED_SIZE: usize = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvccError {
    #[error("avcC has {0} bytes, at least {FIXED_SIZE} are needed")]
    Short(usize),
    #[error("avcC has version {0} in place of 1")]
    Version(u8),
    #[error("avcC states profile 0")]
    NoProfile,
    #[error("avcC states NAL unit lengths of 3 bytes, which ISO/IEC 14496-15 does not allow")]
    LengthSize,
    #[error("avcC ends within its parameter sets")]
    Truncated,
    #[error("avcC has a NAL unit among its {0}s that is none")]
    WrongType(&'static str),
    #[error("avcC lacks a {0}")]
    Missing(&'static str),
}

/// Checks a record and returns the size of the NAL unit lengths in the stream's access units.
pub fn nal_length_size(record: &[u8]) -> Result<usize, AvccError> {
    let fixed = record.first_chunk::<FIXED_SIZE>().ok_or(AvccError::Short(record.len()))?;
    if fixed[0] != 1 {
        return Err(AvccError::Version(fixed[0]));
    }
    if fixed[1] == 0 {
        return Err(AvccError::NoProfile);
    }
    let length_size = parameter_sets::nal_length_size(fixed[4]).ok_or(AvccError::LengthSize)?;

    let mut sets = Bytes::new(&record[FIXED_SIZE..]);
    check_sets(&mut sets, u32::from(fixed[5] & 0x1F), SPS, "SPS")?;
    let count = sets.number(1).ok_or(AvccError::Truncated)?;
    check_sets(&mut sets, count, PPS, "PPS")?;
    // High profiles may add chroma format, bit depths and SPS extensions here: optional, and no reader of FLV needs them.
    Ok(length_size)
}

fn check_sets(sets: &mut Bytes, count: u32, nal_type: u8, name: &'static str) -> Result<(), AvccError> {
    let of_type = |unit: &[u8]| unit.first().is_some_and(|byte| byte & 0x1F == nal_type);
    check_run(sets, count, of_type).map_err(|error| match error {
        BadRun::Truncated => AvccError::Truncated,
        BadRun::WrongType => AvccError::WrongType(name),
    })?;
    if count == 0 { Err(AvccError::Missing(name)) } else { Ok(()) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// From an FLV file by GStreamer's flvmux: 320x240 constrained baseline by x264.
    pub const RECORD: [u8; 42] = *b"\
        \x01\x42\xc0\x0d\xff\xe1\0\x1b\
        \x67\x42\xc0\x0d\xda\x05\x07\xec\x05\xa8\x30\x30\x35\x28\0\0\x03\0\x08\0\0\x03\x01\x94\x78\xa1\x55\
        \x01\0\x04\x68\xce\x3c\x80";

    fn with(offset: usize, value: u8) -> Result<usize, AvccError> {
        let mut record = RECORD;
        record[offset] = value;
        nal_length_size(&record)
    }

    #[test]
    fn sound_record_passes() {
        assert_eq!(nal_length_size(&RECORD), Ok(4));
        assert_eq!(with(4, 0xFD), Ok(2));
        let high = [RECORD.as_slice(), &[0xFD, 0xF8, 0xF8, 0]].concat();
        assert_eq!(nal_length_size(&high), Ok(4));
    }

    #[test]
    fn every_truncation_is_refused() {
        for size in 0..RECORD.len() {
            assert!(nal_length_size(&RECORD[..size]).is_err(), "{size} bytes");
        }
    }

    #[test]
    fn bad_fields_are_named() {
        assert_eq!(with(0, 2), Err(AvccError::Version(2)));
        assert_eq!(with(1, 0), Err(AvccError::NoProfile));
        assert_eq!(with(4, 0xFE), Err(AvccError::LengthSize));
        assert_eq!(with(5, 0xE0), Err(AvccError::Missing("SPS")));
        assert_eq!(with(8, 0x68), Err(AvccError::WrongType("SPS")));
        assert_eq!(with(35, 0), Err(AvccError::Missing("PPS")));
        assert_eq!(with(38, 0x67), Err(AvccError::WrongType("PPS")));
    }
}
