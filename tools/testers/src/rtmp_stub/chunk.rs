//! RTMP chunks into messages (Adobe's RTMP specification 1.0, section 5.3).
//!
//! Messages may interleave on several chunk streams, as section 5.3 allows. A hostile publisher meets limits.

use std::collections::HashMap;

use super::command::message_type::{ABORT, SET_CHUNK_SIZE};

const INITIAL_CHUNK_SIZE: usize = 128;

/// Chunk streams that a publisher can use. Real ones use four or five.
const MAX_CHUNK_STREAMS: usize = 64;

/// Bytes of unfinished messages, over all chunk streams. The message length field has 24 bits.
const MAX_HELD_BYTES: usize = 16 << 20;

/// A timestamp field of all ones says that the timestamp follows in 32 bits.
const EXTENDED: u32 = 0xff_ffff;

#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub type_id: u8,
    pub stream_id: u32,
    pub timestamp: u32,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct ChunkStream {
    timestamp: u32,
    delta: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream_id: u32,
    body: Vec<u8>,
    in_message: bool,
}

pub struct ChunkReader {
    buffer: Vec<u8>,
    chunk_size: usize,
    streams: HashMap<u32, ChunkStream>,
    /// The chunk whose payload is being read: its stream, and the bytes that are missing.
    current: Option<(u32, usize)>,
    held: usize,
    consumed: u64,
}

/// A chunk header, parsed as far as it was there.
struct Header {
    length: usize,
    format: u8,
    chunk_stream: u32,
    timestamp_field: u32,
    message_length: usize,
    type_id: u8,
    stream_id: u32,
    extended: bool,
}

impl ChunkReader {
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            chunk_size: INITIAL_CHUNK_SIZE,
            streams: HashMap::new(),
            current: None,
            held: 0,
            consumed: 0,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the bytes so far end within a message or a chunk.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty() || self.current.is_some() || self.streams.values().any(|stream| stream.in_message)
    }

    /// The next whole message; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// A sentence about the bytes that are no chunk.
    pub fn next_message(&mut self) -> Result<Option<Message>, String> {
        let mut at = 0;
        let mut message = None;
        let outcome = loop {
            match self.step(&mut at, &mut message) {
                Ok(true) if message.is_none() => {}
                Ok(_) => break Ok(()),
                Err(text) => {
                    break Err(format!("RTMP chunk stream, byte {}: {text}", self.consumed + at as u64));
                }
            }
        };
        self.buffer.drain(..at);
        self.consumed += at as u64;
        outcome.map(|()| message)
    }

    /// Takes a chunk header or a piece of payload from the buffer. False when there is too little of it.
    fn step(&mut self, at: &mut usize, message: &mut Option<Message>) -> Result<bool, String> {
        let (chunk_stream, missing) = match self.current {
            Some(current) => current,
            None => {
                let Some(header) = self.parse_header(&self.buffer[*at..])? else {
                    return Ok(false);
                };
                let length = header.length;
                let current = self.begin_chunk(header)?;
                *at += length;
                current
            }
        };
        let available = self.buffer.len() - *at;
        let take = missing.min(available);
        let stream = self.streams.entry(chunk_stream).or_default();
        if self.held + take > MAX_HELD_BYTES {
            return Err(format!("unfinished messages of more than {MAX_HELD_BYTES} bytes"));
        }
        stream.body.extend_from_slice(&self.buffer[*at..*at + take]);
        self.held += take;
        *at += take;
        if take < missing {
            self.current = Some((chunk_stream, missing - take));
            return Ok(false);
        }
        self.current = None;
        if stream.body.len() == stream.length {
            stream.in_message = false;
            let body = std::mem::take(&mut stream.body);
            self.held -= body.len();
            let complete =
                Message { type_id: stream.type_id, stream_id: stream.stream_id, timestamp: stream.timestamp, body };
            *message = self.control(complete)?;
        }
        Ok(true)
    }

    fn parse_header(&self, bytes: &[u8]) -> Result<Option<Header>, String> {
        let mut rest = bytes;
        let Some(basic) = take::<1>(&mut rest) else {
            return Ok(None);
        };
        let format = basic[0] >> 6;
        let chunk_stream = match basic[0] & 0x3f {
            0 => match take::<1>(&mut rest) {
                Some(more) => 64 + u32::from(more[0]),
                None => return Ok(None),
            },
            1 => match take::<2>(&mut rest) {
                Some(more) => 64 + u32::from(more[0]) + 256 * u32::from(more[1]),
                None => return Ok(None),
            },
            small => u32::from(small),
        };
        let known = self.streams.get(&chunk_stream);
        if format != 0 && known.is_none() {
            return Err(format!(
                "chunk stream {chunk_stream} begins with a header of type {format}: only type 0 is complete"
            ));
        }
        let default = ChunkStream::default();
        let known = known.unwrap_or(&default);
        let mut header = Header {
            length: 0,
            format,
            chunk_stream,
            timestamp_field: known.delta,
            message_length: known.length,
            type_id: known.type_id,
            stream_id: known.stream_id,
            extended: known.extended,
        };
        if format < 3 {
            let Some(field) = take::<3>(&mut rest) else {
                return Ok(None);
            };
            header.timestamp_field = u32::from_be_bytes([0, field[0], field[1], field[2]]);
            header.extended = header.timestamp_field == EXTENDED;
        }
        if format < 2 {
            let Some(field) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            header.message_length = u32::from_be_bytes([0, field[0], field[1], field[2]]) as usize;
            header.type_id = field[3];
        }
        if format == 0 {
            let Some(field) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            header.stream_id = u32::from_le_bytes(field);
        }
        if header.extended {
            let Some(field) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            if format < 3 {
                header.timestamp_field = u32::from_be_bytes(field);
            }
        }
        header.length = bytes.len() - rest.len();
        Ok(Some(header))
    }

    fn begin_chunk(&mut self, header: Header) -> Result<(u32, usize), String> {
        let id = header.chunk_stream;
        if !self.streams.contains_key(&id) && self.streams.len() == MAX_CHUNK_STREAMS {
            return Err(format!("more than {MAX_CHUNK_STREAMS} chunk streams"));
        }
        let stream = self.streams.entry(id).or_default();
        if stream.in_message && header.format != 3 {
            return Err(format!(
                "a new message on chunk stream {id}, {} of {} bytes into the one before",
                stream.body.len(),
                stream.length
            ));
        }
        if !stream.in_message {
            // 5.3.1.2.4: a type 3 chunk that begins a message repeats the last delta, or the timestamp of type 0.
            stream.delta = header.timestamp_field;
            stream.timestamp = match header.format {
                0 => header.timestamp_field,
                _ => stream.timestamp.wrapping_add(header.timestamp_field),
            };
            stream.extended = header.extended;
            stream.length = header.message_length;
            stream.type_id = header.type_id;
            stream.stream_id = header.stream_id;
            stream.in_message = true;
        }
        let missing = stream.length - stream.body.len();
        Ok((id, missing.min(self.chunk_size)))
    }

    /// Obeys the messages that are about chunks (section 5.4); hands on all others.
    fn control(&mut self, message: Message) -> Result<Option<Message>, String> {
        if !matches!(message.type_id, SET_CHUNK_SIZE | ABORT) {
            return Ok(Some(message));
        }
        let Ok(bytes) = <[u8; 4]>::try_from(message.body.as_slice()) else {
            return Err(format!(
                "a control message of type {} has 4 bytes, this one {}",
                message.type_id,
                message.body.len()
            ));
        };
        let value = u32::from_be_bytes(bytes);
        if message.type_id == SET_CHUNK_SIZE {
            if value == 0 || value > i32::MAX as u32 {
                return Err(format!("a chunk size of {value}: 1 to 2147483647 are allowed"));
            }
            self.chunk_size = value as usize;
        } else if let Some(stream) = self.streams.get_mut(&value) {
            self.held -= stream.body.len();
            stream.body.clear();
            stream.in_message = false;
        }
        Ok(None)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, more) = rest.split_first_chunk::<N>()?;
    *rest = more;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8], piece: usize) -> Result<Vec<Message>, String> {
        let mut reader = ChunkReader::new();
        let mut messages = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Some(message) = reader.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    /// A type 0 header on chunk stream 6: video, stream 1.
    fn full_header(timestamp: u32, length: u32) -> Vec<u8> {
        let mut bytes = vec![6];
        bytes.extend(&timestamp.min(EXTENDED).to_be_bytes()[1..]);
        bytes.extend(&length.to_be_bytes()[1..]);
        bytes.extend([9, 1, 0, 0, 0]);
        if timestamp >= EXTENDED {
            bytes.extend(timestamp.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn messages_interleave_on_two_chunk_streams() {
        let mut bytes = full_header(40, 130);
        bytes.extend([7; 128]);
        // An audio message in between, whole.
        bytes.extend([5, 0, 0, 41, 0, 0, 2, 8, 1, 0, 0, 0, 0xaf, 1]);
        bytes.extend([0xc6, 8, 9]);
        for piece in [1, 3, 1000] {
            let messages = read_all(&bytes, piece).unwrap();
            assert_eq!(messages.len(), 2);
            assert_eq!((messages[0].type_id, messages[0].timestamp), (8, 41));
            assert_eq!((messages[1].type_id, messages[1].timestamp), (9, 40));
            assert_eq!(messages[1].body.len(), 130);
            assert_eq!(messages[1].body[128..], [8, 9]);
        }
    }

    #[test]
    fn extended_timestamps_are_repeated_in_every_chunk() {
        let mut bytes = full_header(0x0123_4567, 130);
        bytes.extend([7; 128]);
        bytes.extend([0xc6, 0x01, 0x23, 0x45, 0x67, 8, 9]);
        let messages = read_all(&bytes, 1000).unwrap();
        assert_eq!(messages[0].timestamp, 0x0123_4567);
        assert_eq!(messages[0].body[126..], [7, 7, 8, 9]);
    }

    #[test]
    fn deltas_add_up_and_wrap() {
        let mut bytes = full_header(u32::MAX, 1);
        bytes.push(1);
        bytes.extend([0x86, 0, 0, 41, 2]); // type 2: a delta of 41
        bytes.extend([0xc6, 3]); // type 3: the same delta
        let messages = read_all(&bytes, 1000).unwrap();
        assert_eq!(messages.iter().map(|m| m.timestamp).collect::<Vec<_>>(), [u32::MAX, 40, 81]);
    }

    #[test]
    fn hostile_chunks_are_refused() {
        assert!(read_all(&[0x46], 1).unwrap_err().contains("only type 0"));
        let mut bytes = full_header(0, 200);
        bytes.extend([0; 128]);
        bytes.extend(full_header(0, 10));
        assert!(read_all(&bytes, 1000).unwrap_err().contains("128 of 200"));
        let chunk_size_0 = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(read_all(&chunk_size_0, 1000).unwrap_err().contains("chunk size of 0"));
    }

    #[test]
    fn unfinished_messages_are_bounded() {
        const CHUNK: usize = 1 << 20;
        let mut reader = ChunkReader::new();
        reader.push(&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0x10, 0, 0]);
        assert_eq!(reader.next_message(), Ok(None));
        // Messages of 16 MiB that begin on one chunk stream after the other and never end.
        let mut bytes = full_header(0, 0xff_ffff);
        bytes.extend(vec![0; CHUNK]);
        for id in 6..40 {
            bytes[0] = id;
            reader.push(&bytes);
            match reader.next_message() {
                Ok(message) => assert_eq!(message, None),
                Err(text) => {
                    assert!(text.contains("unfinished messages"), "{text}");
                    assert_eq!(usize::from(id - 6), MAX_HELD_BYTES / CHUNK);
                    return;
                }
            }
        }
        panic!("34 MiB are held");
    }

    #[test]
    fn random_bytes_neither_panic_nor_grow() {
        let mut state = 1_u64;
        for _ in 0..200 {
            let mut reader = ChunkReader::new();
            for _ in 0..64 {
                let bytes: Vec<u8> = (0..100)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        // Small values make more headers that are accepted.
                        (state >> 33) as u8 & 0x4f
                    })
                    .collect();
                reader.push(&bytes);
                while let Ok(Some(_)) = reader.next_message() {}
            }
        }
    }
}
