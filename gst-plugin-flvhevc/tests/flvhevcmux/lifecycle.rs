//! Flushes, restarts, pads that come and go, and the end.

use crate::{
    flv::Packet,
    input::{DELTA, KEY, at, stat, video_harness, watch_bus},
    pipeline::{PATIENCE, Pipeline, X264, X265, picture},
};
use gst::prelude::*;
use std::sync::{Arc, Mutex};

/// The same pipeline runs several times; every run is a whole stream.
#[test]
fn restarts_give_whole_streams() {
    let pipeline = Pipeline::new(&format!("{} ! {X265} ! flvhevcmux name=mux ! fakesink", picture(5)));
    let mux = pipeline.element("mux");
    let recording = Arc::new(Mutex::default());
    crate::pipeline::record_output(&mux, &recording);
    let mut runs = Vec::new();
    for state in [gst::State::Ready, gst::State::Null, gst::State::Ready] {
        pipeline.play();
        pipeline.wait_for_end().unwrap();
        assert_eq!(stat(&mux, "tags"), 2 + 5 + 1);
        let bytes = std::mem::take(&mut *recording.lock().unwrap()).bytes();
        assert_eq!(stat(&mux, "bytes"), bytes.len() as u64);
        let (flags, tags) = crate::flv::read_file(&bytes);
        assert_eq!(flags, 1);
        assert_eq!(tags.len(), 2 + 5 + 1);
        // Encoders need not repeat themselves; headers and times do.
        let times: Vec<_> = tags.iter().map(|tag| tag.timestamp).collect();
        runs.push((tags[..2].to_vec(), times));
        pipeline.set_state(state).unwrap();
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[test]
fn packaging_can_change_between_runs() {
    crate::init();
    let mux = gst::ElementFactory::make("flvhevcmux").build().unwrap();
    use gstflvhevc::HevcPackaging;
    assert_eq!(mux.property::<HevcPackaging>("hevc-packaging"), HevcPackaging::Enhanced);
    mux.set_property("hevc-packaging", HevcPackaging::Domestic);
    assert_eq!(mux.property::<HevcPackaging>("hevc-packaging"), HevcPackaging::Domestic);
    mux.set_property_from_str("hevc-packaging", "enhanced");
    assert_eq!(mux.property::<HevcPackaging>("hevc-packaging"), HevcPackaging::Enhanced);
}

/// The audio pad goes away while both streams flow; the picture continues to its end.
#[test]
fn pad_release_in_the_middle_is_safe() {
    let pipeline = Pipeline::new(&format!(
        "flvhevcmux name=mux ! fakesink \
         {} ! {X264} ! queue ! mux.video \
         audiotestsrc ! avenc_aac ! aacparse ! queue name=q ! mux.audio",
        picture(50)
    ));
    let mux = pipeline.element("mux");
    let recording = Arc::new(Mutex::default());
    crate::pipeline::record_output(&mux, &recording);
    let (passed, seen) = std::sync::mpsc::channel();
    let pad = mux.static_pad("audio").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = passed.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    for _ in 0..10 {
        seen.recv_timeout(PATIENCE.into()).unwrap();
    }
    let queue = pipeline.element("q");
    queue.static_pad("src").unwrap().unlink(&pad).unwrap();
    mux.release_request_pad(&pad);
    // The sound's source has nowhere to go now, which is its own error; the muxed stream must end all the same.
    let (ended, end) = std::sync::mpsc::channel();
    mux.static_pad("src").unwrap().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            let _ = ended.send(());
        }
        gst::PadProbeReturn::Ok
    });
    end.recv_timeout(PATIENCE.into()).expect("the muxed stream ends");
    pipeline.set_state(gst::State::Null).unwrap();
    let tags = recording.lock().unwrap().tags();
    let frames = tags.iter().filter(|tag| matches!(tag.packet(), Packet::Video { .. }));
    assert_eq!(frames.count(), 50);
}

/// A harness releases its pad while the muxer is busy with what came from there.
#[test]
fn pad_release_does_not_race_with_muxing() {
    for _ in 0..5_000 {
        let mut harness = video_harness();
        for time in [0, 40, 80] {
            harness.push(at(KEY, time)).unwrap();
        }
    }
}

#[test]
fn stream_without_a_keyframe_ends_with_a_warning() {
    let mut harness = video_harness();
    let mux = harness.element().unwrap();
    let bus = watch_bus(&mux);
    harness.push(at(DELTA, 0)).unwrap();
    harness.push_event(gst::event::Eos::new());
    let warning = bus.timed_pop_filtered(PATIENCE, &[gst::MessageType::Warning]).expect("a warning");
    assert!(format!("{warning:?}").contains("keyframe"));
    assert_eq!(stat(&mux, "tags"), 0);
}

#[test]
fn seeks_are_refused() {
    let harness = video_harness();
    let pad = harness.element().unwrap().static_pad("src").unwrap();
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        gst::ClockTime::ZERO,
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    assert!(!pad.send_event(seek));
}
