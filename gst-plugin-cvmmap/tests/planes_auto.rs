//! `plane=auto` gives access units where there are any, pictures where there are none, and follows a producer that changes.

mod common;

use cvmmap::{Abi, Codec, Publisher};
use gst::prelude::*;

use common::{
    init,
    place::Place,
    planes::{Shot, V2_1, encode},
    player::Player,
    producer::Producer,
    until,
};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;

fn next(player: &Player) -> (String, u64, bool) {
    let sample = player.sample();
    let buffer = sample.buffer().unwrap();
    let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
    (sample.caps().unwrap().structure(0).unwrap().name().to_string(), buffer.offset(), discont)
}

#[test]
fn the_stream_follows_the_producer() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "auto", &[]);
    player.play();
    producer.await_subscriber();
    let units = encode(Codec::H264, WIDTH, HEIGHT, 10, 5);
    let plain = Shot::new(WIDTH, HEIGHT, 0);
    let mut frame_id = 0;
    let mut show = |shot: &Shot| {
        shot.show(&producer, &player, frame_id);
        frame_id += 1;
        u64::from(frame_id - 1)
    };
    let expect = |media: &str, id: u64, discont: bool| assert_eq!(next(&player), (media.to_owned(), id, discont));

    // Access units from the first keyframe on.
    for unit in &units[2..5] {
        show(&plain.clone().with_unit(unit));
    }
    for (unit, at) in units[5..8].iter().zip(0..) {
        let id = show(&plain.clone().with_unit(unit));
        expect("video/x-h264", id, at == 0);
    }
    // An encoder that pauses is waited for, one that stays away is not.
    for _ in 0..9 {
        show(&plain);
    }
    for at in 0..3 {
        let id = show(&plain);
        expect("video/x-raw", id, at == 0);
    }
    // Pictures go on until the next keyframe.
    for unit in &units[8..10] {
        let id = show(&plain.clone().with_unit(unit));
        expect("video/x-raw", id, false);
    }
    for (unit, at) in units[0..3].iter().zip(0..) {
        let id = show(&plain.clone().with_unit(unit));
        expect("video/x-h264", id, at == 0);
    }
    assert_eq!((player.stat("frames-undecodable"), player.stat("frames-without-plane")), (3, 9));
    player.assert_no_error();
}

#[test]
fn a_producer_that_cannot_encode_gives_pictures_at_once() {
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, Abi::V1).unwrap();
    let player = Player::of_plane(&place, "auto", &[]);
    player.play();
    until("the source hears the publisher", || {
        Shot::new(16, 16, 0).publish(&mut publisher, 1);
        player.stat("frames-received") > 0
    });
    assert_eq!(next(&player).0, "video/x-raw");
    assert_eq!(player.stat("frames-without-plane"), 0);
}

#[test]
fn access_units_have_a_rate_of_their_own() {
    let mut units = encode(Codec::H264, WIDTH, HEIGHT, 3, 5);
    units.iter_mut().for_each(|unit| unit.frame_rate = (0, 0));
    // The second frame has a quarter of a second to come, and a busy machine may take longer.
    let rates = (0..10).find_map(|_| {
        let place = Place::new();
        let producer = Producer::new(&place);
        let player = Player::of_plane(&place, "auto", &[]);
        player.play();
        producer.await_subscriber();
        let plain = Shot::new(WIDTH, HEIGHT, 0);
        for frame_id in 0..12 {
            plain.show(&producer, &player, frame_id);
        }
        let rate = || player.sample().caps().unwrap().structure(0).unwrap().get::<gst::Fraction>("framerate").ok();
        let pictures = rate().filter(|rate| rate.numer() > 0)?;
        // Every other frame has a unit.
        for (unit, frame_id) in units.iter().zip((12..).step_by(2)) {
            plain.clone().with_unit(unit).show(&producer, &player, frame_id);
            plain.show(&producer, &player, frame_id + 1);
        }
        let units = std::iter::repeat_with(rate).take(3).last()??;
        Some((pictures, units))
    });
    assert_eq!(rates, Some((gst::Fraction::new(30, 1), gst::Fraction::new(15, 1))));
}

/// Decodes whatever comes, as a player would.
#[test]
fn decodebin_plays_either() {
    for encoded in [false, true] {
        init();
        let place = Place::new();
        let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
        let line = "cvmmapsrc name=src plane=auto ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.by_name("src").unwrap().set_property("uri", place.uri());
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let units = encode(Codec::H264, WIDTH, HEIGHT, 10, 2);
        let mut sample = None;
        let mut at = 0;
        until("a picture comes through", || {
            let mut shot = Shot::new(WIDTH, HEIGHT, 0);
            shot.unit = encoded.then(|| units[at % 10].clone());
            at += 1;
            shot.publish(&mut publisher, common::unix_now());
            sample = sink.try_pull_sample(gst::ClockTime::from_mseconds(5));
            sample.is_some()
        });
        let sample = sample.unwrap();
        let structure = sample.caps().unwrap().structure(0).unwrap();
        assert_eq!((structure.get("width"), structure.get("height")), (Ok(WIDTH as i32), Ok(HEIGHT as i32)));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
