//! Depth and confidence: exact values in caps that stock elements take.

mod common;

use std::collections::HashSet;

use cvmmap::{Depth, DepthUnit, Publisher};
use gst::prelude::*;

use common::{
    init,
    place::Place,
    planes::{Shot, V2_1, greeted},
    player::{Got, Player},
    producer::Producer,
};
use gst_video::VideoFormat;

/// What a player of depth shows of these values, as rows of 16-bit samples.
fn shown(unit: DepthUnit, width: u32, values: &[f32]) -> Vec<u16> {
    let height = values.len() as u32 / width;
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
    let player = Player::of_plane(&place, "depth", &[]);
    greeted(&mut publisher, &player);
    let shot = Shot::new(width, height, 1).with_depth(unit, values.to_vec());
    let frame_id = shot.publish_to(&mut publisher, &player, 2);
    let got = player.pull();
    assert_eq!(got.id, u64::from(frame_id));
    assert_eq!(got.info.format(), VideoFormat::Gray16Le);
    assert_eq!(got.size(), (width, height));
    got.rows.iter().flat_map(|row| row.chunks(2)).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn depth_in_millimetres_is_rounded_and_held_within_16_bits() {
    let values = [
        0.0,
        0.5,
        1234.4,
        1234.5,
        65535.0,
        65536.0,
        1e20,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -0.4,
        -5.0,
        1.0,
        2.0,
        3.0,
    ];
    let expected = [0, 1, 1234, 1235, 65535, 65535, 65535, 65535, 0, 0, 0, 0, 1, 2, 3];
    // An odd width: rows of the picture have a padding of their own.
    assert_eq!(shown(DepthUnit::Millimeter, 5, &values), expected);
    assert_eq!(shown(DepthUnit::Unknown, 3, &values), expected);
}

#[test]
fn depth_in_metres_becomes_millimetres() {
    let values =
        [0.0, 1.0, 0.0005, 0.0004, 2.3456, 65.535, 65.6, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1.0, 7.0];
    let expected = [0, 1000, 1, 0, 2346, 65535, 65535, 65535, 0, 0, 0, 7000];
    assert_eq!(shown(DepthUnit::Meter, 4, &values), expected);
}

#[test]
fn depth_as_floats_is_the_producers_bit_for_bit() {
    for (unit, name) in
        [(DepthUnit::Meter, "meter"), (DepthUnit::Millimeter, "millimeter"), (DepthUnit::Unknown, "unknown")]
    {
        let values = [0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-40];
        let place = Place::new();
        let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
        let player = Player::of_plane(&place, "depth", &[("depth-format", "float32")]);
        greeted(&mut publisher, &player);
        Shot::new(3, 2, 1).with_depth(unit, values.to_vec()).publish_to(&mut publisher, &player, 2);
        let sample = player.sample();
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(sample.buffer().unwrap().map_readable().unwrap().as_slice(), bytes);
        let structure = sample.caps().unwrap().structure(0).unwrap();
        assert_eq!(structure.name(), "application/x-cvmmap-float32");
        assert_eq!((structure.get("width"), structure.get("height"), structure.get("stride")), (Ok(3), Ok(2), Ok(12)));
        assert_eq!(structure.get("unit"), Ok(name));
    }
}

#[test]
fn confidence_is_grey_of_8_bits() {
    let values = [0.0, 0.4, 0.5, 99.5, 100.0, 255.4, 256.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1.0, 42.0];
    let floats = values.iter().flat_map(|value: &f32| value.to_le_bytes()).collect::<Vec<_>>();
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
    let player = Player::of_plane(&place, "confidence", &[]);
    greeted(&mut publisher, &player);
    Shot::new(3, 4, 1).with_confidence(Depth::F32, floats).publish_to(&mut publisher, &player, 2);
    let got = player.pull();
    assert_eq!((got.info.format(), got.size()), (VideoFormat::Gray8, (3, 4)));
    assert_eq!(got.rows.concat(), [0, 0, 1, 100, 100, 255, 255, 255, 0, 0, 0, 42]);

    let bytes = (0..15).map(|value| value * 17).collect::<Vec<u8>>();
    Shot::new(5, 3, 1).with_confidence(Depth::U8, bytes.clone()).publish_to(&mut publisher, &player, 3);
    let got = player.pull();
    assert_eq!((got.info.format(), got.size()), (VideoFormat::Gray8, (5, 3)));
    assert_eq!(got.rows.concat(), bytes);
}

#[test]
fn depth_goes_round_in_a_pool() {
    for format in ["gray16", "float32"] {
        let place = Place::new();
        let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
        let player = Player::of_plane(&place, "depth", &[("depth-format", format)]);
        greeted(&mut publisher, &player);
        let mut blocks = HashSet::new();
        for at in 0..50 {
            let values = (0..64 * 48).map(|value| (value + at) as f32).collect::<Vec<_>>();
            let shot = Shot::new(64, 48, 0).with_depth(DepthUnit::Millimeter, values);
            shot.publish_to(&mut publisher, &player, 2 + at);
            let sample = player.sample();
            let buffer = sample.buffer().unwrap();
            assert_eq!(
                buffer.map_readable().unwrap()[0],
                if format == "gray16" { at as u8 } else { (at as f32).to_le_bytes()[0] }
            );
            // The first two may be copied before the pool is agreed on.
            if at > 1 {
                blocks.insert(buffer.peek_memory(0).as_ptr() as usize);
            }
        }
        assert!(blocks.len() <= 6, "{format}: {} blocks", blocks.len());
    }
}

/// What comes out of a launch line behind the source of depth for one frame.
fn through(line: &str, shot: &Shot) -> gst::Sample {
    init();
    let place = Place::new();
    let producer = Producer::new(&place);
    let line = format!("cvmmapsrc name=src coherence=metadata plane=depth ! {line} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let src = pipeline.by_name("src").unwrap();
    src.set_property("uri", place.uri());
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    shot.write(&producer, 0, 1);
    producer.announce(0, 1);
    let sample = sink.try_pull_sample(gst::ClockTime::try_from(common::PATIENCE).unwrap()).expect("a picture");
    pipeline.set_state(gst::State::Null).unwrap();
    sample
}

#[test]
fn stock_elements_show_depth() {
    let shot = Shot::new(8, 8, 0).with_depth(DepthUnit::Meter, vec![32.768; 64]);
    let got = Got::of(&through("videoconvert ! video/x-raw,format=GRAY8", &shot));
    assert!(got.rows.concat().iter().all(|pixel| (127..=129).contains(pixel)), "{:?}", got.rows);
}

#[test]
fn stock_elements_store_depth_exactly() {
    let values = (0..16).map(|at| (at * 4369) as f32).collect::<Vec<_>>();
    let shot = Shot::new(4, 4, 0).with_depth(DepthUnit::Millimeter, values);
    let line = "videoconvert ! video/x-raw,format=GRAY16_BE ! pngenc ! pngdec ! video/x-raw,format=GRAY16_BE";
    let rows = Got::of(&through(line, &shot)).rows.concat();
    let stored = rows.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>();
    assert_eq!(stored, (0..16).map(|at| at * 4369).collect::<Vec<_>>());
}

#[test]
fn a_plane_that_is_not_there_is_waited_for_and_named() {
    for (plane, shot) in [
        ("depth", Shot::new(2, 2, 0).with_depth(DepthUnit::Meter, vec![1.0; 4])),
        ("confidence", Shot::new(2, 2, 0).with_confidence(Depth::U8, vec![9; 4])),
    ] {
        let place = Place::new();
        let producer = Producer::new(&place);
        let player = Player::of_plane(&place, plane, &[]);
        player.play();
        producer.await_subscriber();
        for frame_id in 0..30 {
            Shot::new(2, 2, 0).show(&producer, &player, frame_id);
        }
        let message = player.message(gst::MessageType::Warning);
        let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
        assert!(warning.error().matches(gst::ResourceError::NotFound));
        assert!(warning.error().message().contains(&format!("no {plane} plane")), "{}", warning.error());
        for frame_id in 30..70 {
            Shot::new(2, 2, 0).show(&producer, &player, frame_id);
        }
        assert!(player.bus().pop_filtered(&[gst::MessageType::Warning]).is_none(), "said once");
        player.wait_stat("frames-without-plane", 70);
        shot.show(&producer, &player, 70);
        assert_eq!(player.pull().id, 70);
        player.assert_no_error();
    }
}
