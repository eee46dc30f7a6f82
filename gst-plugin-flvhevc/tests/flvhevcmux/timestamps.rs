//! Time in the tags: where it starts, how it is rounded, what happens at the edges of its fields.

use crate::{
    flv::{Packet, Tag},
    input::{DELTA, KEY, at, frame, ms, pull_tag, skip_headers, stat, video_harness, watch_bus},
};
use gst::prelude::*;

fn cts(tag: &Tag) -> i32 {
    match tag.packet() {
        Packet::Video { cts, .. } => cts.unwrap_or(0),
        other => panic!("{other:?} in place of a frame"),
    }
}

#[test]
fn first_timestamp_is_zero_and_both_times_are_floored() {
    let mut harness = video_harness();
    let ns = gst::ClockTime::from_nseconds;
    let start = 7_000_900_000;
    let third = 33_333_333;
    for count in 0..4 {
        let dts = ns(start + count * third);
        let pts = ns(start + (count + 2) * third);
        harness.push(frame(KEY, dts, pts)).unwrap();
    }
    skip_headers(&mut harness, 1);
    for count in 0..4 {
        let tag = pull_tag(&mut harness);
        let floor = |ns: u64| ns / 1_000_000;
        let dts = floor(start + count * third);
        assert_eq!(u64::from(tag.timestamp), dts - floor(start));
        assert_eq!(cts(&tag) as u64, floor(start + (count + 2) * third) - dts);
    }
}

/// What a reconnecting publisher relies on: rtmp2sink adds the first timestamp to all that follow.
#[test]
fn every_session_starts_at_zero() {
    crate::init();
    use crate::input::{AVCC, HVCC, avc_caps, hevc_caps};
    let avc_key: &[u8] = &[0, 0, 0, 2, 0x65, 0x88];
    for (packaging, caps, key) in [
        ("enhanced", hevc_caps(&HVCC), KEY),
        ("domestic", hevc_caps(&HVCC), KEY),
        ("enhanced", avc_caps(&AVCC), avc_key),
    ] {
        for start in [0, 7_200_123, 1 << 32] {
            crate::init();
            let mut harness = gst_check::Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
            harness.element().unwrap().set_property_from_str("hevc-packaging", packaging);
            harness.set_src_caps(caps.clone());
            harness.push(frame(key, ms(start), ms(start + 80))).unwrap();
            harness.push(frame(key, ms(start + 40), ms(start + 40))).unwrap();
            harness.pull().expect("a file header");
            let times: Vec<_> = (0..4).map(|_| pull_tag(&mut harness).timestamp).collect();
            assert_eq!(times, [0, 0, 0, 40], "{packaging}, {caps}: metadata, sequence header and two frames");
        }
    }
}

#[test]
fn composition_times_may_be_negative() {
    let mut harness = video_harness();
    harness.push(at(KEY, 100)).unwrap();
    harness.push(frame(DELTA, ms(140), ms(107))).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    assert_eq!(cts(&pull_tag(&mut harness)), -33);
}

#[test]
fn time_never_goes_back() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    harness.push(at(DELTA, 80)).unwrap();
    harness.push(frame(DELTA, ms(40), ms(120))).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    pull_tag(&mut harness);
    let late = harness.pull().unwrap();
    assert_eq!(late.dts(), Some(ms(80)));
    let late = crate::flv::read_only_tag(&late.map_readable().unwrap());
    assert_eq!(late.timestamp, 80);
    assert_eq!(cts(&late), 40, "it is still presented at 120");
    assert_eq!(stat(&harness.element().unwrap(), "timestamps-raised"), 1);
}

#[test]
fn timestamps_pass_the_edges_of_24_31_and_32_bits() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    for edge in [1_u64 << 24, 1 << 31, 1 << 32] {
        for time in [edge - 1, edge, edge + 40] {
            harness.push(at(DELTA, time)).unwrap();
            assert_eq!(pull_tag(&mut harness).timestamp, time as u32);
        }
    }
}

#[test]
fn absurd_composition_times_are_dropped() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    harness.push(frame(DELTA, ms(40), ms(1 << 24))).unwrap();
    harness.push(at(KEY, 80)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    assert_eq!(pull_tag(&mut harness).timestamp, 80);
    assert_eq!(stat(&harness.element().unwrap(), "dropped-malformed"), 1);
}

#[test]
fn decode_times_before_the_segment_keep_their_distance() {
    let mut harness = video_harness();
    // As encoders that reorder do: presentation starts at the segment's start, decoding before it.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(1_000));
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(frame(KEY, ms(920), ms(1_000))).unwrap();
    harness.push(frame(DELTA, ms(960), ms(1_120))).unwrap();
    skip_headers(&mut harness, 1);
    let first = harness.pull().unwrap();
    assert_eq!((first.dts(), first.pts()), (Some(ms(0)), Some(ms(0))));
    let first = crate::flv::read_only_tag(&first.map_readable().unwrap());
    assert_eq!((first.timestamp, cts(&first)), (0, 80));
    let second = pull_tag(&mut harness);
    assert_eq!((second.timestamp, cts(&second)), (40, 160));
}

#[test]
fn untimed_frames_follow_the_last_and_are_told() {
    let mut harness = video_harness();
    let bus = watch_bus(&harness.element().unwrap());
    let untimed = || {
        let mut buffer = gst::Buffer::from_slice(DELTA);
        buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        buffer
    };
    harness.push(at(KEY, 0)).unwrap();
    harness.push(at(DELTA, 40)).unwrap();
    harness.push(untimed()).unwrap();
    harness.push(untimed()).unwrap();
    skip_headers(&mut harness, 1);
    let times: Vec<_> = (0..4).map(|_| pull_tag(&mut harness).timestamp).collect();
    assert_eq!(times, [0, 40, 40, 40]);
    let warnings: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning])).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}
