//! A downstream that is slower than the producer gets the newest frames.

mod common;

use std::sync::mpsc;

use common::{PATIENCE, picture::Picture, place::Place, player::Player, producer::Producer};
use gst::prelude::*;

/// Plays with downstream blocked in frame 0 while frames 1 to 5 are published; gives what came through after that.
fn after_a_jam(queue_size: u64) -> Vec<(u64, bool)> {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::with(&place, &[("queue-size", queue_size)]);
    let (blocked, jammed) = mpsc::channel();
    let pad = player.src.static_pad("src").unwrap();
    let probe = pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
        blocked.send(()).unwrap();
        gst::PadProbeReturn::Ok
    });
    player.play();
    producer.await_subscriber();
    producer.publish(&Picture::small(0), 0, 0);
    jammed.recv_timeout(PATIENCE).unwrap();
    for frame_id in 1..=5 {
        producer.publish_to(&player, &Picture::small(frame_id), frame_id, frame_id.into());
    }
    player.wait_stat("frames-dropped", 5 - queue_size);
    pad.remove_probe(probe.unwrap());
    let passed = (0..=queue_size).map(|_| player.pull());
    let passed = passed.map(|got| {
        assert_eq!(got.rows, Picture::small(got.id as u32).rows());
        (got.id, got.discont)
    });
    let passed = passed.collect();
    let message = player.message(gst::MessageType::Qos);
    let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
    assert_eq!(qos.stats().1.value() as u64, 5 - queue_size);
    assert_eq!(player.stat("frames-skipped"), 0, "every frame was announced");
    passed
}

#[test]
fn the_newest_frame_wins() {
    assert_eq!(after_a_jam(1), [(0, true), (5, true)]);
}

#[test]
fn a_longer_queue_keeps_the_newest_in_order() {
    assert_eq!(after_a_jam(3), [(0, true), (3, true), (4, false), (5, false)]);
}
