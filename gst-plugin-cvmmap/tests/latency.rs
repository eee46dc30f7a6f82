//! How late the source says its frames are, and how long it lets them wait.

mod common;

use cvmmap::{Codec, Depth};
use common::{
    picture::Picture,
    planes::{Shot, Unit},
    stage_clock::Stage,
    unix_now,
};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;
/// Frames a second.
const RATE: u64 = 30;

/// What one of them gets done, running in a pipeline whose sink holds each frame for `deadline` after its time.
struct Run {
    stage: Stage,
    frames: u64,
    publish: fn(&common::producer::Producer, u32, u64),
}

fn publish_picture(producer: &common::producer::Producer, frame_id: u32, timestamp_ns: u64) {
    producer.publish(&Picture::small(frame_id), frame_id, timestamp_ns);
}

fn publish_unit(producer: &common::producer::Producer, frame_id: u32, timestamp_ns: u64) {
    let unit = Unit {
        codec: Codec::H264,
        keyframe: frame_id % 30 == 0,
        frame_rate: (RATE as u16, 1),
        data: vec![0, 0, 0, 1, 0x65, frame_id as u8],
    };
    Shot::new(16, 16, frame_id).with_confidence(Depth::U8, vec![0; 256]).with_unit(&unit).write(producer, frame_id, timestamp_ns);
    producer.announce(frame_id, timestamp_ns);
}

impl Run {
    fn new(properties: &[(&str, &str)], deadline: gst::ClockTime) -> Self {
        let is_encoded = properties.iter().any(|(name, _)| *name == "plane");
        common::init();
        let sink = gst::ElementFactory::make("fakesink").property("sync", true).build().unwrap();
        sink.set_property("processing-deadline", deadline);
        let publish = if is_encoded { publish_unit } else { publish_picture };
        Self { stage: Stage::new(properties, sink), frames: 0, publish }
    }

    fn time(&self) -> gst::ClockTime {
        gst::ClockTime::SECOND * self.frames / RATE
    }

    /// Has so many frames come in their time; the clock stands still meanwhile if the machine's consumers `stall`.
    fn play(&mut self, frames: u64, stall: bool) {
        for _ in 0..frames {
            if !stall {
                self.stage.set_time(self.time());
            }
            let frame_id = self.frames as u32;
            self.stage.pass(|producer| (self.publish)(producer, frame_id, unix_now()));
            self.frames += 1;
        }
        self.stage.set_time(self.time());
    }

    /// Asserts that nothing was lost, and that the latency is the age of the frames when they had been copied.
    fn assert_all_came(&self) {
        self.stage.drain(self.frames);
        self.stage.redistribute_latency();
        assert_eq!(self.stage.stat("frames-dropped"), 0);
        let bound = (10 * MS * (self.stage.slowest().nseconds().div_ceil(10_000_000))).max(80 * MS);
        let (least, _) = self.stage.latency();
        assert!(least < bound, "{least} with frames that were there after {} at most", self.stage.slowest());
    }
}

#[test]
fn a_sink_that_holds_frames_does_not_make_them_older() {
    for (queue_size, deadline) in [("10", 100), ("30", 200)] {
        let mut run = Run::new(&[("queue-size", queue_size)], deadline * MS);
        run.play(180, false);
        run.assert_all_came();
    }
}

#[test]
fn access_units_that_wait_are_not_older_either() {
    let mut run = Run::new(&[("plane", "encoded")], 200 * MS);
    run.play(180, false);
    run.assert_all_came();
    let (least, most) = run.stage.latency();
    assert!(least >= 10 * MS);
    let room = 61 * gst::ClockTime::SECOND / RATE;
    assert!(most.is_some_and(|most| (room..room + least).contains(&most)), "{most:?} with 60 units and one at 30 a second");
}

#[test]
fn a_stall_of_downstream_does_not_raise_it() {
    let mut run = Run::new(&[("queue-size", "30")], 20 * MS);
    run.play(30, false);
    run.play(21, true);
    run.play(60, false);
    run.assert_all_came();
}

/// A run of frames at 25 a second; false when the second one came too late to tell that, on a busy machine.
fn known_rate(properties: &[(&str, &str)], deadline: gst::ClockTime) -> (Run, bool) {
    let mut run = Run::new(properties, deadline);
    assert_eq!(run.stage.latency().1, None, "of a frame rate that is not known yet");
    let now = unix_now();
    run.stage.pass(|producer| producer.publish(&Picture::small(0), 0, now - 40_000_000));
    run.stage.pass(|producer| producer.publish(&Picture::small(1), 1, now));
    run.frames = 2;
    run.stage.drain(1);
    let caps = run.stage.src.static_pad("src").unwrap().current_caps().unwrap();
    let rate = caps.structure(0).unwrap().get::<gst::Fraction>("framerate").unwrap();
    assert!([(0, 1), (25, 1)].contains(&(rate.numer(), rate.denom())), "{rate}");
    (run, rate.numer() > 0)
}

#[test]
fn what_may_wait_follows_from_the_queue_and_the_frame_rate() {
    for (queue_size, frames) in [("1", 2), ("10", 11)] {
        let (mut run, is_known) = known_rate(&[("queue-size", queue_size)], 20 * MS);
        for _ in 0..10 {
            run.play(1, false);
            run.stage.drain(run.frames);
        }
        let (least, most) = run.stage.latency();
        let room = frames * 40 * MS;
        if is_known {
            assert!(most.is_some_and(|most| (room..room + least).contains(&most)), "{most:?} with {queue_size}");
        } else {
            assert_eq!(most, None);
        }
    }
}

#[test]
fn a_queue_that_is_too_small_for_the_sink_is_told() {
    for (deadline, is_told) in [(20 * MS, false), (500 * MS, true)] {
        let (mut run, is_known) = known_rate(&[("timestamp-mode", "arrival")], deadline);
        for _ in 0..10 {
            run.play(1, false);
            run.stage.drain(run.frames);
        }
        run.stage.redistribute_latency();
        let warning = run.stage.pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Warning]);
        assert_eq!(warning.is_some(), is_known && is_told, "{deadline}: {warning:?}, {:?}", run.stage.latency());
        if let Some(gst::MessageView::Warning(warning)) = warning.as_ref().map(|warning| warning.view()) {
            assert!(warning.error().matches(gst::CoreError::Clock), "{warning:?}");
        }
    }
}
