//! Tags out of the bytes of an FLV stream (FLV E.4.1).

pub const HEAD: usize = 11;
/// Behind each tag stands its size.
const TRAILER: usize = 4;
const FILE_MAGIC: &[u8] = b"FLV";

/// Bytes that tell a tag apart: its head and the first ones of its body.
pub const LOOK: usize = HEAD + NANOSECONDS + 7;

/// Bytes that a nanosecond offset of E-RTMP v2 takes: size less one, UI24, type.
pub const NANOSECONDS: usize = 5;

const MULTITRACK: u8 = 6;
const MOD_EX: u8 = 7;

/// A tag's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 8 audio, 9 video, 18 script.
    pub type_id: u8,
    pub timestamp: u32,
    /// Where its body begins in the bytes that it came in.
    pub body_at: usize,
    pub body_size: usize,
}

impl Tag {
    /// Bytes behind its body.
    pub fn end(&self) -> usize {
        self.body_at + self.body_size
    }
}

/// What stands at a place in a stream of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The file header, which has this size.
    FileHeader(usize),
    Tag(Tag),
}

impl Item {
    /// Where the next item stands.
    pub fn next(&self) -> usize {
        match self {
            Self::FileHeader(size) => *size,
            Self::Tag(tag) => tag.end() + TRAILER,
        }
    }
}

/// Reads what stands `at` a place of `size` bytes, of which `look` are the next ones, up to [`LOOK`]. The last tag may come
/// without its size behind it.
///
/// # Errors
/// What is wrong there.
pub fn read(look: &[u8], at: usize, size: usize) -> Result<Item, &'static str> {
    const NO_TAG: &str = "a buffer does not consist of whole FLV tags";
    if look.starts_with(FILE_MAGIC) && size - at >= 9 {
        return Ok(Item::FileHeader((at + 9 + TRAILER).min(size)));
    }
    let head = look.first_chunk::<HEAD>().ok_or(NO_TAG)?;
    let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *head;
    let body_size = u32::from_be_bytes([0, s0, s1, s2]) as usize;
    let tag =
        Tag { type_id: kind & 0x1F, timestamp: u32::from_be_bytes([t3, t0, t1, t2]), body_at: at + HEAD, body_size };
    let is_tag = matches!(tag.type_id, 8 | 9 | 18) && tag.end() <= size;
    let rest = size.saturating_sub(tag.end());
    if !is_tag || (rest > 0 && rest < TRAILER) {
        return Err(NO_TAG);
    }
    Ok(Item::Tag(tag))
}

/// How a stream's video is packaged, as its sequence header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoPackaging {
    /// A codec-id of FLV.
    CodecId(u8),
    FourCc([u8; 4]),
}

/// Reads the packaging from the first bytes of a video tag's body. `None` when they do not tell.
pub fn video_packaging(body: &[u8]) -> Option<VideoPackaging> {
    let first = *body.first()?;
    if first & 0x80 == 0 {
        return Some(VideoPackaging::CodecId(first & 0x0F));
    }
    // What these two hold begins further behind, and others of the stream tell.
    if matches!(first & 0x0F, MULTITRACK | MOD_EX) {
        return None;
    }
    body.get(1..5)?.first_chunk().copied().map(VideoPackaging::FourCc)
}

/// What a tag is to whoever may drop some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Metadata, or what a decoder has to have first.
    Header,
    /// A picture that needs no other one.
    Keyframe,
    /// Another picture, or a track that is not the first.
    Frame,
    Sound,
}

/// Reads the role of a tag of this type from the first bytes of its body, up to seven.
pub fn role(type_id: u8, body: &[u8]) -> Role {
    const KEYFRAME: u8 = 1;
    const SEQUENCE_START: u8 = 0;
    const METADATA: u8 = 4;
    let byte = |at: usize| body.get(at).copied().unwrap_or_default();
    match type_id {
        8 => match byte(0) {
            // AAC, and the codecs of E-RTMP.
            first if first >> 4 == 10 && body.len() > 1 && byte(1) == 0 => Role::Header,
            first if first >> 4 == 9 && first & 0x0F == SEQUENCE_START => Role::Header,
            _ => Role::Sound,
        },
        9 => {
            let first = byte(0);
            let is_key = first >> 4 & 7 == KEYFRAME;
            let (packet_type, is_first_track) = match (first & 0x80 != 0, first & 0x0F) {
                (false, 7 | 12) => (byte(1), true),
                // Codecs that have no headers.
                (false, _) => (1, true),
                // One track alone says in front of its body which it is.
                (true, MULTITRACK) => (byte(1) & 0x0F, byte(1) >> 4 != 0 || byte(6) == 0),
                (true, packet_type) => (packet_type, true),
            };
            match packet_type {
                SEQUENCE_START => Role::Header,
                METADATA if first & 0x80 != 0 => Role::Header,
                _ if is_key && is_first_track => Role::Keyframe,
                _ => Role::Frame,
            }
        }
        _ => Role::Header,
    }
}

/// Takes the nanosecond offset out of the first bytes of a tag's body. Where the body begins without it, with a first byte
/// that says so: 0 when it has none.
pub fn take_nanoseconds(type_id: u8, body: &mut [u8]) -> usize {
    const OFFSET_NANO: u8 = 0;
    const SIZE_LESS_ONE: u8 = 2;
    match *body {
        [first, SIZE_LESS_ONE, _, _, _, ref mut last, ..]
            if type_id == 9 && first & 0x8F == 0x80 | MOD_EX && *last >> 4 == OFFSET_NANO =>
        {
            *last |= first & 0xF0;
            NANOSECONDS
        }
        _ => 0,
    }
}

/// Whether a tag is a packet of tracks, by the first bytes of its body.
pub fn is_multitrack(type_id: u8, body: &[u8]) -> bool {
    const AUDIO_MULTITRACK: u8 = 5;
    const ENHANCED_AUDIO: u8 = 9;
    match (type_id, body.first()) {
        (8, Some(first)) => *first == ENHANCED_AUDIO << 4 | AUDIO_MULTITRACK,
        (9, Some(first)) => first & 0x8F == 0x80 | MULTITRACK,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_taken_out_of_what_they_stand_in_front_of() {
        let taken = |body: &[u8]| {
            let mut body = body.to_vec();
            let at = take_nanoseconds(9, &mut body);
            body.split_off(at)
        };
        assert_eq!(taken(b"\x97\x02\x0A\x2C\x2B\x03hvc1x"), b"\x93hvc1x");
        assert_eq!(taken(b"\xA7\x02\0\0\x01\x06\x01hvc1\x01x"), b"\xA6\x01hvc1\x01x");
        // Others, and what is cut short or another packet, stay as they are.
        for body in [
            b"\x97\x02\x0A\x2C\x2B\x13hvc1".as_slice(),
            b"\x97\x03\0\0\0\0\x03",
            b"\x97\x02\0",
            b"\x17\x02\0\0\0\0",
            b"",
        ] {
            assert_eq!(taken(body), body);
        }
        assert_eq!(take_nanoseconds(8, &mut b"\x97\x02\0\0\0\x03".to_vec()), 0);
    }

    #[test]
    fn packets_of_tracks_are_told() {
        assert!(is_multitrack(9, b"\x96\x01hvc1\0") && is_multitrack(8, b"\x95\x01mp4a\x01"));
        assert!(!is_multitrack(9, b"\x16\x01") && !is_multitrack(9, b"\x95") && !is_multitrack(8, b"\xA5"));
        assert!(!is_multitrack(18, b"\x96") && !is_multitrack(9, b""));
    }

    #[test]
    fn roles_are_told_by_the_first_bytes() {
        for (type_id, body, expected) in [
            (18, b"\x02\0\x0AonMeta".as_slice(), Role::Header),
            (8, b"\xAF\0\x12\x10", Role::Header),
            (8, b"\xAF\x01\x21", Role::Sound),
            (8, b"\x90Opus", Role::Header),
            (8, b"", Role::Sound),
            (9, b"\x17\0\0\0\0", Role::Header),
            (9, b"\x1C\x01\0\0\0", Role::Keyframe),
            (9, b"\x2C\x01\0\0\0", Role::Frame),
            (9, b"\x12\0", Role::Keyframe),
            (9, b"\x90hvc1", Role::Header),
            (9, b"\x94hvc1", Role::Header),
            (9, b"\x91hvc1", Role::Keyframe),
            (9, b"\xA3hvc1", Role::Frame),
            (9, b"\x96\x01hvc1\0", Role::Keyframe),
            (9, b"\x96\x01hvc1\x01", Role::Frame),
            (9, b"\x96\0hvc1\x01", Role::Header),
            (9, b"", Role::Frame),
        ] {
            assert_eq!(role(type_id, body), expected, "{type_id} {body:?}");
        }
    }

    fn items(bytes: &[u8]) -> Result<Vec<Item>, &'static str> {
        let mut items = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let item = read(&bytes[at..bytes.len().min(at + LOOK)], at, bytes.len())?;
            at = item.next();
            items.push(item);
        }
        Ok(items)
    }

    const VIDEO: &[u8] = b"\x09\0\0\x02\x01\x02\x03\x04\0\0\0hi\0\0\0\x0D";

    #[test]
    fn tags_are_found_alone_and_in_a_row() {
        let tag = |body_at| Item::Tag(Tag { type_id: 9, timestamp: 0x0401_0203, body_at, body_size: 2 });
        assert_eq!(items(VIDEO), Ok(vec![tag(11)]));
        assert_eq!(items(&VIDEO[..13]), Ok(vec![tag(11)]));
        let header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
        assert_eq!(items(header), Ok(vec![Item::FileHeader(13)]));
        assert_eq!(items(&header[..9]), Ok(vec![Item::FileHeader(9)]));
        assert_eq!(items(&[header, VIDEO, VIDEO].concat()), Ok(vec![Item::FileHeader(13), tag(24), tag(41)]));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bytes in [
            b"\x09\0\0\x03\0\0\0\0\0\0\0hi".as_slice(),
            b"FLV",
            b"\x0B\0\0\0\0\0\0\0\0\0\0",
            &VIDEO[..12],
            &VIDEO[..15],
        ] {
            assert!(items(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn sequence_headers_tell_the_packaging() {
        assert_eq!(video_packaging(b"\x1C\0\0\0\0"), Some(VideoPackaging::CodecId(12)));
        assert_eq!(video_packaging(b"\x90hvc1"), Some(VideoPackaging::FourCc(*b"hvc1")));
        assert_eq!(video_packaging(b"\x96\x01hvc1"), None);
        assert_eq!(video_packaging(b""), None);
    }
}
