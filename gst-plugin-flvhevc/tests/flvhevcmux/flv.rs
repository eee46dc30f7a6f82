//! A strict FLV reader that shares nothing with the muxer. It panics at the first byte that is not as it should be.

use std::collections::BTreeMap;

#[derive(Clone, PartialEq)]
pub struct Tag {
    pub kind: u8,
    pub timestamp: u32,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let start = &self.body[..self.body.len().min(16)];
        write!(formatter, "tag {} at {}: {} bytes {start:02X?}", self.kind, self.timestamp, self.body.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Avc,
    Avc1,
    Hvc1,
    Domestic,
}

#[derive(Debug, PartialEq)]
pub enum Packet {
    VideoHeader {
        codec: Codec,
        track: u8,
        record: Vec<u8>,
    },
    Video {
        codec: Codec,
        track: u8,
        key: bool,
        /// Composition time, where the packet has the field.
        cts: Option<i32>,
        /// What a ModEx adds to the presentation time; 0 without one.
        nanoseconds: u32,
        data: Vec<u8>,
    },
    AudioHeader(Vec<u8>),
    Audio(Vec<u8>),
    Metadata(BTreeMap<String, Amf>),
    /// `colorInfo` of a metadata packet.
    Color(Amf),
    End {
        codec: Codec,
        track: u8,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Amf {
    Number(f64),
    Boolean(bool),
    Text(String),
    Object(BTreeMap<String, Amf>),
    List(Vec<Amf>),
    Undefined,
}

fn split<'a>(data: &mut &'a [u8], size: usize) -> &'a [u8] {
    assert!(size <= data.len(), "{size} of {} bytes wanted", data.len());
    let (head, rest) = data.split_at(size);
    *data = rest;
    head
}

fn number(data: &mut &[u8], size: usize) -> u64 {
    let bytes = split(data, size);
    bytes.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte))
}

/// Flags and tags of a whole file.
pub fn read_file(mut data: &[u8]) -> (u8, Vec<Tag>) {
    let flags = read_file_header(split(&mut data, 13));
    let mut tags = Vec::new();
    while !data.is_empty() {
        tags.push(read_tag(&mut data));
    }
    for pair in tags.windows(2) {
        assert!(pair[0].timestamp <= pair[1].timestamp, "time goes back");
    }
    (flags, tags)
}

pub fn read_file_header(header: &[u8]) -> u8 {
    assert_eq!(header.len(), 13);
    assert_eq!(&header[..4], b"FLV\x01");
    assert_eq!(header[4] & !5, 0, "only bits 0 and 2 have a meaning");
    assert_eq!(&header[5..], [0, 0, 0, 9, 0, 0, 0, 0]);
    header[4]
}

/// A buffer that holds one tag and nothing else.
pub fn read_only_tag(mut data: &[u8]) -> Tag {
    let tag = read_tag(&mut data);
    assert!(data.is_empty(), "{} bytes behind the tag", data.len());
    tag
}

fn read_tag(data: &mut &[u8]) -> Tag {
    let kind = number(data, 1) as u8;
    assert!([8, 9, 18].contains(&kind), "tag type {kind}");
    let size = number(data, 3);
    let low = number(data, 3);
    let high = number(data, 1);
    assert_eq!(number(data, 3), 0, "stream id");
    let body = split(data, size as usize).to_vec();
    assert_eq!(number(data, 4), size + 11, "PreviousTagSize");
    Tag { kind, timestamp: (high << 24 | low) as u32, body }
}

impl Tag {
    pub fn packet(&self) -> Packet {
        let mut body = self.body.as_slice();
        match self.kind {
            8 => {
                assert_eq!(number(&mut body, 1), 0xAF, "AAC");
                match number(&mut body, 1) {
                    0 => Packet::AudioHeader(body.to_vec()),
                    1 => Packet::Audio(body.to_vec()),
                    other => panic!("AAC packet type {other}"),
                }
            }
            9 => video(body),
            _ => Packet::Metadata(metadata(body)),
        }
    }
}

fn video(mut body: &[u8]) -> Packet {
    if let Some(mut metadata) = body.strip_prefix(b"\xD4hvc1") {
        assert_eq!(value(&mut metadata), Amf::Text("colorInfo".to_owned()));
        let info = value(&mut metadata);
        assert!(metadata.is_empty(), "{} bytes behind colorInfo", metadata.len());
        return Packet::Color(info);
    }
    let first = number(&mut body, 1) as u8;
    let frame_type = first >> 4 & 7;
    assert!([1, 2].contains(&frame_type), "frame type {frame_type}");
    let key = frame_type == 1;
    let (mut track, mut nanoseconds) = (0, 0);
    let (codec, packet_type) = if first & 0x80 != 0 {
        let mut packet_type = first & 0xF;
        if packet_type == 7 {
            assert_eq!(number(&mut body, 1) + 1, 3, "ModEx data of the size of a nanosecond offset");
            nanoseconds = number(&mut body, 3) as u32;
            assert!((1..1_000_000).contains(&nanoseconds), "{nanoseconds} ns: none is no reason for a ModEx");
            let next = number(&mut body, 1) as u8;
            assert_eq!(next >> 4, 0, "ModEx type");
            packet_type = next & 0xF;
        }
        let multitrack = packet_type == 6;
        if multitrack {
            let next = number(&mut body, 1) as u8;
            assert_eq!(next >> 4, 0, "one track");
            packet_type = next & 0xF;
        }
        let codec = match split(&mut body, 4) {
            b"hvc1" => Codec::Hvc1,
            b"avc1" => Codec::Avc1,
            other => panic!("FourCC {other:02X?}"),
        };
        if multitrack {
            track = number(&mut body, 1) as u8;
            assert_ne!(track, 0, "the first track has plain packets");
        }
        (codec, packet_type)
    } else {
        let codec = match first & 0xF {
            7 => Codec::Avc,
            12 => Codec::Domestic,
            other => panic!("codec id {other}"),
        };
        (codec, number(&mut body, 1) as u8)
    };
    match (codec, packet_type) {
        (Codec::Hvc1 | Codec::Avc1, 2) if body.is_empty() => return Packet::End { codec, track },
        (Codec::Avc | Codec::Domestic, 2) if body == [0; 3] => return Packet::End { codec, track },
        _ => (),
    }
    let mut cts = || {
        let value = number(&mut body, 3) as i32;
        (value ^ 0x80_0000) - 0x80_0000
    };
    let cts = match (codec, packet_type) {
        (Codec::Hvc1 | Codec::Avc1, 0 | 3) => None,
        (_, 0 | 1) => Some(cts()),
        _ => panic!("packet type {packet_type} of {codec:?}"),
    };
    if packet_type == 0 {
        assert!(key, "a sequence header has the frame type of a keyframe");
        assert_eq!(cts.unwrap_or(0), 0);
        return Packet::VideoHeader { codec, track, record: body.to_vec() };
    }
    if matches!(codec, Codec::Hvc1 | Codec::Avc1) {
        assert_ne!(cts, Some(0), "a packet without the field would have done");
    }
    let mut units = body;
    while !units.is_empty() {
        let size = number(&mut units, 4);
        assert!(size > 1);
        split(&mut units, size as usize);
    }
    Packet::Video { codec, track, key, cts, nanoseconds, data: body.to_vec() }
}

fn text(data: &mut &[u8]) -> String {
    let size = number(data, 2);
    String::from_utf8(split(data, size as usize).to_vec()).expect("UTF-8")
}

fn value(data: &mut &[u8]) -> Amf {
    match number(data, 1) {
        0 => Amf::Number(f64::from_bits(number(data, 8))),
        1 => Amf::Boolean(number(data, 1) == 1),
        2 => Amf::Text(text(data)),
        3 => Amf::Object(properties(data)),
        6 => Amf::Undefined,
        8 => {
            number(data, 4);
            Amf::Object(properties(data))
        }
        10 => {
            let count = number(data, 4);
            Amf::List((0..count).map(|_| value(data)).collect())
        }
        other => panic!("AMF0 type {other}"),
    }
}

/// Keys and values up to the end marker.
fn properties(data: &mut &[u8]) -> BTreeMap<String, Amf> {
    let mut properties = BTreeMap::new();
    while !data.starts_with(&[0, 0, 9]) {
        let key = text(data);
        let value = value(data);
        assert_eq!(properties.insert(key, value), None, "a key twice");
    }
    split(data, 3);
    properties
}

fn metadata(body: &[u8]) -> BTreeMap<String, Amf> {
    let (count, properties) = counted_metadata(body);
    assert_eq!(properties.len() as u64, count);
    properties
}

/// onMetaData with the count that it states.
pub fn counted_metadata(mut body: &[u8]) -> (u64, BTreeMap<String, Amf>) {
    let body = &mut body;
    assert_eq!(value(body), Amf::Text("onMetaData".to_owned()));
    assert_eq!(number(body, 1), 8, "an ECMA array");
    let count = number(body, 4);
    let properties = properties(body);
    assert!(body.is_empty(), "{} bytes behind the array", body.len());
    (count, properties)
}

#[test]
fn reader_is_strict_about_framing() {
    let tag = b"\x09\0\0\x06\x01\x02\x03\x81\0\0\0\x93hvc1\0\0\0\0\x11";
    let broken = |offset: usize, value: u8| {
        let mut tag = tag.to_vec();
        tag[offset] = value;
        std::panic::catch_unwind(|| read_only_tag(&tag)).is_err()
    };
    assert_eq!(read_only_tag(tag).timestamp, 0x8101_0203);
    assert!(broken(0, 7), "tag type");
    assert!(broken(3, 5), "size");
    assert!(broken(10, 1), "stream id");
    assert!(broken(20, 0x12), "PreviousTagSize");
}
