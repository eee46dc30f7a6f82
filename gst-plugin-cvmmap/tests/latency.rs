//! How late the source says its frames are, and how long it lets them wait.

mod common;

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use common::{
    PATIENCE,
    picture::Picture,
    place::Place,
    planes::{Shot, Unit},
    player::Player,
    producer::Producer,
    stage_clock::Stage,
    unix_now, until,
};
use cvmmap::Codec;
use gst::prelude::*;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;
/// How long downstream holds frames.
const HELD: Duration = Duration::from_millis(400);
/// Frames that come meanwhile.
const COME: u32 = 5;

/// Publishes a frame stamped with now; how old it was at most when it had been copied.
fn publish(player: &Player, producer: &Producer, frame_id: u32, is_encoded: bool) -> gst::ClockTime {
    let received = player.stat("frames-received");
    let began = Instant::now();
    let now = unix_now();
    if is_encoded {
        let data = vec![0, 0, 0, 1, 0x65, frame_id as u8];
        let unit = Unit { codec: Codec::H264, keyframe: frame_id.is_multiple_of(4), frame_rate: (30, 1), data };
        Shot::new(16, 16, frame_id).with_unit(&unit).write(producer, frame_id, now);
        producer.announce(frame_id, now);
    } else {
        producer.publish(&Picture::small(frame_id), frame_id, now);
    }
    until("the frame was copied", || player.stat("frames-received") > received);
    gst::ClockTime::try_from(began.elapsed()).unwrap()
}

/// Frames that downstream holds for a while are not older for it.
fn assert_waiting_is_no_age(player: &Player, producer: &Producer, is_encoded: bool) {
    player.play();
    producer.await_subscriber();
    let mut oldest = gst::ClockTime::ZERO;
    for frame_id in 0..12 {
        oldest = oldest.max(publish(player, producer, frame_id, is_encoded));
        player.sample();
    }
    let (blocked, jammed) = mpsc::channel();
    let pad = player.src.static_pad("src").unwrap();
    let probe = pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
        blocked.send(()).unwrap();
        gst::PadProbeReturn::Ok
    });
    oldest = oldest.max(publish(player, producer, 12, is_encoded));
    jammed.recv_timeout(PATIENCE).unwrap();
    let held_since = Instant::now();
    for frame_id in 13..13 + COME {
        oldest = oldest.max(publish(player, producer, frame_id, is_encoded));
    }
    until("they were held for long", || held_since.elapsed() >= HELD);
    pad.remove_probe(probe.unwrap());
    for _ in 12..13 + COME {
        player.sample();
    }
    assert_eq!(player.stat("frames-dropped"), 0);
    let mut query = gst::query::Latency::new();
    assert!(player.src.query(&mut query));
    let (_, least, most) = query.result();
    // In steps of 10 ms, and two clocks are read one after the other.
    assert!(least <= oldest + 20 * MS, "{least} with frames that were {oldest} old");
    if is_encoded {
        let room = 61 * gst::ClockTime::SECOND / 30;
        assert!(
            most.is_some_and(|most| (room..=room + least).contains(&most)),
            "{most:?} with room for 61 at 30 a second"
        );
    }
}

#[test]
fn pictures_that_wait_are_not_older_for_it() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::with(&place, &[("queue-size", 10)]);
    assert_waiting_is_no_age(&player, &producer, false);
}

#[test]
fn access_units_that_wait_are_not_older_for_it() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "encoded", &[]);
    assert_waiting_is_no_age(&player, &producer, true);
}

/// Passes twelve frames at 25 a second to a sink that holds each one for `deadline`; whether the second one came in time to
/// tell that rate, which it may not on a busy machine.
fn pass_frames(queue_size: &str, deadline: gst::ClockTime) -> (Stage, bool) {
    common::init();
    let sink = gst::ElementFactory::make("fakesink").property("sync", true).build().unwrap();
    sink.set_property("processing-deadline", deadline);
    let stage = Stage::new(&[("queue-size", queue_size), ("timestamp-mode", "arrival")], sink);
    assert_eq!(stage.latency().1, None, "of a frame rate that is not known yet");
    let now = unix_now();
    stage.pass(|producer| producer.publish(&Picture::small(0), 0, now - 40_000_000));
    // The next one takes its place in a queue of one.
    stage.drain(1);
    stage.pass(|producer| producer.publish(&Picture::small(1), 1, now));
    stage.drain(2);
    for frame_id in 2..12 {
        stage.pass(|producer| producer.publish(&Picture::small(frame_id), frame_id, unix_now()));
        stage.drain(u64::from(frame_id) + 1);
        stage.redistribute_latency();
    }
    let caps = stage.src.static_pad("src").unwrap().current_caps().unwrap();
    let rate = caps.structure(0).unwrap().get::<gst::Fraction>("framerate").unwrap();
    assert!([(0, 1), (25, 1)].contains(&(rate.numer(), rate.denom())), "{rate}");
    (stage, rate.numer() > 0)
}

#[test]
fn what_may_wait_follows_from_the_queue_and_the_frame_rate() {
    for (queue_size, frames) in [("1", 2), ("10", 11)] {
        let (stage, is_known) = pass_frames(queue_size, 20 * MS);
        let (least, most) = stage.latency();
        let room = frames * 40 * MS;
        if is_known {
            assert!(most.is_some_and(|most| (room..=room + least).contains(&most)), "{most:?} with {queue_size}");
        } else {
            assert_eq!(most, None);
        }
    }
}

#[test]
fn a_queue_that_is_too_small_for_the_sink_is_told() {
    for (deadline, is_told) in [(20 * MS, false), (500 * MS, true)] {
        let (stage, is_known) = pass_frames("1", deadline);
        let warnings = stage.warnings();
        assert_eq!(!warnings.is_empty(), is_known && is_told, "{deadline}: {warnings:?}, {:?}", stage.latency());
        assert!(warnings.iter().all(|warning| warning.matches(gst::CoreError::Clock)), "{warnings:?}");
    }
}
