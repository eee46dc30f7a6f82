//! Where streams start, and what happens when their parameters change.

use crate::{
    flv::Packet,
    input::{DELTA, HVCC, KEY, at, hevc_caps, pull_tag, skip_headers, stat, video_harness, watch_bus},
    pipeline::{Pipeline, stream_headers},
};
use gst::prelude::*;

fn is_key_request(event: &gst::Event) -> bool {
    event.has_name("GstForceKeyUnit")
}

/// Events that went upstream since the last call.
fn key_requests(harness: &mut gst_check::Harness) -> usize {
    std::iter::from_fn(|| harness.try_pull_upstream_event()).filter(is_key_request).count()
}

#[test]
fn stream_starts_at_a_keyframe_and_asks_for_one_once() {
    let mut harness = video_harness();
    for time in [0, 40, 80] {
        harness.push(at(DELTA, time)).unwrap();
    }
    harness.push(at(KEY, 120)).unwrap();
    harness.push(at(DELTA, 160)).unwrap();
    skip_headers(&mut harness, 1);
    let first = pull_tag(&mut harness);
    assert!(matches!(first.packet(), Packet::Video { key: true, .. }));
    assert_eq!(first.timestamp, 0);
    assert_eq!(pull_tag(&mut harness).timestamp, 40);
    assert_eq!(key_requests(&mut harness), 1);
    let mux = harness.element().unwrap();
    assert_eq!(stat(&mux, "dropped-before-keyframe"), 3);
}

#[test]
fn new_parameters_are_announced_right_before_their_keyframe() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);

    let mut record = HVCC;
    record[12] = 120;
    harness.set_src_caps(hevc_caps(&record));
    harness.push(at(DELTA, 40)).unwrap();
    let delta = pull_tag(&mut harness);
    assert!(matches!(delta.packet(), Packet::Video { key: false, .. }));
    assert_eq!(key_requests(&mut harness), 1, "one was missing");

    harness.push(at(KEY, 80)).unwrap();
    let metadata = harness.pull().unwrap();
    assert!(metadata.flags().contains(gst::BufferFlags::HEADER));
    let metadata = crate::flv::read_only_tag(&metadata.map_readable().unwrap());
    assert!(matches!(metadata.packet(), Packet::Metadata(_)));
    assert_eq!(metadata.timestamp, 80);
    let header = harness.pull().unwrap();
    assert!(header.flags().contains(gst::BufferFlags::HEADER));
    let header = crate::flv::read_only_tag(&header.map_readable().unwrap());
    assert_eq!(header.timestamp, 80);
    let Packet::VideoHeader { record: found, .. } = header.packet() else {
        panic!("{header:?} in place of a sequence header");
    };
    assert_eq!(found, record);
    let key = pull_tag(&mut harness);
    assert!(matches!(key.packet(), Packet::Video { key: true, .. }));
    assert_eq!(key.timestamp, 80);

    // Who joins now gets the new header, at the current time.
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    let headers = stream_headers(&caps);
    assert_eq!(headers.len(), 3);
    let last = crate::flv::read_only_tag(&headers[2].map_readable().unwrap());
    assert_eq!(last, header);
    assert_eq!(stat(&harness.element().unwrap(), "header-changes"), 1);
}

#[test]
fn unchanged_parameters_are_not_announced_again() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    let mut caps = hevc_caps(&HVCC);
    caps.make_mut().set("framerate", gst::Fraction::new(50, 1));
    harness.set_src_caps(caps);
    harness.push(at(KEY, 40)).unwrap();
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::Video { .. }));
    assert_eq!(stat(&harness.element().unwrap(), "header-changes"), 0);
}

/// A resolution switch in a running pipeline, by a real encoder and parser.
#[test]
fn resolution_change_reaches_the_stream() {
    let pipeline = Pipeline::new(
        "concat name=c ! flvhevcmux name=mux ! fakesink \
         videotestsrc num-buffers=10 ! video/x-raw,format=I420,width=320,height=240 ! x265enc option-string=info=0 ! h265parse ! video/x-h265,stream-format=hvc1 ! c. \
         videotestsrc num-buffers=10 ! video/x-raw,format=I420,width=640,height=360 ! x265enc option-string=info=0 ! h265parse ! video/x-h265,stream-format=hvc1 ! c.",
    );
    let recording = std::sync::Arc::default();
    let mux = pipeline.element("mux");
    crate::pipeline::record_output(&mux, &recording);
    pipeline.play();
    pipeline.wait_for_end().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();

    let recording = recording.lock().unwrap();
    let packets: Vec<_> = recording.tags().iter().map(|tag| tag.packet()).collect();
    let widths: Vec<_> = packets
        .iter()
        .filter_map(|packet| match packet {
            Packet::Metadata(metadata) => Some(metadata["width"].clone()),
            _ => None,
        })
        .collect();
    use crate::flv::Amf::Number;
    assert_eq!(widths, [Number(320.0), Number(640.0)]);
    let frames = packets.iter().filter(|packet| matches!(packet, Packet::Video { .. }));
    assert_eq!(frames.count(), 20);
    let change = packets.iter().rposition(|packet| matches!(packet, Packet::VideoHeader { .. })).unwrap();
    assert!(matches!(packets[change - 1], Packet::Metadata(_)));
    assert!(matches!(packets[change + 1], Packet::Video { key: true, .. }));
    assert_eq!(recording.caps.len(), 2);
}

#[test]
fn frames_that_do_not_fit_are_dropped_and_told() {
    let mut harness = video_harness();
    let mux = harness.element().unwrap();
    let bus = watch_bus(&mux);
    harness.push(at(KEY, 0)).unwrap();
    let mut huge = vec![0; 1 << 24];
    huge[..6].copy_from_slice(&[0, 0xFF, 0xFF, 0xFC, 1 << 1, 1]);
    harness.push(at(&huge, 40)).unwrap();
    harness.push(at(DELTA, 80)).unwrap();
    harness.push(at(KEY, 120)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    let next = harness.pull().unwrap();
    assert!(next.flags().contains(gst::BufferFlags::DISCONT));
    let next = crate::flv::read_only_tag(&next.map_readable().unwrap());
    assert_eq!(next.timestamp, 120, "decoding goes on at a keyframe");
    assert_eq!(stat(&mux, "dropped-oversize"), 1);
    assert_eq!(stat(&mux, "dropped-before-keyframe"), 1);
    assert!(bus.pop_filtered(&[gst::MessageType::Qos]).is_some());
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).expect("a warning");
    let text = format!("{warning:?}");
    assert!(text.contains("16777215") && text.contains("lower the encoder's bitrate"), "{text}");
    assert_eq!(key_requests(&mut harness), 1);
}

#[test]
fn broken_access_units_are_dropped_and_told() {
    let annex_b: &[u8] = &[0, 0, 0, 1, 19 << 1, 1, 0xAA, 0, 0, 0, 1, 1 << 1, 1, 0xBB];
    let overrun: &[u8] = &[0, 0, 0, 9, 19 << 1, 1];
    for (broken, advice) in [(annex_b, "start code"), (overrun, "exceeds")] {
        let mut harness = video_harness();
        let mux = harness.element().unwrap();
        let bus = watch_bus(&mux);
        harness.push(at(KEY, 0)).unwrap();
        harness.push(at(broken, 40)).unwrap();
        harness.push(at(KEY, 80)).unwrap();
        skip_headers(&mut harness, 1);
        pull_tag(&mut harness);
        assert_eq!(pull_tag(&mut harness).timestamp, 80);
        assert_eq!(stat(&mux, "dropped-malformed"), 1);
        let warning = bus.pop_filtered(&[gst::MessageType::Warning]).unwrap();
        let text = format!("{warning:?}");
        assert!(text.contains(advice), "{text}");
    }
}
