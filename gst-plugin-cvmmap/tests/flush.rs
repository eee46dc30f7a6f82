//! A flush: running time starts over where it says so, and nothing of before comes after it.

mod common;

use common::{picture::Picture, stage_clock::Stage, unix_now, until};
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(33);
/// Room for the frames that come before the streaming thread asks for one.
const QUEUE: (&str, &str) = ("queue-size", "9");
/// Frames that are shown before the flush, the last of them after four seconds.
const BEFORE: u64 = 4;

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
        let stage = Stage::new(&[QUEUE, ("timestamp-mode", timestamps)], sink.clone().upcast());
        Self::of(stage, sink)
    }

    fn of(stage: Stage, sink: gst_app::AppSink) -> Self {
        let mut show = Self { stage, sink, time: gst::ClockTime::ZERO, frame_id: 0 };
        // The first frame waits for the second, which tells the frame rate.
        show.publish();
        show.show();
        until("the second frame is shown", || {
            show.stage.set_time(show.time);
            show.sink.try_pull_sample(MS).is_some() || {
                show.time += MS;
                false
            }
        });
        show.time += 4 * gst::ClockTime::SECOND;
        for _ in 2..BEFORE {
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

    /// Publishes a frame, and lets time pass until it has been shown, but not for long.
    fn show(&mut self) -> gst::Sample {
        self.publish();
        let longest = self.time + 2 * gst::ClockTime::SECOND;
        let mut shown = None;
        until("the frame is shown", || {
            self.stage.set_time(self.time);
            shown = self.sink.try_pull_sample(MS);
            if shown.is_none() && self.time < longest {
                self.time += MS;
            }
            shown.is_some()
        });
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
        let flushed = show.time;
        let mut last = None;
        for frame in 0..30u64 {
            let shown = show.show();
            let pts = pts(&shown);
            assert_eq!(id(&shown), BEFORE + frame);
            assert!(pts <= show.time - flushed, "{timestamps}: frame {frame} has {pts}");
            assert!(last.is_none_or(|last| pts > last), "{timestamps}: {pts} after {last:?}");
            let running = shown.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().to_running_time(pts);
            assert_eq!(running, Some(pts));
            let flags = shown.buffer().unwrap().flags();
            assert_eq!(flags.contains(gst::BufferFlags::DISCONT), frame == 0);
            last = Some(pts);
        }
        // The new base time has come: times are those of the captures again.
        let (before, shown) = (show.running_time(), show.show());
        assert!(self::pts(&shown) + gst::ClockTime::SECOND > before, "{timestamps}: {shown:?} at {before}");
        assert_eq!(show.stage.stat("frames-skipped"), 0);
    }
}

#[test]
fn running_time_of_a_moment_is_reset_as_well() {
    common::init();
    // It shows frames when they come, so that no time passes but what is set here.
    let sink = gst_app::AppSink::builder().sync(false).build();
    let stage = Stage::new(&[QUEUE, ("timestamp-mode", "arrival")], sink.clone().upcast());
    let frame = |frame_id: u32, time: gst::ClockTime| {
        stage.set_time(time);
        stage.pass(|producer| producer.publish(&Picture::small(frame_id), frame_id, unix_now()));
    };
    let shown = || sink.try_pull_sample(gst::ClockTime::try_from(common::PATIENCE).unwrap()).expect("a frame");
    frame(0, 100 * MS);
    frame(1, 150 * MS);
    let before = [shown(), shown()];
    assert!(pts(&before[0]) < pts(&before[1]));
    // GStreamer 1.22 can lock itself up when it is flushed while its pipeline still goes over to PLAYING.
    stage.pipeline.state(gst::ClockTime::try_from(common::PATIENCE).unwrap()).0.unwrap();
    assert!(stage.src.send_event(gst::event::FlushStart::new()));
    assert!(stage.src.send_event(gst::event::FlushStop::new(true)));
    frame(2, 160 * MS);
    assert!(pts(&shown()) <= 10 * MS);
}

#[test]
fn a_flush_that_does_not_reset_it_goes_on() {
    let mut show = Show::new("auto");
    let last = pts(&show.show());
    show.flush(false);
    let shown = show.show();
    assert!(pts(&shown) > last && pts(&shown) <= show.time, "{} after {last}", pts(&shown));
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
    let mut show = Show::new("auto");
    let last = pts(&show.show());
    // Whoever unsets the start time gives out base times himself.
    show.stage.pipeline.set_start_time(gst::ClockTime::NONE);
    show.flush(true);
    let shown = show.show();
    assert!(pts(&shown) > last && pts(&shown) <= show.running_time(), "{} after {last}", pts(&shown));
}

#[test]
fn a_sink_that_is_not_waited_for_starts_over_at_once() {
    common::init();
    let sink = gst_app::AppSink::builder().sync(true).async_(false).build();
    let mut show = Show::of(Stage::new(&[QUEUE], sink.clone().upcast()), sink);
    show.flush(true);
    let flushed = show.time;
    let shown = show.show();
    assert!(pts(&shown) <= show.time - flushed, "{}", pts(&shown));
}

#[test]
fn a_base_time_that_is_set_anew_starts_over() {
    let mut show = Show::new("auto");
    show.show();
    show.stage.pipeline.set_start_time(gst::ClockTime::NONE);
    for element in [show.stage.pipeline.upcast_ref(), &show.stage.src, show.sink.upcast_ref::<gst::Element>()] {
        element.set_base_time(show.time);
    }
    let set = show.time;
    let shown = show.show();
    assert!(pts(&shown) <= show.time - set, "{}", pts(&shown));
}
