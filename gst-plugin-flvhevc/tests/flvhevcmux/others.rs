//! The same access units through other people's muxers: the same tags, but for what is listed here.
//!
//! What they do and ours does not: they say more in onMetaData (and GStreamer's repeat it when an encoder changes its mind about the
//! bitrate); FFmpeg ends H.264 alone, and tells color even where there is nothing to tell. What they do wrong is asserted too,
//! so that nobody takes it over.

use crate::{
    flv::{Amf, Codec, Packet, Tag, counted_metadata, read_file},
    input::{AVCC, avc_caps, frame, ms},
    pipeline::{Pipeline, Recording, X264, X264_B, X265, picture, record_output},
};
use gst::prelude::*;
use gst_check::Harness;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

type Properties = BTreeMap<String, Amf>;

/// The first onMetaData, and all tags that matter to a player.
fn split(tags: Vec<Tag>) -> (Properties, Vec<Tag>) {
    let (scripts, mut tags): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| tag.kind == 18);
    if tags.last().is_some_and(|tag| matches!(tag.packet(), Packet::End { .. })) {
        tags.pop();
    }
    tags.retain(|tag| !matches!(tag.packet(), Packet::Color(_)));
    (counted_metadata(&scripts[0].body).1, tags)
}

/// Tags are the same, and so is what ours says of the streams, save for these keys.
#[track_caller]
fn assert_same(ours: Vec<Tag>, theirs: Vec<Tag>, other_words: &[&str]) -> (Properties, Properties) {
    let (our_words, ours) = split(ours);
    let (their_words, theirs) = split(theirs);
    for (position, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert!(our == their, "tag {position}: {our:?} in place of {their:?}");
    }
    assert_eq!(ours.len(), theirs.len());
    for (key, value) in our_words.iter().filter(|(key, _)| *key != "encoder" && !other_words.contains(&key.as_str())) {
        assert_eq!(their_words.get(key), Some(value), "{key}");
    }
    (our_words, their_words)
}

/// The end of the sequence is the same but for its frame type, which GStreamer changed meanwhile.
#[track_caller]
fn assert_same_end(ours: &[Tag], theirs: &[Tag]) {
    let [ours, theirs] = [ours, theirs].map(|tags| tags.last().unwrap());
    assert_eq!((ours.packet(), ours.timestamp), (theirs.packet(), theirs.timestamp));
}

const EARLIER: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Has the segment begin before all decode times: those in front of it are 0 to older flvmux, and negative to ours.
fn start_early(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(event) = info.event()
            && let gst::EventView::Segment(segment) = event.view()
        {
            let mut segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap().clone();
            segment.set_start(segment.start().unwrap() - EARLIER);
            info.data = Some(gst::PadProbeData::Event(gst::event::Segment::new(&segment)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Runs both muxers on what the same encoders make.
fn run_both(other: &str, encoder: &str, sound: bool) -> (Vec<Tag>, Vec<Tag>) {
    let fork = |kind| {
        let queue = "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0";
        format!("tee name={kind} {kind}. ! {queue} ! mux.{kind} {kind}. ! {queue} ! other.{kind}")
    };
    let audio = "audiotestsrc num-buffers=48 ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse";
    let audio = if sound { format!("{audio} ! {}", fork("audio")) } else { String::new() };
    let pipeline = Pipeline::new(&format!(
        "flvhevcmux name=mux ! fakesink {other} name=other ! fakesink {} ! {encoder} ! {} {audio}",
        picture(25),
        fork("video")
    ));
    start_early(&pipeline.element("video").static_pad("sink").unwrap());
    if sound {
        pipeline.element("audio").static_pad("sink").unwrap().set_offset(EARLIER.nseconds() as i64);
    }
    let recordings = ["mux", "other"].map(|name| {
        let recording = Arc::<Mutex<Recording>>::default();
        record_output(&pipeline.element(name), &recording);
        recording
    });
    pipeline.play();
    pipeline.wait_for_end().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let [ours, theirs] = recordings.map(|recording| recording.lock().unwrap().tags());
    (ours, theirs)
}

#[test]
fn flvmux_writes_the_same_h264_and_aac() {
    for (encoder, sound) in [(X264, false), (X264, true), (X264_B, false), (X264_B, true)] {
        let (ours, theirs) = run_both("flvmux streamable=true", encoder, sound);
        assert_eq!(ours.iter().filter(|tag| tag.kind == 18).count(), 1);
        assert_same_end(&ours, &theirs);
        // 1.22 says no more of sound than its codec.
        let (our_words, their_words) = assert_same(ours, theirs, &["audiosamplerate", "audiosamplesize", "stereo"]);
        assert_eq!(our_words.len(), if sound { 9 } else { 5 });
        assert_ne!(our_words["encoder"], their_words["encoder"]);
    }
}

/// Needs GStreamer 1.28; scripts/test_newer_gstreamer.sh has it.
#[test]
fn eflvmux_writes_the_same_hvc1() {
    crate::init();
    if gst::ElementFactory::find("eflvmux").is_none() {
        return;
    }
    let muxer = "eflvmux streamable=true video::flv-track-mode=non-multitrack";
    let (ours, theirs) = run_both(muxer, X265, false);
    assert_same_end(&ours, &theirs);
    let (_, their_words) = assert_same(ours, theirs, &["videocodecid"]);
    assert_eq!(their_words["videocodecid"], Amf::Number(SWAPPED));
}

/// `hvc1` with its bytes in the wrong order, as eflvmux has it.
const SWAPPED: f64 = 828_601_960.0;

/// Takes a file apart and has our muxer put it together again.
fn again(file: &[u8], packaging: &str) -> (Vec<Tag>, Vec<Tag>) {
    crate::init();
    let (_, theirs) = read_file(file);
    let words = counted_metadata(&theirs[0].body).1;
    let number = |key: &str| match words[key] {
        Amf::Number(number) => number as i32,
        _ => panic!("{key} is no number"),
    };
    let mut harness = Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
    harness.element().unwrap().set_property_from_str("hevc-packaging", packaging);
    for tag in &theirs[1..] {
        match tag.packet() {
            Packet::VideoHeader { codec, record, .. } => {
                let (name, format) = match codec {
                    Codec::Avc | Codec::Avc1 => ("video/x-h264", "avc"),
                    Codec::Hvc1 | Codec::Domestic => ("video/x-h265", "hvc1"),
                };
                let caps = gst::Caps::builder(name)
                    .field("stream-format", format)
                    .field("alignment", "au")
                    .field("width", number("width"))
                    .field("height", number("height"))
                    .field("framerate", gst::Fraction::new(number("framerate"), 1))
                    .field("codec_data", gst::Buffer::from_slice(record));
                harness.set_src_caps(caps.build());
            }
            Packet::Video { key, cts, data, .. } => {
                let dts = u64::from(tag.timestamp);
                let pts = dts.checked_add_signed(cts.unwrap_or(0).into()).expect("presented after the start");
                let mut buffer = frame(&data, ms(dts), ms(pts));
                if key {
                    buffer.make_mut().unset_flags(gst::BufferFlags::DELTA_UNIT);
                }
                harness.push(buffer).unwrap();
            }
            Packet::Color(_) | Packet::End { .. } | Packet::Metadata(_) => (),
            other => panic!("{other:?} in a file of pictures"),
        }
    }
    harness.push_event(gst::event::Eos::new());
    (drain(&mut harness), theirs)
}

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/", $name))
    };
}

#[test]
fn files_of_other_muxers_come_out_the_same() {
    let files: [(&[u8], &str); 5] = [
        (file!("gst1.22-flvmux-avc-streamable.flv"), "enhanced"),
        (file!("imageio-ffmpeg9-avc.flv"), "domestic"),
        (file!("imageio-ffmpeg9-hevc-hvc1.flv"), "enhanced"),
        (file!("imageio-ffmpeg9-hevc-hvc1-bframes.flv"), "enhanced"),
        (file!("handmade-from-ffmpeg9-hevc-codecid12.flv"), "domestic"),
    ];
    for (file, packaging) in files {
        let (ours, theirs) = again(file, packaging);
        assert_eq!(ours.len(), 2 + 125 + 1);
        assert_same(ours, theirs, &[]);
    }
}

#[test]
fn file_of_eflvmux_comes_out_the_same_but_for_its_mistakes() {
    let (ours, theirs) = again(file!("gst1.28-eflvmux-hevc-hvc1.flv"), "enhanced");
    assert_eq!(ours.len(), 2 + 125 + 1);
    let (count, words) = counted_metadata(&theirs[0].body);
    assert_ne!(count, words.len() as u64, "it counts what is nested too");
    assert_eq!(theirs.last().unwrap().body, b"\xA2hvc1");
    let (our_words, their_words) = assert_same(ours.clone(), theirs, &["videocodecid"]);
    assert_eq!(our_words["videocodecid"], Amf::Number(1_752_589_105.0));
    assert_eq!(their_words["videocodecid"], Amf::Number(SWAPPED));

    // On a default pad it writes codec-id 8, no packet type and no sequence header.
    let (_, broken) = read_file(file!("gst1.28-eflvmux-hevc-DEFAULT-legacy-BROKEN-codecid8.flv"));
    assert_eq!(ours.last().unwrap().body, b"\xA2hvc1", "the end is the same");
    for (our, broken) in ours[2..ours.len() - 1].iter().zip(&broken[1..]) {
        assert_eq!(broken.body[0] & 0xF, 8);
        assert_eq!(broken.body[1..], our.body[5..], "the access unit");
    }
}

/// FFmpeg's enhanced files always have a color packet, even an empty one; ours for high dynamic range alone.
#[test]
fn ffmpeg_tells_color_of_ordinary_pictures() {
    let (ours, theirs) = again(file!("imageio-ffmpeg9-hevc-hvc1.flv"), "enhanced");
    let told = |tags: &[Tag]| tags.iter().filter(|tag| matches!(tag.packet(), Packet::Color(_))).count();
    assert_eq!((told(&ours), told(&theirs)), (0, 1));
}

/// It raises them to 0, which presents the picture too late.
#[test]
fn flvmux_loses_negative_composition_times() {
    crate::init();
    let cts = |muxer: &str| {
        let mut harness = Harness::with_padnames(muxer, Some("video"), Some("src"));
        if muxer == "flvmux" {
            harness.element().unwrap().set_property("streamable", true);
        }
        harness.set_src_caps(avc_caps(&AVCC));
        let slice = |header| [0, 0, 0, 2, header, 0x88];
        harness.push(frame(&slice(0x65), ms(100), ms(100))).unwrap();
        harness.push(frame(&slice(0x41), ms(140), ms(107))).unwrap();
        harness.push_event(gst::event::Eos::new());
        let tags = drain(&mut harness);
        let mut times = tags.iter().filter_map(|tag| match tag.packet() {
            Packet::Video { cts, .. } => cts,
            _ => None,
        });
        times.nth(1).expect("two frames")
    };
    assert_eq!((cts("flvhevcmux"), cts("flvmux")), (-33, 0));
}

/// All tags up to the end of the stream.
fn drain(harness: &mut Harness) -> Vec<Tag> {
    while harness.pull_event().expect("an end").type_() != gst::EventType::Eos {}
    let mut recording = Recording::default();
    recording.buffers.extend(std::iter::from_fn(|| harness.try_pull()));
    recording.tags()
}
