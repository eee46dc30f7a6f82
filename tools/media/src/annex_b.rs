//! Access units as a byte stream. Source: ITU-T H.264 and H.265, annex B; ISO/IEC 14496-15, 5.3 and 8.3.

use cvmmap::Codec;

use super::codec;

/// What stands before each NAL unit.
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Bytes of a length: the parsers write no other.
const LENGTH_SIZE: usize = 4;

/// The name that recordings give to the codec of `caps`, and whether units are a byte stream already.
pub fn codec(caps: &gst::CapsRef) -> Option<(&'static str, bool)> {
    let structure = caps.structure(0)?;
    let codec = codec::of_media_type(structure.name())?.name();
    match structure.get::<&str>("stream-format").ok()? {
        "byte-stream" => Some((codec, true)),
        "avc" | "avc3" | "hvc1" | "hev1" => Some((codec, false)),
        _ => None,
    }
}

/// Whether decoding can start at a byte stream's access unit. Source: ITU-T H.264, table 7-1 (IDR slices), and H.265,
/// table 7-1 (IRAP pictures).
pub fn is_keyframe(codec: Codec, unit: &[u8]) -> bool {
    let headers = unit.windows(START_CODE.len()).filter(|bytes| bytes[..3] == START_CODE[1..]).map(|bytes| bytes[3]);
    let mut types = headers.map(|header| match codec {
        Codec::H264 => header & 0x1F,
        Codec::H265 => header >> 1 & 0x3F,
    });
    match codec {
        Codec::H264 => types.any(|kind| kind == 5),
        Codec::H265 => types.any(|kind| (16..=23).contains(&kind)),
    }
}

/// An access unit of NAL units with lengths before them, as a byte stream. `None` when the lengths do not add up.
pub fn from_lengths(unit: &[u8]) -> Option<Vec<u8>> {
    // Lengths and start codes are of one size.
    let mut stream = Vec::with_capacity(unit.len());
    for nal in nal_units(unit) {
        stream.extend_from_slice(&START_CODE);
        stream.extend_from_slice(nal?);
    }
    Some(stream)
}

/// NAL units with lengths before them; the last is `None` when its length does not add up.
pub fn nal_units(unit: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(unit).filter(|unit| !unit.is_empty());
    std::iter::from_fn(move || {
        let next = rest.take()?.split_first_chunk::<LENGTH_SIZE>().and_then(|(length, behind)| {
            let (nal, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = Some(behind).filter(|behind| !behind.is_empty());
            Some(nal)
        });
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes() {
        assert_eq!(
            from_lengths(&[0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x65]),
            Some(vec![0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65])
        );
        assert_eq!(from_lengths(&[]), Some(vec![]));
        for damaged in [&[0, 0, 0][..], &[0, 0, 0, 2, 1], &[0xFF; 8], &[0, 0, 0, 1, 9, 0]] {
            assert_eq!(from_lengths(damaged), None);
        }
    }

    #[test]
    fn keyframes_are_known_by_their_slices() {
        let stream = |headers: &[u8]| headers.iter().flat_map(|header| [0, 0, 1, *header, 9]).collect::<Vec<_>>();
        assert!(is_keyframe(Codec::H264, &stream(&[0x67, 0x68, 0x65])));
        assert!(!is_keyframe(Codec::H264, &stream(&[0x67, 0x68, 0x41])));
        assert!(is_keyframe(Codec::H265, &stream(&[0x40, 0x26])));
        assert!(!is_keyframe(Codec::H265, &stream(&[0x40, 0x02])));
        assert!(!is_keyframe(Codec::H264, &[0, 0, 1]));
    }

    #[test]
    fn caps_tell_codec_and_form() {
        gst::init().unwrap();
        let told = |text: &str| codec(&text.parse::<gst::Caps>().unwrap());
        assert_eq!(told("video/x-h264,stream-format=avc"), Some(("h264", false)));
        assert_eq!(told("video/x-h265,stream-format=byte-stream"), Some(("h265", true)));
        assert_eq!(told("video/x-h265,stream-format=hvc1"), Some(("h265", false)));
        assert_eq!(told("video/x-vp9"), None);
        assert_eq!(told("video/x-h264"), None);
    }
}
