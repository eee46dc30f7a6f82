//! A flush: running time starts over where it says so, and nothing of before comes after it.

mod common;

use common::{picture::Picture, stage_clock::Stage, unix_now, until};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(33);
/// Frames of four seconds.
const BEFORE: u64 = 120;

/// A pipeline whose sink shows each frame at its time, after four seconds.
struct Show {
    stage: Stage,
    sink: gst_app::AppSink,
    time: gst::ClockTime,
    frame_id: u32,
}

impl Show {
    fn new(timestamps: &str) -> Self {
        common::init();
        let sink = gst_app::AppSink::builder().sync(true).build();
        let stage = Stage::new(&[("timestamp-mode", timestamps)], sink.clone().upcast());
        let mut show = Self { stage, sink, time: gst::ClockTime::ZERO, frame_id: 0 };
        for _ in 0..BEFORE {
            show.show();
        }
        show
    }

    fn publish(&mut self) {
        self.time += FRAME;
        self.stage.set_time(self.time);
        let frame_id = self.frame_id;
        self.frame_id += 1;
        self.stage.pass(|producer| producer.publish(&Picture::small(frame_id), frame_id, unix_now()));
    }

    /// Publishes a frame, and lets so much time pass until it has been shown.
    fn show(&mut self) -> gst::Sample {
        self.publish();
        let began = self.time;
        let mut shown = None;
        until("the frame is shown", || {
            self.stage.set_time(self.time);
            shown = self.sink.try_pull_sample(MS);
            if shown.is_none() && self.time < began + 20 * FRAME {
                self.time += 5 * MS;
            }
            shown.is_some()
        });
        assert!(self.time < began + 10 * FRAME, "shown {} late", self.time - began);
        shown.unwrap()
    }

    fn flush(&self, reset_time: bool) {
        assert!(self.stage.src.send_event(gst::event::FlushStart::new()));
        assert!(self.stage.src.send_event(gst::event::FlushStop::new(reset_time)));
    }

    fn running_time(&self) -> gst::ClockTime {
        self.stage.src.current_running_time().unwrap()
    }
}

fn pts(sample: &gst::Sample) -> gst::ClockTime {
    sample.buffer().unwrap().pts().unwrap()
}

fn id(sample: &gst::Sample) -> u64 {
    sample.buffer().unwrap().offset()
}

#[test]
fn running_time_that_a_flush_resets_begins_at_zero() {
    for timestamps in ["auto", "arrival"] {
        let mut show = Show::new(timestamps);
        assert!(show.running_time() > 3 * gst::ClockTime::SECOND);
        show.flush(true);
        let mut last = None;
        for frame in 0..60u64 {
            let shown = show.show();
            let pts = pts(&shown);
            assert_eq!(id(&shown), BEFORE + frame);
            assert!(pts <= 10 * FRAME + FRAME * frame * 2, "{timestamps}: frame {frame} has {pts}");
            assert!(last.is_none_or(|last| pts > last), "{timestamps}: {pts} after {last:?}");
            let running = shown.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().to_running_time(pts);
            assert_eq!(running, Some(pts));
            let flags = shown.buffer().unwrap().flags();
            assert_eq!(flags.contains(gst::BufferFlags::DISCONT), frame == 0);
            last = Some(pts);
        }
        // The new base time has come: times are those of the captures again.
        let behind = show.running_time() - last.unwrap();
        assert!(behind < 10 * FRAME, "{timestamps}: the last one is {behind} old");
        assert_eq!(show.stage.stat("frames-skipped"), 0);
    }
}

#[test]
fn a_flush_that_does_not_reset_it_goes_on() {
    let mut show = Show::new("auto");
    let last = pts(&show.show());
    show.flush(false);
    let shown = show.show();
    assert!(pts(&shown) > last && pts(&shown) < last + 20 * FRAME, "{} after {last}", pts(&shown));
    assert!(shown.buffer().unwrap().flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn what_waits_is_flushed() {
    for reset_time in [false, true] {
        let mut show = Show::new("auto");
        // The sink waits for the time of the first of these, the second waits in the queue.
        show.publish();
        until("the sink has it", || show.stage.stat("frames-pushed") == BEFORE + 1);
        show.publish();
        show.flush(reset_time);
        assert_eq!(id(&show.show()), BEFORE + 2);
    }
}

#[test]
fn a_pipeline_whose_base_time_stays_keeps_its_running_time() {
    common::init();
    let sink = gst_app::AppSink::builder().sync(true).async_(false).build();
    let stage = Stage::new(&[], sink.clone().upcast());
    let mut show = Show { stage, sink, time: 4 * gst::ClockTime::SECOND, frame_id: 0 };
    let last = pts(&show.show());
    show.flush(true);
    // Nobody waits for a buffer, so nobody gives out a new base time.
    let shown = show.show();
    assert!(pts(&shown) > last && pts(&shown) <= show.running_time(), "{} after {last}", pts(&shown));
}

#[test]
fn a_base_time_that_is_set_anew_starts_over() {
    let mut show = Show::new("auto");
    show.show();
    show.stage.pipeline.set_start_time(gst::ClockTime::NONE);
    show.stage.pipeline.set_base_time(show.time);
    let shown = show.show();
    assert!(pts(&shown) < 10 * FRAME, "{}", pts(&shown));
}
