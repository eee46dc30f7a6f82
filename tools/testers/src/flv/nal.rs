//! NAL units in length-prefixed access units and in configuration records.

use std::ops::Range;

use super::fault::{Cursor, Fault};

/// H.265 NAL unit types (H.265 Table 7-1).
pub mod hevc {
    pub const VPS: u8 = 32;
    pub const SPS: u8 = 33;
    pub const PPS: u8 = 34;
    pub const AUD: u8 = 35;
    pub const PREFIX_SEI: u8 = 39;
    pub const SUFFIX_SEI: u8 = 40;
}

/// H.264 NAL unit types (H.264 Table 7-1).
pub mod avc {
    pub const IDR: u8 = 5;
    pub const SEI: u8 = 6;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const AUD: u8 = 9;
}

/// NAL units in one frame at most. Levels allow some hundreds of slices (H.264 Table A-1, H.265 Table A.8).
const MAX_UNITS: usize = 10_000;

/// Splits the body from `start` into its NAL units. Their lengths have to add up to the body exactly.
pub fn split(body: &[u8], start: usize, length_size: usize) -> Result<Vec<Range<usize>>, Fault> {
    units(body, start, length_size).map_err(|fault| {
        if body[start..].starts_with(&[0, 0, 0, 1]) || body[start..].starts_with(&[0, 0, 1]) {
            Fault::new(
                start,
                format!(
                    "an Annex B start code, it seems, where FLV wants the length of a NAL unit; as a length it leads to \
                     byte {}: {}",
                    fault.offset, fault.text
                ),
            )
        } else {
            fault
        }
    })
}

fn units(body: &[u8], start: usize, length_size: usize) -> Result<Vec<Range<usize>>, Fault> {
    let mut cursor = Cursor::new(body, start);
    let mut nals = Vec::new();
    while cursor.remaining() > 0 {
        let at = cursor.position();
        let prefix = cursor.bytes(length_size, "a NAL unit length")?;
        let length = prefix.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
        if length == 0 {
            return Err(Fault::new(at, "a NAL unit length of 0"));
        }
        if length > cursor.remaining() {
            let left = cursor.remaining();
            return Err(Fault::new(at, format!("a NAL unit length of {length} where {left} bytes are left")));
        }
        if nals.len() == MAX_UNITS {
            return Err(Fault::new(at, format!("more than {MAX_UNITS} NAL units in a frame")));
        }
        let from = cursor.position();
        cursor.bytes(length, "a NAL unit")?;
        nals.push(from..from + length);
    }
    if nals.is_empty() {
        return Err(Fault::new(start, "a coded frame without NAL units"));
    }
    Ok(nals)
}

/// An emulation-prevented NAL unit cannot hold a start code: one within means that units were glued together.
pub fn check_no_start_code(body: &[u8], nal: &Range<usize>) -> Result<(), Fault> {
    match body[nal.clone()].windows(3).position(|bytes| bytes == [0, 0, 1]) {
        None => Ok(()),
        Some(at) => Err(Fault::new(
            nal.start + at,
            "an Annex B start code within a NAL unit: FLV wants every unit behind its own length",
        )),
    }
}

pub struct HevcNal {
    pub kind: u8,
    pub layer: u8,
}

impl HevcNal {
    /// The two-byte header (H.265 7.3.1.2).
    pub fn parse(body: &[u8], nal: &Range<usize>) -> Result<Self, Fault> {
        let bytes = &body[nal.clone()];
        if bytes.len() < 2 {
            return Err(Fault::new(
                nal.start,
                "an H.265 NAL unit has a header of two bytes, this one is one byte long",
            ));
        }
        if bytes[0] & 0x80 != 0 {
            return Err(Fault::new(nal.start, "the forbidden bit of a NAL unit header is set"));
        }
        if bytes[1] & 0x07 == 0 {
            return Err(Fault::new(nal.start + 1, "nuh_temporal_id_plus1 of an H.265 NAL unit cannot be 0"));
        }
        Ok(Self { kind: bytes[0] >> 1 & 0x3f, layer: (bytes[0] & 1) << 5 | bytes[1] >> 3 })
    }

    pub fn is_vcl(&self) -> bool {
        self.kind < 32
    }

    pub fn is_irap(&self) -> bool {
        (16..=23).contains(&self.kind)
    }
}

/// The type in the one-byte header (H.264 7.3.1).
pub fn avc_kind(body: &[u8], nal: &Range<usize>) -> Result<u8, Fault> {
    // `split` and the records give no empty unit.
    let header = body[nal.start];
    if header & 0x80 != 0 {
        return Err(Fault::new(nal.start, "the forbidden bit of a NAL unit header is set"));
    }
    Ok(header & 0x1f)
}

/// Whether an H.264 SEI unit begins with a recovery point message (H.264 Annex D, payload type 6), or holds one
/// later: decoding may start there without an IDR picture.
pub fn avc_sei_has_recovery_point(nal: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let payload = unescape(&nal[1..]);
    let mut rest = payload.as_slice();
    // The last byte holds the trailing bits.
    while rest.len() > 2 {
        let Some((kind, after)) = sei_number(rest) else {
            return false;
        };
        let Some((size, after)) = sei_number(after) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            return true;
        }
        let Some(next) = after.get(size..) else {
            return false;
        };
        rest = next;
    }
    false
}

fn sei_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let last = bytes.iter().position(|byte| *byte != 0xff)?;
    Some((last * 255 + usize::from(bytes[last]), &bytes[last + 1..]))
}

/// The payload without its emulation prevention bytes (H.265 7.3.1.1).
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}
