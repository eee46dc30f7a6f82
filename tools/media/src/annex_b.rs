//! Access units as a byte stream. Source: ITU-T H.264 and H.265, annex B; ISO/IEC 14496-15, 5.3 and 8.3.

use cvmmap::Codec;
use memchr::memmem;

use super::codec;

/// What stands before each NAL unit. The first zero may be left out.
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
    let headers = stream_units(unit).filter_map(|nal| nal.first());
    let mut types = headers.map(|header| match codec {
        Codec::H264 => header & 0x1F,
        Codec::H265 => header >> 1 & 0x3F,
    });
    match codec {
        Codec::H264 => types.any(|kind| kind == 5),
        Codec::H265 => types.any(|kind| (16..=23).contains(&kind)),
    }
}

/// NAL units of a byte stream, found as they are asked for. The zeros behind one are not its own; of a damaged stream it may be
/// empty. Source: ITU-T H.264 and H.265, B.1.1.
pub fn stream_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let code = &START_CODE[1..];
    let mut codes = memmem::find_iter(stream, code).peekable();
    std::iter::from_fn(move || {
        let begin = codes.next()? + code.len();
        let nal = &stream[begin..codes.peek().copied().unwrap_or(stream.len())];
        Some(&nal[..nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)])
    })
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
    fn a_stream_is_cut_at_its_start_codes() {
        let units = |stream: &'static [u8]| stream_units(stream).collect::<Vec<_>>();
        assert_eq!(units(&[9, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 0, 2, 0, 0]), [&[0x67, 1][..], &[0x65, 0, 2]]);
        assert_eq!(units(&[0, 0, 1, 0, 0, 1, 5, 0, 0, 1]), [&[][..], &[5], &[]]);
        assert!(units(&[]).is_empty() && units(&[0, 0, 0, 2, 1]).is_empty());
    }

    #[test]
    fn any_bytes_are_cut_where_each_three_of_them_say() {
        // xorshift64; few values, so that start codes are everywhere, and lengths around those of vectors.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..20_000 {
            let (length, values) = (random(100), 2 + random(3));
            let stream = (0..length).map(|_| random(values) as u8).collect::<Vec<_>>();
            let codes = stream.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0, 0, 1]).map(|(at, _)| at);
            let codes = codes.collect::<Vec<_>>();
            let ends = codes.iter().skip(1).copied().chain([stream.len()]);
            let naive = codes.iter().zip(ends).map(|(code, end)| {
                let mut nal = &stream[code + 3..end];
                while let [before @ .., 0] = nal {
                    nal = before;
                }
                nal
            });
            assert!(stream_units(&stream).eq(naive), "{stream:?}");
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
