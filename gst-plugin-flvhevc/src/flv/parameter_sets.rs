//! What avcC and hvcC have in common: the size of NAL unit lengths, and runs of parameter sets.

use super::bytes::Bytes;

/// The 16-bit lengths of a run end within it, or one of its NAL units is not of the wanted type.
#[derive(Debug, PartialEq, Eq)]
pub enum BadRun {
    Truncated,
    WrongType,
}

/// Checks `count` NAL units behind 16-bit lengths, all of which must be `wanted`.
pub fn check_run(bytes: &mut Bytes, count: u32, wanted: impl Fn(&[u8]) -> bool) -> Result<(), BadRun> {
    for _ in 0..count {
        let size = bytes.number(2).ok_or(BadRun::Truncated)?;
        let unit = bytes.take(size as usize).ok_or(BadRun::Truncated)?;
        if !wanted(unit) {
            return Err(BadRun::WrongType);
        }
    }
    Ok(())
}

/// Bytes of a NAL unit length by the two bits of lengthSizeMinusOne; 3 bytes are not allowed.
pub fn nal_length_size(bits: u8) -> Option<usize> {
    let size = usize::from(bits & 3) + 1;
    (size != 3).then_some(size)
}
