//! A producer need not be there, and may come and go.

mod common;

use std::fs;

use common::{
    picture::{BGR, FORMATS, Layout, Picture},
    place::Place,
    player::Player,
    producer::Producer,
};
use gst::prelude::*;

#[test]
fn a_source_waits_for_its_producer() {
    let place = Place::new();
    let player = Player::new(&place);
    player.play();
    // Neither segment nor socket is there yet.
    assert_eq!(player.src.current_state(), gst::State::Playing);
    let producer = Producer::new(&place);
    producer.await_subscriber();
    producer.publish(&Picture::small(1), 77, 5);
    let got = player.pull();
    assert_eq!((got.id, got.rows), (77, Picture::small(1).rows()));
    assert!(got.discont, "the first buffer follows no other");
    player.assert_no_error();
}

#[test]
fn a_producer_that_comes_back_is_followed() {
    let place = Place::new();
    let player = Player::new(&place);
    player.play();
    let runs = [
        (Picture::new(BGR, 64, 48, 0, 1), Layout::V2 { minor: 0 }),
        (Picture::new(BGR, 320, 200, 5, 2), Layout::V2 { minor: 1 }),
        (Picture::new(FORMATS[4], 16, 9, 0, 3), Layout::V1),
        // The same again: caps stay, content must not.
        (Picture::new(FORMATS[4], 16, 9, 0, 4), Layout::V1),
    ];
    for (picture, layout) in runs {
        let producer = Producer::new(&place);
        producer.await_subscriber();
        for frame_id in 0..3 {
            producer.publish_as(&picture, layout, frame_id, 1_000_000);
            let got = player.pull();
            assert_eq!(got.size(), (picture.width as u32, picture.height as u32));
            assert_eq!(got.info.format(), picture.format.video);
            assert_eq!(got.rows, picture.rows());
            assert_eq!(got.discont, frame_id == 0, "frame {frame_id} of {}x{}", picture.width, picture.height);
        }
        drop(producer);
        fs::remove_file(place.segment()).unwrap();
    }
    player.assert_no_error();
    assert_eq!(player.stat("source-restarts"), 3);
}

#[test]
fn a_segment_that_is_resized_in_place_is_followed() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    for (frame_id, (width, height)) in (0..).zip([(320, 200), (16, 9), (640, 360), (640, 359)]) {
        let picture = Picture::new(BGR, width, height, 0, frame_id);
        producer.publish(&picture, frame_id, 1);
        let got = player.pull();
        assert_eq!((got.size(), got.rows), ((width as u32, height as u32), picture.rows()));
        assert!(got.discont, "another picture is another stream");
    }
}

#[test]
fn an_old_mapping_of_a_replaced_segment_is_not_read() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    producer.publish(&Picture::small(1), 0, 1);
    assert_eq!(player.pull().rows, Picture::small(1).rows());
    // Unlinked and made again between two frames, as a restarted producer does; the socket stays.
    fs::remove_file(place.segment()).unwrap();
    producer.publish(&Picture::small(2), 1, 2);
    assert_eq!(player.pull().rows, Picture::small(2).rows());
}

#[test]
fn two_sources_follow_one_producer() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let players = [Player::new(&place), Player::new(&place)];
    for player in &players {
        player.play();
    }
    for _ in &players {
        producer.await_subscriber();
    }
    let picture = Picture::small(3);
    producer.publish(&picture, 0, 1);
    for player in &players {
        assert_eq!(player.pull().rows, picture.rows());
    }
}
