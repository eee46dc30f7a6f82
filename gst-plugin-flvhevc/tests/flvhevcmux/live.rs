//! Two streams that do not keep step.

use crate::{
    flv::Packet,
    input::{DELTA, HVCC, KEY, aac_caps, at, hevc_caps, ms, pull_tag, skip_headers, stat, video_harness},
};
use gst::prelude::*;
use gst_check::Harness;

/// A muxer with both pads under a test clock; the harness is a live source.
fn both() -> (Harness, Harness) {
    let (mut video, audio) = both_bare();
    video.set_src_caps(hevc_caps(&HVCC));
    (video, audio)
}

/// The same without caps on either pad.
fn both_bare() -> (Harness, Harness) {
    crate::init();
    let mut video = Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
    video.play();
    let audio = Harness::with_element(&video.element().unwrap(), Some("audio"), None);
    (video, audio)
}

fn sound(time: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice([0x21, 0x10]);
    let edit = buffer.make_mut();
    edit.set_pts(ms(time));
    edit.set_duration(ms(21));
    buffer
}

#[test]
fn sound_that_never_starts_does_not_hold_up_the_picture() {
    let (mut video, _audio) = both();
    video.push(at(KEY, 0)).unwrap();
    video.crank_single_clock_wait().unwrap();
    skip_headers(&mut video, 1);
    pull_tag(&mut video);
    // From then on it is not waited for at all: no clock is needed.
    for time in [40, 80, 120] {
        video.push(at(DELTA, time)).unwrap();
        assert_eq!(u64::from(pull_tag(&mut video).timestamp), time);
    }
}

#[test]
fn late_sound_joins_with_its_header() {
    let (mut video, mut audio) = both();
    video.push(at(KEY, 0)).unwrap();
    video.crank_single_clock_wait().unwrap();
    skip_headers(&mut video, 1);
    pull_tag(&mut video);
    audio.set_src_caps(aac_caps());
    audio.push(sound(30)).unwrap();
    video.push(at(DELTA, 40)).unwrap();
    let metadata = pull_tag(&mut video);
    assert_eq!(metadata.timestamp, 30);
    let Packet::Metadata(properties) = metadata.packet() else {
        panic!("no new onMetaData");
    };
    assert!(properties.contains_key("audiocodecid"));
    assert!(properties.contains_key("videocodecid"));
    assert!(matches!(pull_tag(&mut video).packet(), Packet::AudioHeader(_)));
    assert!(matches!(pull_tag(&mut video).packet(), Packet::Audio(_)));
}

#[test]
fn late_picture_joins_with_its_header_at_a_keyframe() {
    let (mut video, mut audio) = both_bare();
    audio.set_src_caps(aac_caps());
    audio.push(sound(0)).unwrap();
    video.crank_single_clock_wait().unwrap();
    skip_headers(&mut video, 1);
    assert_eq!(pull_tag(&mut video).kind, 8);
    video.set_src_caps(hevc_caps(&HVCC));
    video.push(at(DELTA, 20)).unwrap();
    audio.push(sound(21)).unwrap();
    video.push(at(KEY, 40)).unwrap();
    audio.push(sound(42)).unwrap();
    video.push_event(gst::event::Eos::new());
    audio.push_event(gst::event::Eos::new());
    assert_eq!(pull_tag(&mut video).timestamp, 21, "no frame before its keyframe");
    let metadata = pull_tag(&mut video);
    let Packet::Metadata(properties) = metadata.packet() else {
        panic!("{metadata:?} in place of a new onMetaData");
    };
    assert!(properties.contains_key("audiocodecid") && properties.contains_key("videocodecid"));
    let header = pull_tag(&mut video);
    assert!(matches!(header.packet(), Packet::VideoHeader { .. }));
    let key = pull_tag(&mut video);
    assert!(matches!(key.packet(), Packet::Video { key: true, .. }));
    assert_eq!([metadata, header, key].map(|tag| tag.timestamp), [40; 3]);
    assert_eq!((pull_tag(&mut video).timestamp, stat(&video.element().unwrap(), "header-changes")), (42, 1));
}

#[test]
fn order_is_by_decode_time_and_latency_allows_for_it() {
    let (mut video, mut audio) = both();
    audio.set_src_caps(aac_caps());
    video.push(at(KEY, 20)).unwrap();
    audio.push(sound(0)).unwrap();
    audio.push(sound(21)).unwrap();
    skip_headers(&mut video, 2);
    assert_eq!(pull_tag(&mut video).kind, 8);
    let key = pull_tag(&mut video);
    assert_eq!((key.kind, key.timestamp), (9, 20));
    // A frame of the slower stream: 40 ms of picture against 21 ms of sound.
    assert_eq!(video.query_latency(), Some(ms(40)));
}

#[test]
fn picture_alone_adds_no_latency() {
    let mut video = video_harness();
    video.push(at(KEY, 0)).unwrap();
    skip_headers(&mut video, 1);
    assert_eq!(video.query_latency(), Some(ms(0)));
}

#[test]
fn one_stream_may_end_before_the_other() {
    let (mut video, mut audio) = both();
    audio.set_src_caps(aac_caps());
    audio.push(sound(0)).unwrap();
    audio.push_event(gst::event::Eos::new());
    video.push(at(KEY, 0)).unwrap();
    video.push(at(DELTA, 40)).unwrap();
    video.push(at(DELTA, 80)).unwrap();
    skip_headers(&mut video, 2);
    let kinds: Vec<_> = (0..4).map(|_| pull_tag(&mut video).kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == 9).count(), 3);
    video.push_event(gst::event::Eos::new());
    let eos = std::iter::from_fn(|| video.pull_event().ok()).any(|event| event.type_() == gst::EventType::Eos);
    assert!(eos);
}

#[test]
fn the_picture_may_end_before_the_sound() {
    let (mut video, mut audio) = both();
    audio.set_src_caps(aac_caps());
    video.push(at(KEY, 0)).unwrap();
    video.push_event(gst::event::Eos::new());
    for time in [0, 21, 42] {
        audio.push(sound(time)).unwrap();
    }
    skip_headers(&mut video, 2);
    let kinds: Vec<_> = (0..4).map(|_| pull_tag(&mut video).kind).collect();
    assert_eq!(kinds, [9, 8, 8, 8]);
    audio.push_event(gst::event::Eos::new());
    let eos = std::iter::from_fn(|| video.pull_event().ok()).any(|event| event.type_() == gst::EventType::Eos);
    assert!(eos);
}

#[test]
fn sound_may_begin_after_the_picture_has_ended() {
    let (mut video, mut audio) = both();
    video.push(at(KEY, 0)).unwrap();
    video.crank_single_clock_wait().unwrap();
    skip_headers(&mut video, 1);
    pull_tag(&mut video);
    video.push_event(gst::event::Eos::new());
    audio.set_src_caps(aac_caps());
    audio.push(sound(500)).unwrap();
    assert!(matches!(pull_tag(&mut video).packet(), Packet::Metadata(_)));
    assert!(matches!(pull_tag(&mut video).packet(), Packet::AudioHeader(_)));
    assert_eq!(pull_tag(&mut video).timestamp, 500);
}

#[test]
fn a_gap_in_the_picture_lets_the_sound_pass() {
    let (mut video, mut audio) = both();
    audio.set_src_caps(aac_caps());
    video.push(at(KEY, 0)).unwrap();
    video.push_event(gst::event::Gap::builder(ms(40)).duration(ms(40)).build());
    for time in [0, 21, 42, 63] {
        audio.push(sound(time)).unwrap();
    }
    video.push(at(DELTA, 80)).unwrap();
    audio.push(sound(84)).unwrap();
    skip_headers(&mut video, 2);
    let order: Vec<_> = (0..6).map(|_| pull_tag(&mut video)).map(|tag| (tag.kind, tag.timestamp)).collect();
    assert_eq!(order, [(9, 0), (8, 0), (8, 21), (8, 42), (8, 63), (9, 80)], "and nothing for the gap itself");
    assert_eq!(stat(&video.element().unwrap(), "dropped-malformed"), 0);
}

#[test]
fn gaps_let_the_other_stream_pass() {
    let (mut video, mut audio) = both();
    audio.set_src_caps(aac_caps());
    audio.push(sound(0)).unwrap();
    video.push(at(KEY, 0)).unwrap();
    // The sound pauses until 100 ms; without the gap the picture would wait for the clock.
    audio.push_event(gst::event::Gap::builder(ms(21)).duration(ms(79)).build());
    // A pad has room for the latency and no more: the sound has to wait until this lets the gap pass.
    video.push(at(DELTA, 40)).unwrap();
    audio.push(sound(100)).unwrap();
    video.push(at(DELTA, 80)).unwrap();
    video.push(at(DELTA, 120)).unwrap();
    skip_headers(&mut video, 2);
    let order: Vec<_> = (0..5).map(|_| pull_tag(&mut video)).map(|tag| (tag.kind, tag.timestamp)).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|(_, time)| *time);
    assert_eq!(order, sorted);
    assert!(order.contains(&(8, 100)));
}

#[test]
fn request_pads_exist_once() {
    crate::init();
    let mux = gst::ElementFactory::make("flvhevcmux").build().unwrap();
    let video = mux.request_pad_simple("video").unwrap();
    assert_eq!(video.name(), "video");
    let template = mux.pad_template("video").unwrap();
    assert!(mux.request_pad(&template, None, None).is_none());
    mux.release_request_pad(&video);
    assert!(mux.request_pad_simple("video").is_some());
}
