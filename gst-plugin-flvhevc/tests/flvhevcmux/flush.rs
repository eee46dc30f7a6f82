//! Seeks upstream: running time starts over, and the buffers with it, as with flvmux.

use crate::{
    flv::Packet,
    input::{
        AVCC, DELTA, HVCC, KEY, aac_caps, at, avc_caps, frame, hevc_caps, ms, pull_tag, skip_headers, video_harness,
    },
    pipeline::{PATIENCE, Pipeline, Recording, record_output},
};
use gst::prelude::*;
use gst_check::Harness;
use std::sync::{Arc, Mutex};

fn flush(harness: &mut Harness, reset_time: bool) {
    let seqnum = gst::Seqnum::next();
    harness.push_event(gst::event::FlushStart::builder().seqnum(seqnum).build());
    harness.push_event(gst::event::FlushStop::builder(reset_time).seqnum(seqnum).build());
}

fn segment_from(harness: &mut Harness, base: u64) {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(ms(base));
    harness.push_event(gst::event::Segment::new(&segment));
}

type Stamps = (Option<gst::ClockTime>, Option<gst::ClockTime>);

fn pull_stamps(harness: &mut Harness) -> Stamps {
    let buffer = harness.pull().expect("a buffer");
    (buffer.dts(), buffer.pts())
}

fn same(time: u64) -> Stamps {
    (Some(ms(time)), Some(ms(time)))
}

/// The tags' own timestamps go on, for a server sees one stream; the buffers' are running time.
#[test]
fn buffers_start_over_and_tags_go_on() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    harness.push(at(DELTA, 3_000)).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!([0, 1].map(|_| pull_stamps(&mut harness)), [same(0), same(3_000)]);

    flush(&mut harness, true);
    segment_from(&mut harness, 0);
    harness.push(at(DELTA, 0)).unwrap();
    harness.push(at(KEY, 40)).unwrap();
    harness.push(frame(DELTA, ms(80), ms(120))).unwrap();
    let key = harness.pull().unwrap();
    assert_eq!((key.dts(), key.pts()), same(40));
    let key = crate::flv::read_only_tag(&key.map_readable().unwrap());
    assert!(matches!(key.packet(), Packet::Video { key: true, .. }), "decoding starts anew");
    assert_eq!(key.timestamp, 3_000, "time goes on where it was");
    let delta = harness.pull().unwrap();
    assert_eq!((delta.dts(), delta.pts()), (Some(ms(80)), Some(ms(120))));
    assert_eq!(crate::flv::read_only_tag(&delta.map_readable().unwrap()).timestamp, 3_040);
}

/// Such a flush throws data away and leaves the clock alone.
#[test]
fn a_flush_that_keeps_running_time_keeps_it() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    harness.push(at(DELTA, 3_000)).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!([0, 1].map(|_| pull_stamps(&mut harness)), [same(0), same(3_000)]);
    flush(&mut harness, false);
    segment_from(&mut harness, 3_500);
    harness.push(at(KEY, 0)).unwrap();
    let key = harness.pull().unwrap();
    assert_eq!((key.dts(), key.pts()), same(3_500));
    assert_eq!(crate::flv::read_only_tag(&key.map_readable().unwrap()).timestamp, 3_500);
}

#[test]
fn sound_starts_over_too() {
    crate::init();
    let mut harness = Harness::with_padnames("flvhevcmux", Some("audio"), Some("src"));
    harness.set_src_caps(aac_caps());
    let sound = |time| {
        let mut buffer = gst::Buffer::from_slice([0x21, 0x10]);
        buffer.make_mut().set_pts(ms(time));
        buffer
    };
    harness.push(sound(5_000)).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!(pull_stamps(&mut harness), same(5_000));
    flush(&mut harness, true);
    segment_from(&mut harness, 0);
    harness.push(sound(0)).unwrap();
    assert_eq!(pull_stamps(&mut harness), same(0));
}

/// After an end the sequence is announced anew.
#[test]
fn a_stream_goes_on_behind_its_end() {
    let mut harness = video_harness();
    harness.push(at(KEY, 0)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    harness.push_event(gst::event::Eos::new());
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::End { .. }));
    flush(&mut harness, true);
    harness.set_src_caps(hevc_caps(&HVCC));
    segment_from(&mut harness, 0);
    harness.push(at(KEY, 0)).unwrap();
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::Metadata(_)));
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::VideoHeader { .. }));
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::Video { key: true, .. }));
}

/// Decode times of the buffers after a flush, by the same steps through another muxer. Older flvmux has them as PTS.
fn decode_times(muxer: &str) -> Vec<gst::ClockTime> {
    crate::init();
    let mut harness = Harness::with_padnames(muxer, Some("video"), Some("src"));
    harness.element().unwrap().set_property("streamable", true);
    harness.set_src_caps(avc_caps(&AVCC));
    let slice = |header, dts, pts| frame(&[0, 0, 0, 2, header, 0x88], ms(dts), ms(pts));
    harness.push(slice(0x65, 0, 0)).unwrap();
    harness.push(slice(0x41, 3_000, 3_080)).unwrap();
    flush_after(&mut harness, 2 + 3);
    for (header, time) in [(0x65, 0), (0x41, 40), (0x41, 80)] {
        harness.push(slice(header, time, time + 40)).unwrap();
    }
    let mut times = Vec::new();
    while times.len() < 3 {
        let buffer = harness.pull().expect("a frame");
        if !buffer.flags().contains(gst::BufferFlags::HEADER) {
            times.push(buffer.dts_or_pts().expect("a time"));
        }
    }
    times
}

/// So many buffers came out before.
fn flush_after(harness: &mut Harness, buffers: usize) {
    for _ in 0..buffers {
        harness.pull().expect("a buffer");
    }
    flush(harness, true);
    segment_from(harness, 0);
}

#[test]
fn buffers_have_the_timestamps_that_flvmux_gives_them() {
    let ours = decode_times("flvhevcmux");
    assert_eq!(ours, [0, 40, 80].map(ms));
    assert_eq!(ours, decode_times("flvmux"));
}

/// A real seek in a real pipeline: what comes behind it is not held back until the old time is reached again.
#[test]
fn a_seek_upstream_starts_buffers_over() {
    let pipeline = Pipeline::new(
        "videotestsrc name=source ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! flvhevcmux name=mux ! fakesink name=sink",
    );
    let recording = Arc::<Mutex<Recording>>::default();
    record_output(&pipeline.element("mux"), &recording);
    let (passed, seen) = std::sync::mpsc::channel();
    pipeline.element("mux").static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = passed.send(info.buffer().unwrap().dts());
        gst::PadProbeReturn::Ok
    });
    let limit = std::time::Duration::from(PATIENCE);
    pipeline.play();
    while seen.recv_timeout(limit).unwrap().is_none_or(|dts| dts < ms(3_000)) {}
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        ms(1_000),
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    // Muxers cannot be sought; whoever stands before them can.
    let pad = pipeline.element("source").static_pad("src").unwrap();
    recording.lock().unwrap().buffers.clear();
    assert!(pad.send_event(seek));
    let first = loop {
        let mut recording = recording.lock().unwrap();
        let place = recording.buffers.iter().position(|buffer| buffer.dts().is_some_and(|dts| dts < ms(1_000)));
        if let Some(place) = place {
            break recording.buffers.split_off(place).remove(0);
        }
        drop(recording);
        seen.recv_timeout(limit).unwrap();
    };
    assert_eq!(first.dts(), Some(ms(0)));
    assert_eq!(first.pts(), Some(ms(0)));
    let mut count = 0;
    while seen.recv_timeout(limit).unwrap().is_none_or(|dts| dts != ms(2_000)) {
        count += 1;
        assert!(count < 1_000, "it gets there");
    }
}
