//! Hand-made streams for a harness: tiny access units behind real decoder configurations.

use crate::flv::{Packet, Tag, read_file_header, read_only_tag};
use gst::prelude::*;
use gst_check::Harness;

/// 1280x720 Main, level 3.1: SRS's test vector KernelCodecTest.HevcVideoFormat.
pub const HVCC: [u8; 109] = *b"\
    \x01\x01\x60\0\0\0\x90\0\0\0\0\0\x5d\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03\
    \x20\0\x01\0\x18\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x5d\x95\x98\x09\
    \x21\0\x01\0\x28\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x5d\xa0\x02\x80\x80\x2d\x16\x59\x59\xa4\x93\x2b\xc0\x40\x40\0\0\xfa\x40\0\x17\x70\x02\
    \x22\0\x01\0\x07\x44\x01\xc1\x72\xb4\x62\x40";
/// 320x240 constrained baseline, as flvmux wrote it.
pub const AVCC: [u8; 42] = *b"\
    \x01\x42\xc0\x0d\xff\xe1\0\x1b\
    \x67\x42\xc0\x0d\xda\x05\x07\xec\x05\xa8\x30\x30\x35\x28\0\0\x03\0\x08\0\0\x03\x01\x94\x78\xa1\x55\
    \x01\0\x04\x68\xce\x3c\x80";

pub const KEY: &[u8] = &[0, 0, 0, 4, 19 << 1, 1, 0xAA, 0xBB];
pub const DELTA: &[u8] = &[0, 0, 0, 4, 1 << 1, 1, 0xCC, 0xDD];

pub fn ms(milliseconds: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(milliseconds)
}

pub fn hevc_caps(record: &[u8]) -> gst::Caps {
    gst::Caps::builder("video/x-h265")
        .field("stream-format", "hvc1")
        .field("alignment", "au")
        .field("width", 1280)
        .field("height", 720)
        .field("framerate", gst::Fraction::new(25, 1))
        .field("codec_data", gst::Buffer::from_slice(record.to_vec()))
        .build()
}

pub fn avc_caps(record: &[u8]) -> gst::Caps {
    gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(record.to_vec()))
        .build()
}

pub fn aac_caps() -> gst::Caps {
    gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("rate", 48_000)
        .field("channels", 2)
        .field("codec_data", gst::Buffer::from_slice([0x11, 0x90]))
        .build()
}

/// A frame of 40 ms; delta units are told by their NAL unit type.
pub fn frame(data: &[u8], dts: gst::ClockTime, pts: gst::ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(data.to_vec());
    let edit = buffer.make_mut();
    edit.set_dts(dts);
    edit.set_pts(pts);
    edit.set_duration(ms(40));
    if data != KEY {
        edit.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    buffer
}

pub fn at(data: &[u8], time: u64) -> gst::Buffer {
    frame(data, ms(time), ms(time))
}

/// A muxer with a video pad alone, which takes H.265.
pub fn video_harness() -> Harness {
    crate::init();
    let mut harness = Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
    harness.set_src_caps(hevc_caps(&HVCC));
    harness
}

/// The next buffer, which must hold one tag.
pub fn pull_tag(harness: &mut Harness) -> Tag {
    let buffer = harness.pull().expect("a buffer");
    read_only_tag(&buffer.map_readable().unwrap())
}

/// Takes the file header, onMetaData and `sequence_headers` more.
pub fn skip_headers(harness: &mut Harness, sequence_headers: usize) {
    let file_header = harness.pull().expect("a file header");
    read_file_header(&file_header.map_readable().unwrap());
    assert!(matches!(pull_tag(harness).packet(), Packet::Metadata(_)));
    for _ in 0..sequence_headers {
        assert!(matches!(pull_tag(harness).packet(), Packet::VideoHeader { .. } | Packet::AudioHeader(_)));
    }
}

pub fn stat(mux: &gst::Element, name: &str) -> u64 {
    mux.property::<gst::Structure>("stats").get(name).unwrap()
}

/// Mid-stream warnings reach the bus of whoever holds the element.
pub fn watch_bus(mux: &gst::Element) -> gst::Bus {
    let bus = gst::Bus::new();
    mux.set_bus(Some(&bus));
    bus
}
