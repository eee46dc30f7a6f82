//! What a message of `side_by_side` holds.
//!
//! Nobody has described this officially. What is here is what independent readers of recordings agree on: a compressed
//! access unit behind two lengths, or four strips of JPEG behind a table of theirs.

use std::ops::Range;

use tools_media::annex_b;

/// Strips of a picture.
pub const STRIPS: usize = 4;
/// Two tick counts and the sizes of the strips.
const STRIP_TABLE: usize = 4 + 4 + 8 * STRIPS;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];
const PNG: [u8; 4] = *b"\x89PNG";
const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// Where the bytes of a picture may begin.
const BEGIN_MAX: usize = 64;

/// How a recording is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    H264,
    H265,
    JpegStrips,
}

/// A picture as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An access unit in Annex B form.
    AccessUnit { bytes: Range<usize>, codec: Option<Compression>, keyframe: bool },
    /// Strips from top to bottom.
    Strips([Range<usize>; STRIPS]),
    /// Lossless compression, of which nothing is known but that it is PNG or Zstandard.
    Lossless,
}

/// Tells what a message holds, of a recording whose codec may be known already. None when it is nothing that is known.
pub fn parse(message: &[u8], known: Option<Compression>) -> Option<Payload> {
    if let Some(strips) = strips(message) {
        return Some(Payload::Strips(strips));
    }
    let begin = access_unit_begin(message)?;
    if message[begin..].starts_with(&PNG) || message[begin..].starts_with(&ZSTD) {
        return Some(Payload::Lossless);
    }
    // The second length counts the access unit; the trailer behind it is not of the stream.
    let length = message.get(4..8).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("it has 4 bytes")) as usize);
    let bytes = match length.and_then(|length| length.checked_add(8)) {
        Some(end) if begin == 8 && end <= message.len() => begin..end,
        _ => begin..message.len(),
    };
    let (codec, keyframe) = look_at(&message[bytes.clone()], known);
    (bytes.len() > START_CODE.len()).then_some(Payload::AccessUnit { bytes, codec, keyframe })
}

fn access_unit_begin(message: &[u8]) -> Option<usize> {
    let is_begin = |at: usize| {
        let rest = &message[at..];
        rest.starts_with(&START_CODE) || rest.starts_with(&PNG) || rest.starts_with(&ZSTD)
    };
    let last = message.len().checked_sub(4)?;
    if last >= 8 && is_begin(8) {
        return Some(8);
    }
    (0..=last.min(BEGIN_MAX)).find(|&at| is_begin(at))
}

fn strips(message: &[u8]) -> Option<[Range<usize>; STRIPS]> {
    let table = message.get(..STRIP_TABLE)?;
    let mut begin = STRIP_TABLE;
    let mut strips = std::array::from_fn(|_| 0..0);
    for (number, strip) in strips.iter_mut().enumerate() {
        let at = 8 + 8 * number;
        let size = u64::from_le_bytes(table[at..at + 8].try_into().expect("it has 8 bytes"));
        let end = begin.checked_add(usize::try_from(size).ok()?)?;
        message.get(begin..end)?.starts_with(&JPEG).then_some(())?;
        *strip = begin..end;
        begin = end;
    }
    Some(strips)
}

/// NAL unit types: H.264 table 7-1, H.265 table 7-1.
fn look_at(access_unit: &[u8], known: Option<Compression>) -> (Option<Compression>, bool) {
    let mut codec = known;
    // An empty unit is damage: it counts as what ends one.
    let headers = annex_b::stream_units(access_unit).map(|nal| nal.first().copied().unwrap_or_default());
    for header in headers {
        codec = codec.or_else(|| recognise(header));
        let (is_picture, is_key) = match codec {
            Some(Compression::H265) => (header >> 1 & 0x3f < 32, (16..=21).contains(&(header >> 1 & 0x3f))),
            _ => ((1..=5).contains(&(header & 0x1f)), header & 0x1f == 5),
        };
        // What comes before the first slice is short, and the other slices are of its type.
        if is_picture {
            return (codec, is_key);
        }
    }
    (codec, false)
}

/// The codec, by a NAL unit that begins a keyframe: they differ in whether their first byte is odd.
fn recognise(header: u8) -> Option<Compression> {
    match (header >> 1 & 0x3f, header & 0x1f) {
        // VPS, SPS, PPS, AUD.
        (32..=35, _) if header & 0x81 == 0 => Some(Compression::H265),
        // IDR picture, SPS, AUD.
        (_, 5 | 7 | 9) if header & 0x80 == 0 => Some(Compression::H264),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(access_unit: &[u8], trailer: usize) -> Vec<u8> {
        let length = access_unit.len() as u32;
        let mut message = (length + 4 + trailer as u32).to_le_bytes().to_vec();
        message.extend(length.to_le_bytes());
        message.extend(access_unit);
        message.resize(message.len() + trailer, 7);
        message
    }

    #[test]
    fn an_access_unit_ends_before_the_trailer() {
        let unit = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 2];
        let expected = Payload::AccessUnit { bytes: 8..20, codec: Some(Compression::H264), keyframe: true };
        assert_eq!(parse(&message(&unit, 56), None), Some(expected.clone()));
        let mut lying = message(&unit, 0);
        lying[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse(&lying, None), Some(expected));
    }

    #[test]
    fn codecs_and_keyframes_are_told_apart() {
        let of = |unit: &[u8], known| match parse(&message(unit, 0), known) {
            Some(Payload::AccessUnit { codec, keyframe, .. }) => (codec, keyframe),
            other => panic!("{other:?}"),
        };
        let (h264, h265) = (Some(Compression::H264), Some(Compression::H265));
        assert_eq!(of(&[0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x28, 1], None), (h265, true));
        assert_eq!(of(&[0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x02, 1], None), (h265, false));
        assert_eq!(of(&[0, 0, 0, 1, 0x28, 1], h265), (h265, true));
        assert_eq!(of(&[0, 0, 0, 1, 0x02, 1], None), (None, false));
        assert_eq!(of(&[0, 0, 0, 1, 0x41, 1], None), (None, false));
        assert_eq!(of(&[0, 0, 0, 1, 0x09, 1, 0, 0, 1, 0x65], None), (h264, true));
    }

    #[test]
    fn anything_else_is_no_picture() {
        for message in [&[][..], &[0; 7], &[0; 8], &[0xff; 200], &[0, 0, 0, 1]] {
            assert_eq!(parse(message, None), None, "{message:?}");
        }
        assert_eq!(parse(&message(&ZSTD, 0), None), Some(Payload::Lossless));
        let mut table = vec![0; STRIP_TABLE];
        table[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        table.extend(JPEG);
        assert_eq!(parse(&table, None), None);
    }
}
