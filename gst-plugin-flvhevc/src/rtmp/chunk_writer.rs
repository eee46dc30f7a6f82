//! Chunks out of messages (RTMP 1.0, 5.3). Each message begins with a whole header: that costs a few bytes, and no server
//! has to remember anything.

const DEFAULT_CHUNK_SIZE: usize = 128;
const EXTENDED: u32 = 0xFF_FFFF;

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// 2 to 63.
    pub chunk_stream: u8,
    pub message_stream: u32,
}

/// A message's header.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub address: Address,
    pub type_id: u8,
    pub timestamp: u32,
    /// Of the body; at most 24 bits.
    pub length: usize,
}

/// A message that is being written.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    head: Head,
    written: usize,
}

#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: usize,
    under_way: Option<UnderWay>,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE, under_way: None }
    }
}

impl ChunkWriter {
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// From the next chunk on. The server has to have been told.
    pub fn set_chunk_size(&mut self, size: usize) {
        self.chunk_size = size;
    }

    /// A message as a whole; may stand between chunks of one that is [begun](Self::begin).
    pub fn message(&self, head: Head, body: &[u8], out: &mut Vec<u8>) {
        debug_assert_eq!(head.length, body.len());
        put_first_header(&head, out);
        for (index, chunk) in body.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                put_next_header(&head, out);
            }
            out.extend_from_slice(chunk);
        }
    }

    /// Begins a message whose body comes chunk by chunk.
    pub fn begin(&mut self, head: Head) {
        self.under_way = Some(UnderWay { head, written: 0 });
    }

    /// Whether chunks of a begun message are missing.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Writes the next chunk of the begun message. `fill` appends exactly as many bytes of the body as it is told.
    pub fn chunk(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>, usize)) {
        let Some(message) = &mut self.under_way else {
            return;
        };
        if message.written == 0 {
            put_first_header(&message.head, out);
        } else {
            put_next_header(&message.head, out);
        }
        let count = self.chunk_size.min(message.head.length - message.written);
        let end = out.len() + count;
        fill(out, count);
        debug_assert_eq!(out.len(), end);
        message.written += count;
        if message.written == message.head.length {
            self.under_way = None;
        }
    }
}

fn put_first_header(head: &Head, out: &mut Vec<u8>) {
    let [_, time @ ..] = head.timestamp.min(EXTENDED).to_be_bytes();
    let [_, size @ ..] = (head.length as u32).to_be_bytes();
    out.push(head.address.chunk_stream);
    out.extend_from_slice(&time);
    out.extend_from_slice(&size);
    out.push(head.type_id);
    out.extend_from_slice(&head.address.message_stream.to_le_bytes());
    put_extended(head, out);
}

fn put_next_header(head: &Head, out: &mut Vec<u8>) {
    out.push(0xC0 | head.address.chunk_stream);
    put_extended(head, out);
}

fn put_extended(head: &Head, out: &mut Vec<u8>) {
    if head.timestamp >= EXTENDED {
        out.extend_from_slice(&head.timestamp.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(timestamp: u32, length: usize) -> Head {
        Head { address: Address { chunk_stream: 6, message_stream: 0x0102 }, type_id: 9, timestamp, length }
    }

    #[test]
    fn a_message_in_one_piece() {
        let mut out = Vec::new();
        ChunkWriter::default().message(head(0x0A0B0C, 2), b"hi", &mut out);
        assert_eq!(out, b"\x06\x0A\x0B\x0C\0\0\x02\x09\x02\x01\0\0hi");
    }

    #[test]
    fn a_long_message_has_a_header_at_each_chunk_and_lets_others_between() {
        let body = (0..130).collect::<Vec<u8>>();
        let mut whole = Vec::new();
        let mut writer = ChunkWriter::default();
        writer.message(head(EXTENDED, 130), &body, &mut whole);
        let first = [b"\x06\xFF\xFF\xFF\0\0\x82\x09\x02\x01\0\0\0\xFF\xFF\xFF".as_slice(), &body[..128]].concat();
        let second = [b"\xC6\0\xFF\xFF\xFF".as_slice(), &body[128..]].concat();
        assert_eq!(whole, [first.as_slice(), &second].concat());

        let mut out = Vec::new();
        let mut left = body.as_slice();
        writer.begin(head(EXTENDED, 130));
        for expected in [&first, &second] {
            assert!(writer.is_under_way());
            out.clear();
            writer.chunk(&mut out, |out, count| {
                let (part, rest) = left.split_at(count);
                out.extend_from_slice(part);
                left = rest;
            });
            assert_eq!(out, *expected);
        }
        assert!(!writer.is_under_way() && left.is_empty());
    }

    #[test]
    fn an_empty_message_is_a_header() {
        let mut writer = ChunkWriter::default();
        writer.begin(head(0, 0));
        let mut out = Vec::new();
        writer.chunk(&mut out, |_, count| assert_eq!(count, 0));
        assert_eq!(out.len(), 12);
        assert!(!writer.is_under_way());
    }
}
