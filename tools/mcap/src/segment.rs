//! Parts of a file that can be read by themselves.

use std::{fs::File, os::unix::fs::FileExt as _};

use mcap::{
    McapError,
    records::{ChunkIndex, Record, op},
    sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions},
};
use tools_cli::read_at::read_up_to;

use super::{
    framing::{FRAME, MAGIC, RECORD_MAX, frame},
    reader::ReadError,
};

/// Records outside chunks are taken together up to so many bytes.
const LOOSE_BYTES: u64 = 4 << 20;

/// A chunk, or records that are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is in the file, in bytes.
    pub offset: u64,
    /// Bytes of it.
    pub length: u64,
}

impl Segment {
    /// A chunk that a summary names.
    pub fn of(chunk: &ChunkIndex) -> Self {
        Self { offset: chunk.chunk_start_offset, length: chunk.chunk_length }
    }

    /// The segments of a file that hold messages, as far as they are whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all_of(file: &File) -> Result<Vec<Self>, ReadError> {
        let size = file.metadata()?.len();
        let mut segments = Vec::<Self>::new();
        let mut loose = false;
        let mut offset = MAGIC.len() as u64;
        while size.saturating_sub(offset) >= FRAME as u64 {
            let mut head = [0; FRAME];
            file.read_exact_at(&mut head, offset)?;
            let Some((kind, length)) = frame(&head) else { break };
            if length > size - offset - FRAME as u64 || kind == op::DATA_END {
                break;
            }
            let segment = Self { offset, length: FRAME as u64 + length };
            offset += segment.length;
            match (kind, segments.last_mut()) {
                (op::MESSAGE | op::SCHEMA | op::CHANNEL, Some(last))
                    if loose && last.offset + last.length == segment.offset && last.length < LOOSE_BYTES =>
                {
                    last.length += segment.length;
                }
                (op::CHUNK | op::MESSAGE | op::SCHEMA | op::CHANNEL, _) => {
                    loose = kind != op::CHUNK;
                    segments.push(segment);
                }
                _ => {}
            }
        }
        Ok(segments)
    }

    /// Reads its records, which have to be whole.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged; what `each` says.
    pub fn records(
        self,
        file: &File,
        mut each: impl FnMut(Record<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(RECORD_MAX);
        let mut reader = LinearReader::new_with_options(options);
        let Self { offset: mut at, length: mut left } = self;
        while let Some(event) = reader.next_event() {
            match event {
                Ok(LinearReadEvent::ReadRequest(wanted)) => {
                    let wanted = wanted.min(usize::try_from(left).unwrap_or(usize::MAX));
                    let got = read_up_to(file, reader.insert(wanted), at)?;
                    reader.notify_read(got);
                    (at, left) = (at + got as u64, left - got as u64);
                }
                Ok(LinearReadEvent::Record { opcode, data }) => {
                    each(mcap::parse_record(opcode, data).map_err(ReadError::Mcap)?)?;
                }
                // The segment ends before the file does.
                Err(McapError::UnexpectedEof) if left == 0 => break,
                Err(error) => return Err(ReadError::Mcap(error)),
            }
        }
        Ok(())
    }
}
