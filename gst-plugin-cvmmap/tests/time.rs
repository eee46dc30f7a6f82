//! Where a frame stands in time and in the sequence.

mod common;

use common::{
    picture::Picture,
    place::Place,
    player::{Got, Player},
    producer::Producer,
    unix_now, until,
};
use gst::{glib, prelude::*};

const SECOND: u64 = 1_000_000_000;

struct Stage {
    _place: Place,
    producer: Producer,
    player: Player,
}

/// A player whose running time began an hour ago, so that a capture in the past has a time.
fn stage() -> Stage {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    // The monotonic clock may be younger than an hour.
    let clock = glib::Object::builder::<gst::SystemClock>().property("clock-type", gst::ClockType::Realtime).build();
    player.pipeline.use_clock(Some(&clock));
    player.pipeline.set_start_time(gst::ClockTime::NONE);
    player.pipeline.set_base_time(clock.time() - gst::ClockTime::from_seconds(3600));
    player.play();
    producer.await_subscriber();
    Stage { _place: place, producer, player }
}

impl Stage {
    fn pass(&self, frame_id: u32, timestamp_ns: u64) -> Got {
        self.producer.publish(&Picture::small(frame_id), frame_id, timestamp_ns);
        self.player.pull()
    }

    fn running_time(&self) -> u64 {
        self.player.src.current_running_time().unwrap().nseconds()
    }
}

fn assert_rising(passed: &[Got]) {
    assert!(
        passed.is_sorted_by(|one, next| one.pts < next.pts),
        "{:?}",
        passed.iter().map(|got| got.pts).collect::<Vec<_>>()
    );
}

#[test]
fn the_pts_is_the_running_time_of_the_capture() {
    let stage = stage();
    for (frame_id, age) in (0..).zip([5, 3, 1]) {
        let before = stage.running_time();
        let stamp = unix_now() - age * SECOND;
        let after = stage.running_time();
        let got = stage.pass(frame_id, stamp);
        // Two clocks are read one after the other, there and here.
        let slack = SECOND / 2;
        let expected = before - age * SECOND - slack..after - age * SECOND + slack;
        assert!(expected.contains(&got.pts), "{} is not in {expected:?}", got.pts);
        assert_eq!(got.stamp, Some(stamp));
    }
}

#[test]
fn captures_before_the_pipeline_have_times_that_rise_from_zero() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    let began = unix_now() - 9 * SECOND;
    let passed = (0..10u32).map(|frame_id| {
        producer.publish(&Picture::small(frame_id), frame_id, began + u64::from(frame_id) * SECOND / 30);
        player.pull()
    });
    let passed = passed.collect::<Vec<_>>();
    // Unless this machine took nine seconds for it.
    assert_eq!(passed[0].pts, 0);
    assert_rising(&passed);
}

#[test]
fn media_time_keeps_its_distances() {
    let stage = stage();
    // Distances shorter than any publishing takes: frames never arrive before their time.
    let passed = (0..10u32).map(|frame_id| stage.pass(frame_id, 7_000 + u64::from(frame_id) * 1_000));
    let passed = passed.collect::<Vec<_>>();
    assert!(passed[0].pts <= stage.running_time());
    for pair in passed.windows(2) {
        let distance = pair[1].pts - pair[0].pts;
        // After a stall of seconds the source counts anew.
        assert!(distance == 1_000 || distance > SECOND, "{distance}");
    }
    assert_eq!(passed[3].stamp, Some(10_000));
}

#[test]
fn frames_carry_their_ids_and_follow_each_other() {
    let stage = stage();
    for frame_id in 40..50 {
        let got = stage.pass(frame_id, u64::from(frame_id));
        assert_eq!(got.id, u64::from(frame_id));
        assert_eq!(got.buffer.offset_end(), u64::from(frame_id) + 1);
        assert_eq!(got.discont, frame_id == 40);
    }
}

#[test]
fn a_gap_in_the_ids_is_a_loss() {
    let stage = stage();
    stage.pass(10, 1);
    let got = stage.pass(14, 2);
    assert!(got.discont);
    assert_eq!(stage.player.stat("frames-skipped"), 3);
    let message = stage.player.message(gst::MessageType::Qos);
    let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
    assert!(qos.get().0, "live");
    let (passed, lost) = qos.stats();
    assert_eq!((passed.value(), lost.value()), (2, 3));
    assert!(!stage.pass(15, 3).discont);
}

#[test]
fn ids_wrap_without_a_loss() {
    let stage = stage();
    let ids = [u32::MAX - 1, u32::MAX, 0, 1];
    for (frame_id, timestamp_ns) in ids.into_iter().zip(1..) {
        let got = stage.pass(frame_id, timestamp_ns);
        assert_eq!((got.id, got.discont), (u64::from(frame_id), frame_id == u32::MAX - 1));
    }
    assert_eq!(stage.player.stat("frames-skipped"), 0);
    assert_eq!(stage.player.stat("source-restarts"), 0);
}

#[test]
fn a_counter_that_starts_over_is_a_restart() {
    let stage = stage();
    let passed = [(100, 9), (101, 10), (0, 11), (1, 12)].map(|(frame_id, time)| stage.pass(frame_id, time * SECOND));
    assert_eq!(passed.iter().map(|got| got.id).collect::<Vec<_>>(), [100, 101, 0, 1]);
    assert_eq!(passed.iter().map(|got| got.discont).collect::<Vec<_>>(), [true, false, true, false]);
    assert_rising(&passed);
    assert_eq!(stage.player.stat("source-restarts"), 1);
    assert_eq!(stage.player.stat("frames-skipped"), 0);
}

#[test]
fn a_clock_that_jumps_back_does_not_turn_time_back() {
    let stage = stage();
    let now = unix_now();
    // Media time, back to its start; Unix time, seconds back; Unix time after media time.
    let stamps = [60 * SECOND, 61 * SECOND, 0, SECOND, now, now - 4 * SECOND, 5, u64::MAX, now];
    let passed = (0u32..).zip(stamps).map(|(frame_id, stamp)| stage.pass(frame_id, stamp)).collect::<Vec<_>>();
    assert_rising(&passed);
    // A jump of the clock alone is no loss.
    assert!(passed[1..].iter().all(|got| !got.discont));
    assert_eq!(passed[5].stamp, Some(now - 4 * SECOND));
    // The one value that GStreamer cannot say.
    assert_eq!(passed[7].stamp, None);
    let latest = passed.last().unwrap().pts;
    assert!(latest <= stage.running_time(), "a frame of the future");
}

#[test]
fn the_latency_is_that_of_a_live_source() {
    let stage = stage();
    stage.pass(0, 1);
    let mut query = gst::query::Latency::new();
    assert!(stage.player.src.query(&mut query));
    let (live, min, max) = query.result();
    assert!(live);
    assert!(min > gst::ClockTime::ZERO && min <= gst::ClockTime::SECOND, "{min}");
    assert!(max.is_none_or(|max| max > min), "{min} to {max:?}");
}

#[test]
fn latency_grows_with_the_age_of_the_frames() {
    let stage = stage();
    stage.pass(0, unix_now() - 2 * SECOND);
    // A frame older than a second counts as an accident, and a busy machine may make it one. So does a single one.
    until("frames of 0.5 to 1 s were passed", || {
        stage.pass(1, unix_now() - SECOND / 2);
        let mut query = gst::query::Latency::new();
        assert!(stage.player.src.query(&mut query));
        query.result().1 >= gst::ClockTime::from_mseconds(500)
    });
    assert!(stage.player.bus().pop_filtered(&[gst::MessageType::Latency]).is_some());
}
