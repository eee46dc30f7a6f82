//! Starting and stopping leaks nothing. A process of its own: it counts the process's threads and descriptors.

mod common;

use std::fs;

use common::{
    in_time,
    picture::{BGR, Picture},
    place::Place,
    player::Player,
    producer::Producer,
    until,
};
use gst::prelude::*;

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn threads_and_descriptors() -> (usize, usize) {
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

/// Starts and stops one source and one sink, with and without a frame in between.
fn cycle(player: &Player, producer: &Producer, publishing: &gst::Pipeline, count: u32) {
    player.play();
    publishing.set_state(gst::State::Playing).unwrap();
    if count.is_multiple_of(4) {
        // Subscriptions of the cycles before may still arrive: no telling which one is this cycle's.
        let mut frame_id = 0;
        until("a frame comes through", || {
            producer.publish(&Picture::new(BGR, 320, 240, 0, count), frame_id, 1);
            frame_id += 1;
            player.sink.try_pull_sample(gst::ClockTime::from_mseconds(1)).is_some()
        });
    }
    let pipelines = [player.pipeline.clone(), publishing.clone()];
    in_time("stop", move || pipelines.map(|pipeline| pipeline.set_state(gst::State::Null).unwrap()));
    player.assert_no_error();
}

#[test]
fn two_hundred_starts_and_stops_leak_nothing() {
    let place = Place::new();
    let elsewhere = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    let line = format!("videotestsrc is-live=true ! video/x-raw,format=RGB ! cvmmapsink uri={}", elsewhere.uri());
    let publishing = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    // What is made once for the process, or kept for reuse, is there after some.
    for count in 0..20 {
        cycle(&player, &producer, &publishing, count);
    }
    let before = threads_and_descriptors();
    for count in 0..200 {
        cycle(&player, &producer, &publishing, count);
    }
    // ZeroMQ closes connections behind the scenes.
    until("no more threads and descriptors than before", || {
        let now = threads_and_descriptors();
        now.0 <= before.0 && now.1 <= before.1
    });
    assert!(!elsewhere.segment().exists());
    assert!(!elsewhere.socket().exists());
}
