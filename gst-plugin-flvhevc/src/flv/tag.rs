//! File header and tag framing (FLV E.2, E.3, E.4.1).

use super::video::MAX_PREFIX_SIZE;

/// Largest body that the 24-bit DataSize of a tag can state.
pub const MAX_BODY_SIZE: usize = 0xFF_FFFF;
pub const TAG_HEADER_SIZE: usize = 11;
const PREVIOUS_TAG_SIZE: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagType {
    Audio = 8,
    Video = 9,
    Script = 18,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes do not fit the {MAX_BODY_SIZE} bytes of an FLV tag")]
pub struct BodyTooLarge {
    pub size: usize,
}

/// File header and PreviousTagSize0.
pub const FILE_HEADER_SIZE: usize = 9 + PREVIOUS_TAG_SIZE;

/// The 9 bytes of the file header and PreviousTagSize0.
pub fn file_header(has_audio: bool, has_video: bool) -> [u8; FILE_HEADER_SIZE] {
    let flags = u8::from(has_audio) << 2 | u8::from(has_video);
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// The bytes in front of the body. All 32 bits of the timestamp are written: bits 24 to 31 follow the other three bytes.
pub fn tag_header(tag_type: TagType, body_size: usize, timestamp: u32) -> Result<[u8; TAG_HEADER_SIZE], BodyTooLarge> {
    if body_size > MAX_BODY_SIZE {
        return Err(BodyTooLarge { size: body_size });
    }
    let [_, size @ ..] = (body_size as u32).to_be_bytes();
    let [extended, time @ ..] = timestamp.to_be_bytes();
    Ok([tag_type as u8, size[0], size[1], size[2], time[0], time[1], time[2], extended, 0, 0, 0])
}

/// The PreviousTagSize behind a tag whose body fits [`MAX_BODY_SIZE`].
pub fn previous_tag_size(body_size: usize) -> [u8; PREVIOUS_TAG_SIZE] {
    ((TAG_HEADER_SIZE + body_size) as u32).to_be_bytes()
}

/// A tag with its PreviousTagSize.
pub fn whole_tag(tag_type: TagType, timestamp: u32, body: &[u8]) -> Result<Vec<u8>, BodyTooLarge> {
    let mut tag = Vec::with_capacity(TAG_HEADER_SIZE + body.len() + PREVIOUS_TAG_SIZE);
    tag.extend_from_slice(&tag_header(tag_type, body.len(), timestamp)?);
    tag.extend_from_slice(body);
    tag.extend_from_slice(&previous_tag_size(body.len()));
    Ok(tag)
}

/// Header bytes of a media tag: the tag's own and those that the codec puts in front of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHead {
    bytes: [u8; TAG_HEADER_SIZE + MAX_PREFIX_SIZE],
    size: usize,
}

impl TagHead {
    /// The header of a tag that holds `prefix`, at most [`MAX_PREFIX_SIZE`] bytes, and `payload_size` bytes.
    pub fn new(tag_type: TagType, timestamp: u32, prefix: &[u8], payload_size: usize) -> Result<Self, BodyTooLarge> {
        let header = tag_header(tag_type, prefix.len() + payload_size, timestamp)?;
        let size = TAG_HEADER_SIZE + prefix.len();
        let mut bytes = [0; TAG_HEADER_SIZE + MAX_PREFIX_SIZE];
        bytes[..TAG_HEADER_SIZE].copy_from_slice(&header);
        bytes[TAG_HEADER_SIZE..size].copy_from_slice(prefix);
        Ok(Self { bytes, size })
    }
}

impl AsRef<[u8]> for TagHead {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_header_names_what_it_holds() {
        assert_eq!(file_header(true, true), *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        assert_eq!(file_header(false, true)[4], 1);
        assert_eq!(file_header(true, false)[4], 4);
    }

    #[test]
    fn timestamp_keeps_all_32_bits() {
        let header = tag_header(TagType::Video, 114, 0x8123_4567).unwrap();
        assert_eq!(header, [9, 0, 0, 114, 0x23, 0x45, 0x67, 0x81, 0, 0, 0]);
    }

    #[test]
    fn whole_tag_ends_with_its_size() {
        // The end-of-sequence tag of SRS's KernelCodecTest.HevcVideoFormat.
        let tag = whole_tag(TagType::Video, 0, b"\xA2hvc1").unwrap();
        assert_eq!(tag, *b"\x09\0\0\x05\0\0\0\0\0\0\0\xA2hvc1\0\0\0\x10".as_slice());
    }

    #[test]
    fn body_of_24_bits_is_the_largest() {
        assert!(tag_header(TagType::Video, MAX_BODY_SIZE, 0).is_ok());
        assert_eq!(tag_header(TagType::Video, MAX_BODY_SIZE + 1, 0), Err(BodyTooLarge { size: 1 << 24 }));
        let head = |payload| TagHead::new(TagType::Video, 0, &[0; 5], payload);
        assert!(head(MAX_BODY_SIZE - 5).is_ok());
        assert!(head(MAX_BODY_SIZE - 4).is_err());
    }
}
