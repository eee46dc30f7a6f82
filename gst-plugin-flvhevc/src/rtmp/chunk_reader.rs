//! Messages out of chunks (RTMP 1.0, 5.3), with a bound on everything that a server can make it keep.

use super::refusal::Refusal;

/// Largest message; a server's longest answers have a few kilobytes.
pub const MESSAGE_MAX: usize = 64 << 10;
/// Most chunk streams; servers use about five.
pub const CHUNK_STREAMS_MAX: usize = 64;
/// Most bytes of messages whose rest has not come. A server has no reason to begin many at once.
pub const UNFINISHED_MAX: usize = 256 << 10;

const DEFAULT_CHUNK_SIZE: usize = 128;
/// Basic header of 3 bytes, message header of 11, extended timestamp of 4.
const HEADER_MAX: usize = 18;
const EXTENDED: u32 = 0xFF_FFFF;

/// Message types (RTMP 1.0, 5.4 and 7.1).
pub mod message_type {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_SIZE: u8 = 5;
    pub const PEER_BANDWIDTH: u8 = 6;
    pub const AMF3_COMMAND: u8 = 17;
    pub const AMF0_COMMAND: u8 = 20;
}

/// A message that is meant for the session.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub type_id: u8,
    pub body: Vec<u8>,
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    type_id: u8,
    length: usize,
    is_extended: bool,
    /// What has come of a message under way; its bytes stay in `body` when somebody reads them.
    received: usize,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Expecting {
    Header,
    /// So many bytes of this stream's chunk.
    Payload {
        stream: usize,
        left: usize,
    },
}

/// Takes bytes, gives messages.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: usize,
    header: [u8; HEADER_MAX],
    header_size: usize,
    expecting: Expecting,
    streams: Vec<ChunkStream>,
    unfinished: usize,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            header: [0; HEADER_MAX],
            header_size: 0,
            expecting: Expecting::Header,
            streams: Vec::new(),
            unfinished: 0,
        }
    }
}

impl ChunkReader {
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Takes bytes from the front of `bytes` until a message is complete or nothing is left. Control messages about chunks
    /// are dealt with here.
    ///
    /// # Errors
    /// What breaks the protocol or a bound.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, Refusal> {
        loop {
            match self.expecting {
                Expecting::Header => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        return Ok(None);
                    };
                    *bytes = rest;
                    self.header[self.header_size] = *byte;
                    self.header_size += 1;
                    if let Some(stream) = self.read_header()? {
                        self.header_size = 0;
                        let stream_left = self.streams[stream].length - self.streams[stream].received;
                        self.expecting = Expecting::Payload { stream, left: stream_left.min(self.chunk_size) };
                    }
                }
                Expecting::Payload { stream, left } => {
                    let (part, rest) = bytes.split_at(left.min(bytes.len()));
                    *bytes = rest;
                    self.take_payload(stream, part)?;
                    let left = left - part.len();
                    if left > 0 {
                        self.expecting = Expecting::Payload { stream, left };
                        return Ok(None);
                    }
                    self.expecting = Expecting::Header;
                    if let Some(message) = self.complete(stream)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// Reads the header bytes that have come. `None`: more are needed. Otherwise the place of its stream.
    fn read_header(&mut self) -> Result<Option<usize>, Refusal> {
        let come = &self.header[..self.header_size];
        let format = come[0] >> 6;
        let (basic, id) = match come[0] & 0x3F {
            0 => (2, come.get(1).map(|byte| u32::from(*byte) + 64)),
            1 => (3, come.get(2).map(|byte| u32::from(*byte) * 256 + u32::from(come[1]) + 64)),
            id => (1, Some(u32::from(id))),
        };
        let Some(id) = id else {
            return Ok(None);
        };
        let fields = [11, 7, 3, 0][usize::from(format)];
        if come.len() < basic + fields {
            return Ok(None);
        }
        let known = self.streams.iter().position(|stream| stream.id == id);
        let number = |at: usize| u32::from_be_bytes([0, come[basic + at], come[basic + at + 1], come[basic + at + 2]]);
        let is_extended = match known {
            _ if fields > 0 => number(0) == EXTENDED,
            Some(known) => self.streams[known].is_extended,
            None => return Err(Refusal::Malformed("a chunk continues a stream that has not begun")),
        };
        if come.len() < basic + fields + if is_extended { 4 } else { 0 } {
            return Ok(None);
        }
        let (length, type_id) = match known {
            _ if fields >= 7 => (number(3) as usize, come[basic + 6]),
            Some(known) => (self.streams[known].length, self.streams[known].type_id),
            None => return Err(Refusal::Malformed("a chunk continues a stream that has not begun")),
        };
        let place = match known {
            Some(known) => known,
            None if self.streams.len() == CHUNK_STREAMS_MAX => {
                return Err(Refusal::TooManyChunkStreams(CHUNK_STREAMS_MAX));
            }
            None => {
                let body = Vec::new();
                self.streams.push(ChunkStream { id, type_id, length, is_extended, received: 0, body });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[place];
        // Some servers repeat the whole header at each chunk of a message.
        if stream.received > 0 && (length, type_id) != (stream.length, stream.type_id) {
            return Err(Refusal::Malformed("a message begins where another one of its chunk stream goes on"));
        }
        if length > MESSAGE_MAX {
            return Err(Refusal::MessageTooLarge { size: length, max: MESSAGE_MAX });
        }
        (stream.length, stream.type_id, stream.is_extended) = (length, type_id, is_extended);
        Ok(Some(place))
    }

    fn take_payload(&mut self, place: usize, part: &[u8]) -> Result<(), Refusal> {
        let stream = &mut self.streams[place];
        stream.received += part.len();
        if is_read(stream.type_id) {
            self.unfinished += part.len();
            if self.unfinished > UNFINISHED_MAX {
                return Err(Refusal::TooMuchUnfinished(UNFINISHED_MAX));
            }
            stream.body.extend_from_slice(part);
        }
        Ok(())
    }

    fn complete(&mut self, place: usize) -> Result<Option<Message>, Refusal> {
        let stream = &mut self.streams[place];
        if stream.received < stream.length {
            return Ok(None);
        }
        stream.received = 0;
        if !is_read(stream.type_id) {
            return Ok(None);
        }
        let message = Message { type_id: stream.type_id, body: std::mem::take(&mut stream.body) };
        self.unfinished -= message.body.len();
        match message.type_id {
            message_type::SET_CHUNK_SIZE => {
                let size = number(&message).ok_or(Refusal::Malformed("SetChunkSize is not a number"))?;
                if size == 0 || size >> 31 != 0 {
                    return Err(Refusal::Malformed("SetChunkSize asks for chunks of an impossible size"));
                }
                // No message is larger.
                self.chunk_size = (size as usize).min(MESSAGE_MAX);
                Ok(None)
            }
            message_type::ABORT => {
                let id = number(&message).ok_or(Refusal::Malformed("Abort is not a number"))?;
                if let Some(aborted) = self.streams.iter_mut().find(|stream| stream.id == id) {
                    self.unfinished -= aborted.body.len();
                    aborted.received = 0;
                    aborted.body = Vec::new();
                }
                Ok(None)
            }
            _ => Ok(Some(message)),
        }
    }

    /// Bytes that are kept at the moment.
    pub fn kept(&self) -> usize {
        self.streams.iter().map(|stream| stream.body.capacity()).sum()
    }
}

/// The number that a control message consists of.
pub fn number(message: &Message) -> Option<u32> {
    message.body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Whether anybody reads messages of this type. A publisher gets no media; if it does, they are not kept.
fn is_read(type_id: u8) -> bool {
    use message_type::*;
    matches!(type_id, SET_CHUNK_SIZE..=PEER_BANDWIDTH | AMF3_COMMAND | AMF0_COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(id: u8, length: usize, type_id: u8) -> Vec<u8> {
        let [_, size @ ..] = (length as u32).to_be_bytes();
        [&[id, 0, 0, 0], &size[..], &[type_id, 0, 0, 0, 0]].concat()
    }

    /// Everything that comes of `bytes`, given in pieces.
    fn read_in(bytes: &[u8], piece: usize) -> (ChunkReader, Result<Vec<Message>, Refusal>) {
        let mut reader = ChunkReader::default();
        let mut messages = Vec::new();
        for mut part in bytes.chunks(piece.max(1)) {
            loop {
                match reader.next(&mut part) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(refusal) => return (reader, Err(refusal)),
                }
            }
        }
        (reader, Ok(messages))
    }

    fn refused(bytes: &[u8]) -> Refusal {
        read_in(bytes, bytes.len()).1.unwrap_err()
    }

    #[test]
    fn messages_come_whole_however_they_are_cut_and_mixed() {
        let body = (0..300).map(|at| at as u8).collect::<Vec<_>>();
        let bytes = [
            &head(3, 300, 20)[..],
            &body[..128],
            // Another stream between its chunks, with a longer id.
            &[0x00, 10, 0, 0, 0, 0, 0, 4, 17, 0, 0, 0, 0],
            b"abcd",
            &[0xC3],
            &body[128..256],
            &[0xC3],
            &body[256..],
            // The same message again, with an extended timestamp.
            &[0x80 | 3, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4],
            &body[..128],
            &[0xC3, 1, 2, 3, 4],
            &body[128..256],
            &[0xC3, 1, 2, 3, 4],
            &body[256..],
            // A media message is passed over; an empty command is one.
            &head(4, 5, 9),
            b"media",
            &head(5, 0, 20),
            // 3-byte id.
            &[0x01, 1, 1, 0, 0, 0, 0, 0, 1, 20, 0, 0, 0, 0],
            b"z",
        ]
        .concat();
        for piece in [1, 7, 200, bytes.len()] {
            let messages = read_in(&bytes, piece).1.unwrap();
            let got = messages.iter().map(|message| (message.type_id, message.body.as_slice())).collect::<Vec<_>>();
            assert_eq!(got, [(17, &b"abcd"[..]), (20, &body), (20, &body), (20, b""), (20, b"z")]);
        }
    }

    #[test]
    fn chunk_sizes_are_followed_and_checked() {
        let body = vec![5; 1000];
        let bytes = [&head(2, 4, 1)[..], &1000u32.to_be_bytes(), &head(3, 1000, 20), &body].concat();
        assert_eq!(read_in(&bytes, 64).1.unwrap(), [Message { type_id: 20, body }]);
        for size in [0, 1 << 31, u32::MAX] {
            let bytes = [&head(2, 4, 1)[..], &size.to_be_bytes()].concat();
            assert!(refused(&bytes).to_string().contains("SetChunkSize"), "{size}");
        }
        let (reader, _) = read_in(&[&head(2, 4, 1)[..], &0x7FFF_FFFFu32.to_be_bytes()].concat(), 1);
        assert_eq!(reader.chunk_size(), MESSAGE_MAX);
        assert!(refused(&[&head(2, 2, 1)[..], &[0, 0]].concat()).to_string().contains("SetChunkSize"));
    }

    #[test]
    fn an_aborted_message_is_forgotten() {
        let bytes = [&head(3, 300, 20)[..], &[1; 128], &head(2, 4, 2), &3u32.to_be_bytes(), &head(3, 2, 20), b"ok"];
        assert_eq!(read_in(&bytes.concat(), 9).1.unwrap(), [Message { type_id: 20, body: b"ok".to_vec() }]);
    }

    #[test]
    fn bounds_are_kept_and_named() {
        assert_eq!(
            refused(&head(3, MESSAGE_MAX + 1, 9)),
            Refusal::MessageTooLarge { size: MESSAGE_MAX + 1, max: MESSAGE_MAX }
        );
        let begun = |count: u32| {
            let begin = |index: u32| {
                let mut begun =
                    [vec![0x01, index as u8, (index >> 8) as u8], head(0, 60_000, 20)[1..].to_vec()].concat();
                begun.extend_from_slice(&[0; 128]);
                begun
            };
            (0..count).flat_map(begin).collect::<Vec<_>>()
        };
        assert_eq!(refused(&begun(65)), Refusal::TooManyChunkStreams(CHUNK_STREAMS_MAX));
        // Begun messages cost what came of them, not what they announce.
        let (reader, result) = read_in(&begun(64), 100);
        assert!(result.unwrap().is_empty() && reader.kept() < 64 * 300, "{}", reader.kept());
        // The same with all of each message but its end.
        let large_chunks = [&head(2, 4, 1)[..], &59_999u32.to_be_bytes()].concat();
        let begin = |id: u8| [head(id, 60_000, 20), vec![0; 59_999]].concat();
        let bytes = [large_chunks, (3..12).flat_map(begin).collect()].concat();
        let (reader, result) = read_in(&bytes, 1000);
        assert_eq!(result.unwrap_err(), Refusal::TooMuchUnfinished(UNFINISHED_MAX));
        assert!(reader.kept() <= 2 * UNFINISHED_MAX, "{}", reader.kept());
    }

    #[test]
    fn chunks_that_do_not_go_together_are_refused() {
        assert!(refused(&[0xC3]).to_string().contains("has not begun"));
        assert!(refused(&[0x83, 0, 0, 0]).to_string().contains("has not begun"));
        assert!(
            refused(&[&head(3, 300, 20)[..], &[0; 128], &head(3, 301, 20)].concat()).to_string().contains("goes on")
        );
    }

    #[test]
    fn a_header_may_be_repeated_at_each_chunk() {
        let bytes = [&head(3, 130, 20)[..], &[1; 128], &head(3, 130, 20), &[2; 2]].concat();
        let body = [vec![1; 128], vec![2; 2]].concat();
        assert_eq!(read_in(&bytes, 50).1.unwrap(), [Message { type_id: 20, body }]);
    }
}
