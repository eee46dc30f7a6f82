//! FLV files (FLV E.2, E.3, E.4.1): a strict reader and a plain writer.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use super::stream_check::{Tag, TagKind};

const HEADER_LENGTH: u32 = 9;
const TAG_HEADER_LENGTH: usize = 11;

/// Where in a file its format is broken, and how; or the reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file breaks a rule at an offset.
    #[error("file offset {offset}: {text}")]
    Format {
        /// Bytes from the file's start.
        offset: u64,
        /// The rule, as a sentence.
        text: String,
    },
}

/// A tag with bytes of its own.
#[derive(Debug)]
pub struct OwnedTag {
    /// What it carries.
    pub kind: TagKind,
    /// When, in milliseconds.
    pub timestamp: u32,
    /// What is behind its header.
    pub body: Vec<u8>,
}

impl OwnedTag {
    /// The tag, with its bytes lent.
    pub fn as_tag(&self) -> Tag<'_> {
        Tag { kind: self.kind, timestamp: self.timestamp, body: &self.body }
    }
}

/// Reads tag after tag: one is in memory at a time.
pub struct Reader<R> {
    input: R,
    offset: u64,
    tags: u64,
}

impl Reader<BufReader<File>> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or is no FLV file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no FLV file.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self { input, offset: 0, tags: 0 };
        let header: [u8; 13] = reader.array("the file header")?;
        let refuse = |offset: u64, text: &str| Err(ReadError::Format { offset, text: text.to_owned() });
        if &header[..3] != b"FLV" {
            return refuse(0, "this is no FLV file, which begins with FLV");
        }
        if header[3] != 1 {
            return refuse(3, "the FLV version has to be 1");
        }
        if header[4] & !0x05 != 0 {
            return refuse(4, "the reserved bits of the file header's flags have to be 0");
        }
        if header[5..9] != HEADER_LENGTH.to_be_bytes() {
            return refuse(5, "the file header has to be 9 bytes long");
        }
        if header[9..] != [0; 4] {
            return refuse(9, "the first PreviousTagSize has to be 0");
        }
        Ok(reader)
    }

    /// The next tag; `None` at the end of the file.
    pub fn next_tag(&mut self) -> Result<Option<OwnedTag>, ReadError> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let start = self.offset;
        let header: [u8; TAG_HEADER_LENGTH] = self.array("a tag header")?;
        let index = self.tags;
        let refuse = |within: usize, text: String| {
            Err(ReadError::Format { offset: start + within as u64, text: format!("tag {index}: {text}") })
        };
        if header[0] & 0xe0 != 0 {
            return refuse(0, "the tag is encrypted, or reserved bits are set".into());
        }
        let Some(kind) = TagKind::from_id(header[0]) else {
            return refuse(0, format!("tag type {}: there are 8, 9 and 18", header[0]));
        };
        if header[8..] != [0; 3] {
            return refuse(8, "the StreamID has to be 0".into());
        }
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        let mut body = Vec::new();
        let got = (&mut self.input).take(u64::from(size)).read_to_end(&mut body)?;
        self.offset += got as u64;
        if got as u64 != u64::from(size) {
            return refuse(
                TAG_HEADER_LENGTH + got,
                format!("the file ends within the tag, {got} of {size} bytes are there"),
            );
        }
        let after = self.offset;
        let previous = u32::from_be_bytes(self.array("PreviousTagSize")?);
        let whole = size + TAG_HEADER_LENGTH as u32;
        if previous != whole {
            return Err(ReadError::Format {
                offset: after,
                text: format!("tag {index}: the PreviousTagSize is {previous}, the tag has {whole} bytes"),
            });
        }
        self.tags += 1;
        Ok(Some(OwnedTag { kind, timestamp, body }))
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => {
                self.offset += N as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReadError::Format { offset: self.offset, text: format!("the file ends within {what}") })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes tags as they came.
pub struct Writer {
    out: BufWriter<File>,
    flags: u8,
}

impl Writer {
    /// Makes the file, or empties it, and writes its header.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(&[b'F', b'L', b'V', 1, 0])?;
        out.write_all(&HEADER_LENGTH.to_be_bytes())?;
        out.write_all(&[0; 4])?;
        Ok(Self { out, flags: 0 })
    }

    /// Writes a tag.
    ///
    /// # Errors
    /// What the system says.
    pub fn tag(&mut self, tag: &Tag<'_>) -> io::Result<()> {
        self.flags |= match tag.kind {
            TagKind::Audio => 4,
            TagKind::Video => 1,
            TagKind::Script => 0,
        };
        let size = u32::try_from(tag.body.len())
            .ok()
            .filter(|size| *size < 1 << 24)
            .ok_or_else(|| io::Error::other("a tag body of more than 24 bits"))?;
        let size_bytes = size.to_be_bytes();
        let time = tag.timestamp.to_be_bytes();
        self.out.write_all(&[tag.kind.id()])?;
        self.out.write_all(&size_bytes[1..])?;
        self.out.write_all(&[time[1], time[2], time[3], time[0]])?;
        self.out.write_all(&[0; 3])?;
        self.out.write_all(tag.body)?;
        let whole = size + TAG_HEADER_LENGTH as u32;
        self.out.write_all(&whole.to_be_bytes())?;
        // Whoever reads along, or comes after a tester that was killed, finds whole tags.
        self.out.flush()
    }

    /// Completes the file header, which says what kinds of tags there are. A pipe has let go of it.
    pub fn finish(mut self) -> io::Result<()> {
        match self.out.seek(SeekFrom::Start(4)) {
            Ok(_) => self.out.write_all(&[self.flags])?,
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => {}
            Err(error) => return Err(error),
        }
        self.out.flush()
    }
}
