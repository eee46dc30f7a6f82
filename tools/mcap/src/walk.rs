//! The messages of an MCAP file in their order, of a damaged one as many as are whole.
//!
//! The framing is followed here and not by the crate's readers, which end at the first damage. Nothing is mapped: a file that
//! is cut off while it is read ends early.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::Arc,
};

use mcap::records::{ChunkHeader, Record, op};
use tools_cli::read_at::{read_exactly, read_up_to};

use super::{
    channel::{Channel, Channels},
    framing::{FRAME, MAGIC, frame},
};

/// No chunk of a recording comes near; a length beyond it is damage.
const CHUNK_MAX: u64 = 512 << 20;
/// Fixed part of a chunk's header, and the longest name of a compression.
const CHUNK_HEADER_MAX: usize = 8 + 8 + 8 + 4 + 4 + 4 + 8;
/// The longest schema describes a few messages.
const DECLARATION_MAX: u64 = 1 << 20;
/// What is looked through at once for the next chunk.
const WINDOW: usize = 1 << 20;

/// What went by that could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Damage {
    /// Bytes that hold no record.
    pub bytes: u64,
    /// Whether the file ends before its end is announced.
    pub cut: bool,
}

/// A message, and whether what it holds can be believed.
#[derive(Debug)]
pub struct Message<'a> {
    /// Its channel.
    pub channel: Arc<Channel>,
    /// Its number in the channel, as its writer counts.
    pub sequence: u32,
    /// When it was written, in nanoseconds.
    pub log_time: u64,
    /// What it holds.
    pub data: &'a [u8],
    /// Its chunk does not have the checksum that it was written with.
    pub suspect: bool,
    /// Grows whenever something before it could not be read, or not be believed.
    pub harm: u64,
}

/// Reads a file from its beginning to its end.
#[derive(Debug)]
pub struct Walk {
    file: File,
    length: u64,
    position: u64,
    channels: Channels,
    /// Records at hand: of a chunk, or a single one.
    records: Vec<u8>,
    at: usize,
    suspect: bool,
    /// Chunks that were suspect so far.
    suspects: u64,
    damage: Damage,
}

impl Walk {
    /// Begins behind the magic.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut walk = Self {
            file,
            length,
            position: MAGIC.len() as u64,
            channels: Channels::default(),
            records: Vec::new(),
            at: 0,
            suspect: false,
            suspects: 0,
            damage: Damage::default(),
        };
        walk.read_summary()?;
        Ok(walk)
    }

    /// What could not be read so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// The next message of a channel that is known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_message(&mut self) -> io::Result<Option<Message<'_>>> {
        let (channel, header, data) = loop {
            if let Some((opcode, body)) = self.next_at_hand() {
                match mcap::parse_record(opcode, &self.records[body.clone()]) {
                    Ok(Record::Message { header, data }) => {
                        if let Some(channel) = self.channels.get(header.channel_id) {
                            break (Arc::clone(channel), header, body.end - data.len()..body.end);
                        }
                        self.damage.bytes += body.len() as u64;
                    }
                    // The summary has no checksum of its own that a cut file could be held to.
                    Ok(declared @ (Record::Schema { .. } | Record::Channel(_))) => {
                        self.channels.learn(declared, !self.suspect);
                    }
                    _ => self.damage.bytes += body.len() as u64,
                }
            } else if !self.read_on()? {
                return Ok(None);
            }
        };
        let mcap::records::MessageHeader { sequence, log_time, .. } = header;
        Ok(Some(Message {
            channel,
            sequence,
            log_time,
            data: &self.records[data],
            suspect: self.suspect,
            harm: self.damage.bytes + self.suspects,
        }))
    }

    /// The next schema, channel or message in memory: its opcode, and where it is.
    fn next_at_hand(&mut self) -> Option<(u8, std::ops::Range<usize>)> {
        loop {
            let rest = &self.records[self.at..];
            let (opcode, length) = frame(rest)?;
            let begin = self.at + FRAME;
            let Some(end) = usize::try_from(length).ok().and_then(|length| begin.checked_add(length)) else {
                return self.give_up();
            };
            if end > self.records.len() {
                return self.give_up();
            }
            self.at = end;
            if matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE) {
                return Some((opcode, begin..end));
            }
        }
    }

    /// The rest of what is at hand cannot be told apart.
    fn give_up<T>(&mut self) -> Option<T> {
        self.damage.bytes += (self.records.len() - self.at) as u64;
        self.at = self.records.len();
        None
    }

    /// Takes the next record of the file. False at its end.
    fn read_on(&mut self) -> io::Result<bool> {
        // Of a file that grows, what was there in the beginning is read.
        let remaining = self.length.saturating_sub(self.position);
        if remaining < FRAME as u64 {
            self.damage.cut = true;
            return Ok(false);
        }
        let mut head = [0; FRAME + CHUNK_HEADER_MAX];
        let got = read_up_to(&self.file, &mut head, self.position)?;
        let Some((opcode, length)) = frame(&head[..got]) else {
            self.damage.cut = true;
            return Ok(false);
        };
        match opcode {
            op::DATA_END | op::FOOTER if length <= 20 => Ok(false),
            op::CHUNK => match chunk_header(&head[FRAME..got], length) {
                Some(header) => self.read_chunk(&header, length.min(remaining - FRAME as u64)).map(|()| true),
                None => self.look_for_chunk(),
            },
            op::SCHEMA | op::CHANNEL | op::MESSAGE if length <= CHUNK_MAX && length <= remaining - FRAME as u64 => {
                self.records = read_exactly(&self.file, self.position, FRAME + length as usize)?;
                self.begin_records(false, self.records.len() as u64);
                Ok(true)
            }
            // A length that is damaged would leap over chunks; those of indexes are written twice.
            op::MESSAGE_INDEX if u32_at(&head, FRAME + 2).map(|entries| u64::from(entries) + 6) != Some(length) => {
                self.look_for_chunk()
            }
            op::HEADER | op::MESSAGE_INDEX | op::ATTACHMENT | op::METADATA if length <= remaining - FRAME as u64 => {
                self.position += FRAME as u64 + length;
                Ok(true)
            }
            _ => self.look_for_chunk(),
        }
    }

    fn begin_records(&mut self, suspect: bool, length_in_file: u64) {
        self.at = 0;
        self.suspect = suspect;
        self.suspects += u64::from(suspect);
        self.position += length_in_file;
    }

    /// Unpacks a chunk, of which the file holds `held` bytes.
    fn read_chunk(&mut self, header: &ChunkHeader, held: u64) -> io::Result<()> {
        let before = 8 + 8 + 8 + 4 + 4 + header.compression.len() + 8;
        let wanted = before as u64 + header.compressed_size;
        let packed = read_exactly(&self.file, self.position + FRAME as u64, held.min(wanted) as usize)?;
        let packed = packed.get(before..).unwrap_or_default();
        let cut = held < wanted;
        let size = header.uncompressed_size;
        let mut records = Vec::new();
        // What an unpacker gives before it finds fault is looked through below.
        let unpacked = match header.compression.as_str() {
            "" => {
                records.extend_from_slice(packed);
                Ok(0)
            }
            "zstd" => zstd::stream::read::Decoder::new(packed).and_then(|it| it.take(size).read_to_end(&mut records)),
            _ => lz4::Decoder::new(packed).and_then(|it| it.take(size).read_to_end(&mut records)),
        };
        let whole = unpacked.is_ok()
            && records.len() as u64 == size
            && (header.uncompressed_crc == 0 || crc32fast::hash(&records) == header.uncompressed_crc);
        self.damage.cut |= cut;
        if !cut {
            self.damage.bytes += size.saturating_sub(records.len() as u64);
        }
        self.records = records;
        // The records in front of a cut are as they were written.
        self.begin_records(!whole && !cut, FRAME as u64 + held);
        Ok(())
    }

    /// Goes on at the next thing that can only be a chunk. False when there is none.
    fn look_for_chunk(&mut self) -> io::Result<bool> {
        let begin = self.position;
        let mut from = begin + 1;
        let mut window = vec![0; WINDOW];
        loop {
            let got = read_up_to(&self.file, &mut window, from)?;
            let last = got < WINDOW;
            // A header across the border of two windows is found in the second.
            let searched = if last { got } else { got - FRAME - CHUNK_HEADER_MAX };
            let found = (0..searched).find(|&at| {
                frame(&window[at..got]).is_some_and(|(opcode, length)| {
                    opcode == op::CHUNK && chunk_header(&window[at + FRAME..got], length).is_some()
                })
            });
            let end = from + found.unwrap_or(searched) as u64;
            if found.is_some() || last {
                self.damage.bytes += end - begin;
                self.damage.cut |= found.is_none();
                self.position = end;
                return Ok(found.is_some());
            }
            from = end;
        }
    }

    /// Learns the channels at the end of a file that was closed: those in its chunks may be lost.
    fn read_summary(&mut self) -> io::Result<()> {
        const FOOTER: u64 = FRAME as u64 + 20;
        let mut tail = [0; FOOTER as usize + MAGIC.len()];
        let Some(begin) = self.length.checked_sub(tail.len() as u64) else {
            return Ok(());
        };
        if read_up_to(&self.file, &mut tail, begin)? < tail.len() || !tail.ends_with(&MAGIC) || tail[0] != op::FOOTER {
            return Ok(());
        }
        let mut at = u64::from_le_bytes(tail[FRAME..FRAME + 8].try_into().expect("it has 8 bytes"));
        while at > 0 && at < begin {
            let mut head = [0; FRAME];
            read_up_to(&self.file, &mut head, at)?;
            let Some((opcode, length)) = frame(&head).filter(|(_, length)| *length <= begin - at) else {
                break;
            };
            if matches!(opcode, op::SCHEMA | op::CHANNEL) && length <= DECLARATION_MAX {
                let body = read_exactly(&self.file, at + FRAME as u64, length as usize)?;
                if let Ok(declared) = mcap::parse_record(opcode, &body) {
                    self.channels.learn(declared, true);
                }
            }
            at += FRAME as u64 + length;
        }
        Ok(())
    }
}

/// The header of a chunk whose record has this length, unless it contradicts itself.
fn chunk_header(bytes: &[u8], length: u64) -> Option<ChunkHeader> {
    // The crate reads a chunk with its data; the header alone is one with none.
    let name = usize::try_from(u32_at(bytes, 28)?).ok()?;
    let compression = match bytes.get(32..32usize.checked_add(name)?)? {
        b"" => "",
        b"zstd" => "zstd",
        b"lz4" => "lz4",
        _ => return None,
    };
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let header = ChunkHeader {
        message_start_time: number(0)?,
        message_end_time: number(8)?,
        uncompressed_size: number(16)?,
        uncompressed_crc: u32_at(bytes, 24)?,
        compression: compression.to_owned(),
        compressed_size: number(32 + name)?,
    };
    let consistent = header.compressed_size.checked_add(40 + name as u64) == Some(length)
        && header.message_start_time <= header.message_end_time
        && length <= CHUNK_MAX
        && header.uncompressed_size <= CHUNK_MAX
        && (name > 0 || header.uncompressed_size == header.compressed_size);
    consistent.then_some(header)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_grows_is_read_as_far_as_it_was() {
        let chunk = [&[op::CHUNK][..], &40_u64.to_le_bytes(), &[0; 40]].concat();
        for was_there in 1..chunk.len() {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[&MAGIC[..], &chunk[..was_there]].concat()).unwrap();
            let mut walk = Walk::new(file.try_clone().unwrap()).unwrap();
            file.write_all(&[&chunk[was_there..], &chunk, &chunk].concat()).unwrap();
            assert!(walk.next_message().unwrap().is_none());
        }
    }
}
