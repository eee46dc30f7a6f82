//! Torn, broken and foreign input is counted and dropped, and the next good frame flows.

mod common;

use std::{
    fs,
    os::unix::{fs::FileExt, net::UnixListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use common::{
    in_time,
    picture::{BGR, GRAY, Layout, Picture, V2},
    place::Place,
    player::Player,
    producer::{Producer, sync_message},
    until,
};
use cvmmap::{Abi, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher};
use gst::prelude::*;

struct Stage {
    place: Place,
    producer: Producer,
    player: Player,
    next: u32,
}

fn stage() -> Stage {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    let mut stage = Stage { place, producer, player, next: 0 };
    stage.assert_flowing();
    stage
}

impl Stage {
    fn id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A good frame comes through, and nothing in front of it.
    fn assert_flowing(&mut self) {
        let frame_id = self.id();
        let picture = Picture::small(frame_id);
        self.producer.publish(&picture, frame_id, frame_id.into());
        let got = self.player.pull();
        assert_eq!((got.id, &got.rows), (frame_id.into(), &picture.rows()));
        self.player.assert_no_error();
    }

    fn assert_counted(&mut self, stat: &str, total: u64) {
        self.player.wait_stat(stat, total);
        self.assert_flowing();
    }
}

#[test]
fn a_frame_other_than_the_announced_one_is_torn() {
    let mut stage = stage();
    let picture = Picture::small(9);
    let frame_id = stage.id();
    stage.producer.write(&picture.metadata(V2, frame_id + 1, 5), &picture.data);
    stage.producer.announce(frame_id, 5);
    stage.assert_counted("frames-torn", 1);

    let frame_id = stage.id();
    stage.producer.write(&picture.metadata(Layout::V1, frame_id, 6), &picture.data);
    stage.producer.announce(frame_id, 5);
    stage.assert_counted("frames-torn", 2);
}

#[test]
fn a_frame_that_changes_under_the_copy_is_torn() {
    let place = Place::new();
    let player = Player::new(&place);
    player.play();
    let mut publisher = Publisher::create(&place.address, Abi::V2 { minor: 0 }).unwrap();
    const SIDE: u32 = 1024;
    let mut next = 0;
    let mut publish = || {
        let frame_id = next;
        next += 1;
        let data = vec![frame_id as u8; (SIDE * SIDE) as usize];
        let plane = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width: SIDE,
            height: SIDE,
            stride: SIDE,
            data: &data,
        };
        let frame = Frame { timestamp_ns: 1, planes: &[plane], depth_unit: DepthUnit::Unknown, encoded: None };
        assert_eq!(publisher.publish(&frame).unwrap(), frame_id);
    };
    let settled = || player.stat("frames-received") + player.stat("frames-torn");
    until("three frames are torn and twenty are whole", || {
        // The first of the two may be torn by the second; the second is left in peace.
        let before = settled();
        publish();
        publish();
        if before > 0 {
            until("the last frame was looked at", || settled() > before);
        }
        while let Some(sample) = player.sink.try_pull_sample(gst::ClockTime::ZERO) {
            let got = common::player::Got::of(&sample);
            let pixel = got.id as u8;
            assert!(got.rows.iter().flatten().all(|found| *found == pixel), "frame {} is mixed", got.id);
        }
        player.stat("frames-torn") >= 3 && player.stat("frames-pushed") >= 20
    });
    player.assert_no_error();
}

#[test]
fn malformed_and_foreign_messages_are_counted() {
    let mut stage = stage();
    let good = sync_message(1, 1, stage.place.target.instance());
    let mut other_magic = good;
    other_magic[0] = 0x7C;
    let mut other_version = good;
    other_version[2] = 2;
    let theirs = sync_message(1, 1, "theirs");
    let longer = sync_message(1, 1, &format!("{}x", stage.place.target.instance()));
    let foreign: [&[u8]; 7] = [b"", b"}", &good[..47], &other_magic, &other_version, &theirs, &longer];
    for (message, total) in foreign.into_iter().zip(1..) {
        stage.producer.send(message);
        stage.assert_counted("messages-foreign", total);
    }
    // Longer than a sync message, and good.
    let frame_id = stage.id();
    let picture = Picture::small(frame_id);
    stage.producer.write(&picture.metadata(V2, frame_id, 3), &picture.data);
    let mut message = sync_message(frame_id, 3, stage.place.target.instance()).to_vec();
    message.extend([0xFF; 80]);
    stage.producer.send(&message);
    assert_eq!(stage.player.pull().id, u64::from(frame_id));
}

#[test]
fn a_flood_of_foreign_messages_does_not_hold_up_the_stop() {
    let Stage { producer, player, place: _place, .. } = stage();
    let stopped = Arc::new(AtomicBool::new(false));
    let flooding = thread::spawn({
        let stopped = Arc::clone(&stopped);
        move || {
            while !stopped.load(Ordering::Relaxed) {
                producer.send(b"noise");
            }
        }
    });
    until("the flood has arrived", || player.stat("messages-foreign") > 0);
    let pipeline = player.pipeline.clone();
    in_time("stop", move || pipeline.set_state(gst::State::Null).unwrap());
    stopped.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
}

#[test]
fn a_segment_that_is_cut_off_is_invalid() {
    let mut stage = stage();
    let picture = Picture::new(BGR, 64, 48, 0, 1);
    for (size, total) in [0, 1, 255, 256, 257, 256 + picture.data.len() as u64 - 1].into_iter().zip(1..) {
        let frame_id = stage.id();
        stage.producer.write(&picture.metadata(V2, frame_id, 1), &picture.data);
        stage.producer.segment().set_len(size).unwrap();
        stage.producer.announce(frame_id, 1);
        stage.assert_counted("frames-invalid", total);
    }
}

#[test]
fn a_segment_that_is_gone_is_unavailable() {
    let mut stage = stage();
    fs::remove_file(stage.place.segment()).unwrap();
    let frame_id = stage.id();
    stage.producer.announce(frame_id, 1);
    stage.assert_counted("frames-unavailable", 1);
}

#[test]
fn what_is_no_file_in_the_segments_place_is_unavailable() {
    let mut stage = stage();
    for total in 1..=2 {
        fs::remove_file(stage.place.segment()).unwrap();
        if total == 1 {
            drop(UnixListener::bind(stage.place.segment()).unwrap());
        } else {
            std::os::unix::fs::symlink("/etc/passwd", stage.place.segment()).unwrap();
        }
        let frame_id = stage.id();
        stage.producer.announce(frame_id, 1);
        stage.player.wait_stat("frames-unavailable", total);
        fs::remove_file(stage.place.segment()).unwrap();
        stage.assert_flowing();
    }
}

#[test]
fn garbage_in_the_metadata_is_invalid() {
    let mut stage = stage();
    let picture = Picture::new(GRAY, 64, 48, 0, 1);
    // Offset, value: magic, version, enumerations, then sizes that lie.
    let v2: [(usize, &[u8]); 10] = [
        (0, b"CV-MMAQ"),
        (8, &[3]),
        (0x20, &[0]),
        (0x28, &u32::MAX.to_le_bytes()),
        (65, &[9]),
        (66, &[8]),
        (68, &0u32.to_le_bytes()),
        (68, &u32::MAX.to_le_bytes()),
        (76, &u32::MAX.to_le_bytes()),
        (80, &1u32.to_le_bytes()),
    ];
    let v1: [(usize, &[u8]); 4] = [(24, &[0, 0]), (26, &[255, 255]), (28, &[3]), (32, &u32::MAX.to_le_bytes())];
    let cases = v2.map(|case| (Layout::V2 { minor: 0 }, case)).into_iter().chain(v1.map(|case| (Layout::V1, case)));
    for ((layout, (offset, value)), total) in cases.zip(1..) {
        let frame_id = stage.id();
        let mut metadata = picture.metadata(layout, frame_id, 1);
        metadata[offset..offset + value.len()].copy_from_slice(value);
        stage.producer.write(&metadata, &picture.data);
        stage.producer.announce(frame_id, 1);
        stage.assert_counted("frames-invalid", total);
    }
    // And none at all.
    let frame_id = stage.id();
    stage.producer.segment().write_all_at(&[0xA5; 256], 0).unwrap();
    stage.producer.announce(frame_id, 1);
    stage.assert_counted("frames-invalid", 15);
}

#[test]
fn an_announcement_twice_is_one_frame() {
    let mut stage = stage();
    let frame_id = stage.next;
    stage.producer.announce(frame_id, frame_id.into());
    stage.assert_counted("frames-repeated", 1);
}
