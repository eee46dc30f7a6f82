//! The other planes of a frame ride along: one instant in one buffer.

mod common;

use std::collections::HashSet;

use cvmmap::{Codec, Depth, DepthUnit, Publisher};
use gst::prelude::*;

use common::{
    PATIENCE, init,
    place::Place,
    planes::{Shot, Unit, V2_1, greeted},
    player::Player,
    producer::Producer,
};

const WIDTH: u32 = 5;
const HEIGHT: u32 = 4;

fn depths(seed: u32) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
    (0..WIDTH * HEIGHT - 4).map(|at| (seed * 100 + at) as f32 / 8.0).chain(special).collect()
}

fn confidences(seed: u32) -> Vec<u8> {
    (0..WIDTH * HEIGHT).map(|at| (seed * 3 + at) as u8).collect()
}

fn unit(seed: u32) -> Unit {
    let data = [0, 0, 0, 1, 0x65, seed as u8].repeat(seed as usize + 1);
    Unit { codec: Codec::H265, keyframe: true, frame_rate: (30, 1), data }
}

/// A frame in which every plane tells its seed.
fn shot(seed: u32) -> Shot {
    Shot::new(WIDTH, HEIGHT, seed)
        .with_depth(DepthUnit::Meter, depths(seed))
        .with_confidence(Depth::U8, confidences(seed))
        .with_unit(&unit(seed))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The structure of the meta, by plain GStreamer API.
fn meta(buffer: &gst::BufferRef) -> gst::Structure {
    gst::meta::CustomMeta::from_buffer(buffer, "GstCvmmapPlanesMeta").expect("a meta").structure().to_owned()
}

fn plane(meta: &gst::Structure, name: &str) -> (gst::Structure, Vec<u8>) {
    let plane = meta.get::<gst::Structure>(name).unwrap_or_else(|_| panic!("no {name} in {meta}"));
    let buffer = plane.get::<gst::Buffer>("buffer").unwrap();
    let data = buffer.map_readable().unwrap().to_vec();
    (plane, data)
}

fn geometry(plane: &gst::Structure) -> (String, String, u32, u32, u32) {
    (
        plane.get("pixel-format").unwrap(),
        plane.get("sample").unwrap(),
        plane.get("width").unwrap(),
        plane.get("height").unwrap(),
        plane.get("stride").unwrap(),
    )
}

#[test]
fn every_other_plane_of_the_frame_is_there() {
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
    let player = Player::of_plane(&place, "left", &[("attach-planes", "true")]);
    greeted(&mut publisher, &player);
    for seed in 0..10 {
        let shot = shot(seed);
        let frame_id = shot.publish_to(&mut publisher, &player, 1000 + u64::from(seed));
        let got = std::iter::repeat_with(|| player.pull()).find(|got| got.id == u64::from(frame_id)).unwrap();
        assert_eq!(got.rows.concat(), shot.left);
        let meta = meta(&got.buffer);
        assert_eq!((meta.get("frame-id"), meta.get("timestamp")), (Ok(frame_id), Ok(1000 + u64::from(seed))));
        assert!(!meta.has_field("left"), "that is the buffer's own");
        let (depth, data) = plane(&meta, "depth");
        assert_eq!(data, bytes(&depths(seed)));
        assert_eq!(geometry(&depth), ("GRAY".into(), "f32".into(), WIDTH, HEIGHT, WIDTH * 4));
        assert_eq!(depth.get("unit"), Ok("meter"));
        let (confidence, data) = plane(&meta, "confidence");
        assert_eq!(data, confidences(seed));
        assert_eq!(geometry(&confidence), ("GRAY".into(), "u8".into(), WIDTH, HEIGHT, WIDTH));
        let (encoded, data) = plane(&meta, "encoded");
        assert_eq!(data, unit(seed).data);
        assert_eq!((encoded.get("codec"), encoded.get("keyframe")), (Ok("h265"), Ok(true)));
    }
    // What a frame does not have is not there, nor left over from one that had it.
    Shot::new(WIDTH, HEIGHT, 0).publish_to(&mut publisher, &player, 2000);
    let meta = meta(&player.pull().buffer);
    assert_eq!(meta.fields().map(|field| field.as_str()).collect::<Vec<_>>(), ["frame-id", "timestamp"]);
}

#[test]
fn converted_pictures_carry_them_too() {
    init();
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
    let src = gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap();
    src.set_property("attach-planes", true);
    let planar = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
    let player = Player::of(src, &planar);
    greeted(&mut publisher, &player);
    // The first of this size is copied before it is agreed on, and the others are converted as they are copied.
    for seed in 0..5 {
        let frame_id = shot(seed).publish_to(&mut publisher, &player, 1000 + u64::from(seed));
        let got = std::iter::repeat_with(|| player.pull()).find(|got| got.id == u64::from(frame_id)).unwrap();
        assert_eq!(got.info.format(), gst_video::VideoFormat::I420);
        let meta = meta(&got.buffer);
        assert_eq!(meta.get("frame-id"), Ok(frame_id));
        assert_eq!(plane(&meta, "depth").1, bytes(&depths(seed)));
        assert_eq!(plane(&meta, "encoded").1, unit(seed).data);
    }
}

#[test]
fn any_plane_may_carry_the_others() {
    for (name, others) in [
        ("depth", ["left", "confidence", "encoded"]),
        ("confidence", ["left", "depth", "encoded"]),
        ("encoded", ["left", "depth", "confidence"]),
    ] {
        let place = Place::new();
        let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
        let player = Player::of_plane(&place, name, &[("attach-planes", "true")]);
        greeted(&mut publisher, &player);
        shot(3).publish_to(&mut publisher, &player, 5);
        let sample = player.sample();
        let meta = meta(sample.buffer().unwrap());
        assert!(!meta.has_field(name));
        for other in others {
            let (described, data) = plane(&meta, other);
            match other {
                "left" => {
                    assert_eq!(data, shot(3).left);
                    assert_eq!(geometry(&described), ("BGR".into(), "u8".into(), WIDTH, HEIGHT, WIDTH * 3));
                }
                "depth" => assert_eq!(data, bytes(&depths(3))),
                "confidence" => assert_eq!(data, confidences(3)),
                _ => assert_eq!(data, unit(3).data),
            }
        }
    }
}

#[test]
fn nothing_rides_along_unasked() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "left", &[]);
    player.play();
    producer.await_subscriber();
    shot(1).show(&producer, &player, 0);
    assert!(gst::meta::CustomMeta::from_buffer(&player.pull().buffer, "GstCvmmapPlanesMeta").is_err());
}

#[test]
fn planes_go_round_in_pools() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "left", &[("attach-planes", "true")]);
    player.play();
    producer.await_subscriber();
    let mut blocks = HashSet::new();
    for seed in 0..50 {
        shot(seed).show(&producer, &player, seed);
        let meta = meta(&player.pull().buffer);
        assert_eq!(plane(&meta, "depth").1, bytes(&depths(seed)));
        let buffer = meta.get::<gst::Structure>("depth").unwrap().get::<gst::Buffer>("buffer").unwrap();
        blocks.insert(buffer.peek_memory(0).as_ptr() as usize);
    }
    // One held here, one in the sink, one waiting, one under way.
    assert!(blocks.len() <= 6, "{} blocks", blocks.len());
}

#[test]
fn planes_ride_through_a_converter() {
    init();
    let place = Place::new();
    let producer = Producer::new(&place);
    let line = "cvmmapsrc name=src coherence=metadata attach-planes=true ! videoconvert ! video/x-raw,format=I420 ! queue \
                ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("src").unwrap().set_property("uri", place.uri());
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    shot(4).write(&producer, 0, 1);
    producer.announce(0, 1);
    let sample = sink.try_pull_sample(gst::ClockTime::try_from(PATIENCE).unwrap()).expect("a picture");
    assert_eq!(plane(&meta(sample.buffer().unwrap()), "depth").1, bytes(&depths(4)));
    pipeline.set_state(gst::State::Null).unwrap();
}
