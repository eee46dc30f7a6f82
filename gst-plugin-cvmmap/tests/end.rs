//! How a stream pauses and ends.

mod common;

use common::{in_time, picture::Picture, place::Place, player::Player, producer::Producer, threads, until};
use gst::prelude::*;

fn played(properties: &[(&str, u64)]) -> (Place, Producer, Player) {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::with(&place, properties);
    player.play();
    producer.await_subscriber();
    (place, producer, player)
}

#[test]
fn a_producer_that_never_comes_ends_the_stream_after_the_idle_timeout() {
    let player = Player::with(&Place::new(), &[("idle-timeout", 50)]);
    player.play();
    player.message(gst::MessageType::Eos);
}

#[test]
fn a_producer_that_falls_silent_ends_the_stream_behind_its_last_frame() {
    let (_place, producer, player) = played(&[("idle-timeout", 3_000)]);
    for frame_id in 0..3 {
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        assert_eq!(player.pull().id, u64::from(frame_id));
    }
    player.message(gst::MessageType::Eos);
    assert_eq!(player.stat("frames-pushed"), 3);
}

#[test]
fn max_frames_ends_the_stream_behind_so_many() {
    let (_place, producer, player) = played(&[("max-frames", 3)]);
    for frame_id in 0..3 {
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        player.pull();
    }
    player.message(gst::MessageType::Eos);
    assert!(player.sink.is_eos());
    assert_eq!(player.stat("frames-pushed"), 3);
}

#[test]
fn max_frames_counts_from_each_start() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::with(&place, &[("max-frames", 1)]);
    for run in 0..3 {
        player.play();
        producer.await_subscriber();
        producer.publish(&Picture::small(run), run, 1);
        assert_eq!(player.pull().rows, Picture::small(run).rows());
        player.message(gst::MessageType::Eos);
        player.pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn num_buffers_is_heeded() {
    let (_place, producer, player) = played(&[("num-buffers", 2)]);
    for frame_id in 0..2 {
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        player.pull();
    }
    player.message(gst::MessageType::Eos);
}

#[test]
fn an_eos_event_ends_a_wait_for_a_producer() {
    let player = Player::new(&Place::new());
    player.play();
    assert!(player.pipeline.send_event(gst::event::Eos::new()));
    player.message(gst::MessageType::Eos);
}

#[test]
fn a_wait_for_a_producer_can_be_stopped() {
    for state in [gst::State::Playing, gst::State::Paused] {
        let player = Player::new(&Place::new());
        player.pipeline.set_state(state).unwrap();
        let pipeline = player.pipeline.clone();
        in_time("stop", move || pipeline.set_state(gst::State::Null).unwrap());
        player.assert_no_error();
    }
}

#[test]
fn a_wait_under_way_ends_at_once() {
    let (_place, producer, player) = played(&[]);
    producer.publish(&Picture::small(0), 0, 1);
    producer.publish(&Picture::small(1), 1, 2);
    player.pull();
    // Nothing else wakes the streaming thread in such a wait, so what does not do so hangs.
    for _ in 0..20 {
        threads::await_sleep(&threads::streaming(&player));
        player.pause();
        player.play();
    }
    threads::await_sleep(&threads::streaming(&player));
    let src = player.src.clone();
    in_time("flush", move || assert!(src.send_event(gst::event::FlushStart::new())));
    in_time("flush", {
        let src = player.src.clone();
        move || assert!(src.send_event(gst::event::FlushStop::new(false)))
    });
    threads::await_sleep(&threads::streaming(&player));
    let pipeline = player.pipeline.clone();
    in_time("stop", move || pipeline.set_state(gst::State::Null).unwrap());
    player.assert_no_error();
}

#[test]
fn frames_flow_again_however_short_a_pause() {
    let (_place, producer, player) = played(&[]);
    for frame_id in 0..2 {
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        player.pull();
    }
    for frame_id in 2..52 {
        threads::await_sleep(&threads::streaming(&player));
        player.pause();
        player.play();
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        assert_eq!(player.pull().id, u64::from(frame_id));
    }
}

#[test]
fn seeking_is_refused() {
    let (_place, producer, player) = played(&[]);
    producer.publish(&Picture::small(0), 0, 1);
    player.pull();
    assert!(player.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).is_err());
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(player.src.query(&mut query));
    assert!(!query.result().0);
}

#[test]
fn no_frame_comes_while_paused_and_none_of_the_pause_after_it() {
    let (_place, producer, player) = played(&[("queue-size", 8)]);
    for frame_id in 0..2 {
        producer.publish(&Picture::small(frame_id), frame_id, 1);
        player.pull();
    }
    for round in 0..5 {
        let first = 2 + round * 10;
        player.pause();
        for frame_id in first..first + 5 {
            producer.publish(&Picture::small(frame_id), frame_id, 1);
        }
        // Messages are heard in order: once a foreign one is counted, the frames before it were passed over.
        let foreign = player.stat("messages-foreign");
        until("the frames of the pause were passed over", || {
            producer.send(b"marker");
            player.stat("messages-foreign") > foreign
        });
        assert!(player.sink.try_pull_sample(gst::ClockTime::ZERO).is_none(), "a frame came while paused");
        player.play();
        producer.publish(&Picture::small(first + 5), first + 5, 1);
        let got = player.pull();
        assert_eq!((got.id, got.discont), (u64::from(first) + 5, true));
    }
    assert_eq!(player.stat("frames-skipped"), 0, "what passes during a pause is no loss");
    let qos = player.bus().pop_filtered(&[gst::MessageType::Qos]);
    assert!(qos.is_none(), "{qos:?}");
}
