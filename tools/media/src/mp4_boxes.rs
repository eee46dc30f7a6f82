//! Boxes of MP4 files. Source: ISO/IEC 14496-12, 4.2.

use std::{fs::File, io};

use tools_cli::read_at::read_up_to;

/// What a box begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its type.
    pub kind: [u8; 4],
    /// Bytes of the head itself.
    pub length: u64,
    /// Bytes of the box with its head; none for one that goes on to the end of the file.
    pub size: Option<u64>,
}

impl Head {
    /// The longest head has so many bytes.
    pub const MAX: usize = 16;

    /// The head that these bytes begin with. None when they are too few, or a box would end in its head.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (length, size) = match u32::from_be_bytes(*size) {
            0 => (8, None),
            1 => (16, Some(u64::from_be_bytes(*rest.first_chunk()?))),
            size => (8, Some(size.into())),
        };
        size.is_none_or(|size| size >= length).then_some(Self { kind: *kind, length, size })
    }

    /// The head of the box at a place in a file. None where there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(file: &File, at: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; Self::MAX];
        let got = read_up_to(file, &mut bytes, at)?;
        Ok(Self::of(&bytes[..got]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_short_or_long() {
        let kind = *b"moov";
        let told = |bytes: &[&[u8]]| Head::of(&bytes.concat());
        assert_eq!(told(&[&[0, 0, 1, 2], &kind]), Some(Head { kind, length: 8, size: Some(0x102) }));
        let long = Head { kind, length: 16, size: Some(1 << 40) };
        assert_eq!(told(&[&[0, 0, 0, 1], &kind, &(1_u64 << 40).to_be_bytes(), &[9]]), Some(long));
        assert_eq!(told(&[&[0; 4], &kind]), Some(Head { kind, length: 8, size: None }));
    }

    #[test]
    fn what_is_no_head() {
        for bytes in [
            &[][..],
            b"\0\0\0\x08moo",
            b"\0\0\0\x07moov",
            b"\0\0\0\x01moov\0\0\0\0\0\0\0",
            b"\0\0\0\x01moov\0\0\0\0\0\0\0\x0f",
        ] {
            assert_eq!(Head::of(bytes), None, "{bytes:?}");
        }
    }
}
