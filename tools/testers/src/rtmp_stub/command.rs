//! What a server says: AMF0 values, and messages in chunks of 128 bytes, the size that nobody has to be told of.

const CHUNK_SIZE: usize = 128;

/// Message types of RTMP 1.0, sections 5.4 and 7.1.
pub mod message_type {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_SIZE: u8 = 5;
    pub const PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const AMF3_DATA: u8 = 15;
    pub const AMF3_COMMAND: u8 = 17;
    pub const AMF0_DATA: u8 = 18;
    pub const AMF0_COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

/// Control messages have a chunk stream of their own (5.4); commands come on another.
const CONTROL_CHUNK_STREAM: u8 = 2;
const COMMAND_CHUNK_STREAM: u8 = 3;

/// An AMF0 value to be written.
pub enum Say<'a> {
    Number(f64),
    Text(&'a str),
    Null,
    Undefined,
    Texts(&'a [&'a str]),
    Object(Vec<(&'a str, Say<'a>)>),
}

impl Say<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(0);
                out.extend(number.to_be_bytes());
            }
            Self::Text(text) => {
                out.push(2);
                name(text, out);
            }
            Self::Null => out.push(5),
            Self::Undefined => out.push(6),
            Self::Texts(texts) => {
                out.push(10);
                out.extend((texts.len() as u32).to_be_bytes());
                texts.iter().for_each(|text| Say::Text(text).write(out));
            }
            Self::Object(entries) => {
                out.push(3);
                for (key, value) in entries {
                    name(key, out);
                    value.write(out);
                }
                out.extend([0, 0, 9]);
            }
        }
    }
}

/// A length and a text. What is said here is short.
fn name(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// A command message, in chunks.
pub fn command(name: &str, transaction: f64, values: &[Say<'_>], message_stream: u32) -> Vec<u8> {
    let mut body = Vec::new();
    Say::Text(name).write(&mut body);
    Say::Number(transaction).write(&mut body);
    values.iter().for_each(|value| value.write(&mut body));
    chunks(COMMAND_CHUNK_STREAM, message_type::AMF0_COMMAND, message_stream, &body)
}

/// A message about the connection, in chunks.
pub fn control(type_id: u8, body: &[u8]) -> Vec<u8> {
    chunks(CONTROL_CHUNK_STREAM, type_id, 0, body)
}

/// A message with timestamp 0: a header of type 0, and one of type 3 in front of each further chunk (5.3.1).
fn chunks(chunk_stream: u8, type_id: u8, message_stream: u32, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (body.len() as u32).to_be_bytes();
    let mut bytes = [&[chunk_stream, 0, 0, 0], &length[..], &[type_id], &message_stream.to_le_bytes()].concat();
    for (index, chunk) in body.chunks(CHUNK_SIZE).enumerate() {
        if index > 0 {
            bytes.push(0xc0 | chunk_stream);
        }
        bytes.extend(chunk);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_specification_has_them() {
        let values = [
            Say::Null,
            Say::Object(vec![("code", Say::Text("yes")), ("capsEx", Say::Number(3.0))]),
            Say::Texts(&["hvc1"]),
            Say::Undefined,
        ];
        let body = b"\x02\0\x07_result\0\x3f\xf0\0\0\0\0\0\0\x05\x03\0\x04code\x02\0\x03yes\
                     \0\x06capsEx\0\x40\x08\0\0\0\0\0\0\0\0\x09\x0a\0\0\0\x01\x02\0\x04hvc1\x06";
        let header = [3, 0, 0, 0, 0, 0, body.len() as u8, 20, 1, 0, 0, 0];
        assert_eq!(command("_result", 1.0, &values, 1), [&header[..], body].concat());
    }

    #[test]
    fn long_messages_come_in_chunks() {
        let bytes = chunks(5, 9, 1, &[7; 300]);
        assert_eq!(bytes[..12], [5, 0, 0, 0, 0, 1, 44, 9, 1, 0, 0, 0]);
        assert_eq!((bytes.len(), bytes[140], bytes[269]), (12 + 300 + 2, 0xc5, 0xc5));
        assert_eq!(control(5, &[0, 38, 37, 160]), b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xa0");
    }
}
