//! `cvmmapsink` is a producer that any consumer can read.

mod common;

use std::{
    fs,
    os::unix::net::UnixListener,
    time::{Duration, Instant},
};

use common::{
    PATIENCE, init,
    picture::{BGR, FORMATS, GRAY, Picture},
    place::Place,
    player::{Got, Player},
    producer::Producer,
    unix_now,
};
use gst::prelude::*;

/// A pipeline `appsrc ! cvmmapsink`.
struct Camera {
    pipeline: gst::Pipeline,
    src: gst_app::AppSrc,
    sink: gst::Element,
}

impl Camera {
    fn new(place: &Place, abi: &str) -> Self {
        let camera = Self::stopped(place, abi);
        camera.pipeline.set_state(gst::State::Playing).unwrap();
        camera
    }

    fn stopped(place: &Place, abi: &str) -> Self {
        init();
        let src = gst_app::AppSrc::builder().format(gst::Format::Time).is_live(true).build();
        let sink = gst::ElementFactory::make("cvmmapsink").property("uri", place.uri()).property("sync", false);
        let sink = sink.property_from_str("abi", abi).build().unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([src.upcast_ref(), &sink]).unwrap();
        src.link(&sink).unwrap();
        Self { pipeline, src, sink }
    }

    /// A buffer with the picture, its caps and, when given, its capture time.
    fn push(&self, picture: &Picture, captured: Option<u64>) {
        let (width, height) = (picture.width as u32, picture.height as u32);
        let info = gst_video::VideoInfo::builder(picture.format.video, width, height).build().unwrap();
        let mut buffer = gst::Buffer::from_slice(picture.data.clone());
        let buffer_ref = buffer.get_mut().unwrap();
        let stride = [picture.stride as i32];
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(buffer_ref, flags, info.format(), width, height, &[0], &stride).unwrap();
        if let Some(captured) = captured {
            let reference = gst::Caps::new_empty_simple("timestamp/x-unix");
            let captured = gst::ClockTime::from_nseconds(captured);
            gst::ReferenceTimestampMeta::add(buffer_ref, &reference, captured, gst::ClockTime::NONE);
        }
        self.src.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&info.to_caps().unwrap()).build()).unwrap();
    }

    /// Publishes a picture until one of it arrives: a publisher does not know who listens.
    fn shown_to(&self, player: &Player, picture: &Picture, captured: Option<u64>) -> Got {
        let deadline = Instant::now() + PATIENCE;
        let size = (picture.width as u32, picture.height as u32);
        loop {
            self.push(picture, captured);
            let sample = player.sink.try_pull_sample(gst::ClockTime::from_mseconds(20));
            match sample.map(|sample| Got::of(&sample)) {
                // Frames of the picture before, which has another size or format, may still be on their way.
                Some(got) if got.info.format() == picture.format.video && got.size() == size => return got,
                _ => assert!(Instant::now() < deadline, "it does not arrive; {:?}", player.stats()),
            }
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn assert_round_trip(abi: &str) {
    let place = Place::new();
    let camera = Camera::new(&place, abi);
    let player = Player::new(&place);
    player.play();
    for format in FORMATS {
        for (width, height, padding) in [(64, 48, 0), (7, 5, 0), (9, 5, 13), (1, 1, 0), (321, 203, 7)] {
            // A row of YUY2 is one of whole pairs.
            let padding = padding + if format.pixel_bytes == 2 { 2 } else { 0 };
            let picture = Picture::new(format, width, height, padding, width as u32);
            let got = camera.shown_to(&player, &picture, None);
            assert_eq!(got.rows, picture.rows(), "{:?} {width}x{height} + {padding}", format.video);
        }
    }
    assert_eq!(player.stat("frames-invalid"), 0);
}

#[test]
fn every_format_comes_back_unchanged_by_v1() {
    assert_round_trip("v1");
}

#[test]
fn every_format_comes_back_unchanged_by_v2() {
    assert_round_trip("v2");
}

#[test]
fn the_metadata_is_of_the_layout_asked_for() {
    for (abi, version) in [("v1", [1, 0]), ("v2", [2, 0])] {
        let place = Place::new();
        let camera = Camera::new(&place, abi);
        let picture = Picture::new(BGR, 20, 10, 0, 1);
        camera.push(&picture, Some(99));
        common::until("a frame is published", || {
            camera.sink.property::<gst::Structure>("stats").get::<u64>("frames-published") == Ok(1)
        });
        let segment = fs::read(place.segment()).unwrap();
        assert_eq!(segment[..10], [b"CV-MMAP\0".as_slice(), &version].concat());
        assert_eq!(segment[16..24], 99u64.to_le_bytes());
        assert_eq!(segment[256..256 + picture.data.len()], picture.data);
        let stats = camera.sink.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("bytes-published"), Ok(600));
    }
}

#[test]
fn nothing_stays_behind() {
    let place = Place::new();
    let camera = Camera::new(&place, "v2");
    assert!(place.segment().exists() && place.socket().exists());
    camera.push(&Picture::new(GRAY, 8, 8, 0, 0), None);
    drop(camera);
    assert!(!place.segment().exists(), "the segment");
    assert!(!place.socket().exists(), "the socket");
}

#[test]
fn a_live_producer_is_left_alone() {
    let place = Place::new();
    let camera = Camera::new(&place, "v2");
    let player = Player::new(&place);
    player.play();
    let picture = Picture::new(GRAY, 8, 8, 0, 1);
    camera.shown_to(&player, &picture, None);
    for _ in 0..3 {
        let second = Camera::stopped(&place, "v2");
        assert!(second.pipeline.set_state(gst::State::Playing).is_err());
        let bus = second.pipeline.bus().unwrap();
        let message = bus.timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).unwrap(), &[gst::MessageType::Error]);
        let message = message.expect("no error on the bus");
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().matches(gst::ResourceError::Busy), "{error:?}");
        assert!(error.error().message().contains("live producer"), "{error:?}");
    }
    let picture = Picture::new(GRAY, 9, 9, 0, 2);
    assert_eq!(camera.shown_to(&player, &picture, None).rows, picture.rows());
}

#[test]
fn what_a_dead_producer_left_is_replaced() {
    let place = Place::new();
    fs::write(place.segment(), b"left behind").unwrap();
    drop(UnixListener::bind(place.socket()).unwrap());
    let camera = Camera::new(&place, "v2");
    let player = Player::new(&place);
    player.play();
    let picture = Picture::new(GRAY, 8, 8, 0, 1);
    assert_eq!(camera.shown_to(&player, &picture, None).rows, picture.rows());
}

#[test]
fn the_capture_time_is_handed_on() {
    let (first, second) = (Place::new(), Place::new());
    let producer = Producer::new(&first);
    init();
    let line = format!(
        "cvmmapsrc name=cam coherence=metadata uri={} ! cvmmapsink sync=false uri={}",
        first.uri(),
        second.uri()
    );
    let relay = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    relay.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    let player = Player::new(&second);
    player.play();
    let captured = unix_now() - 3_000_000_000;
    let mut frame_id = 0;
    let mut got = None;
    common::until("a frame came all the way", || {
        producer.publish(&Picture::small(1), frame_id, captured + u64::from(frame_id));
        frame_id += 1;
        got = player.sink.try_pull_sample(gst::ClockTime::from_mseconds(20));
        got.is_some()
    });
    let got = Got::of(&got.unwrap());
    // The relay counts frames of its own: which of the producer's it was is told by the timestamp.
    let sent = captured..captured + u64::from(frame_id);
    assert!(sent.contains(&got.stamp.unwrap()), "{:?} is not in {sent:?}", got.stamp);
    relay.set_state(gst::State::Null).unwrap();
}

#[test]
fn without_a_capture_time_it_is_the_wall_clock_at_the_running_time() {
    let place = Place::new();
    let player = Player::new(&place);
    player.play();
    init();
    let line = format!("videotestsrc is-live=true ! video/x-raw,format=GRAY8 ! cvmmapsink uri={}", place.uri());
    let camera = gst::parse::launch(&line).unwrap();
    let before = unix_now();
    camera.set_state(gst::State::Playing).unwrap();
    let stamps = [player.pull(), player.pull()].map(|got| got.stamp.unwrap());
    let after = unix_now();
    camera.set_state(gst::State::Null).unwrap();
    // Rounding, and two clocks that are read one after the other.
    let slack = Duration::from_millis(500).as_nanos() as u64;
    assert!(stamps[0] >= before - slack && stamps[1] <= after + slack, "{before} {stamps:?} {after}");
    assert!(stamps[0] < stamps[1]);
}

#[test]
fn caps_may_change_in_mid_stream() {
    let place = Place::new();
    let camera = Camera::new(&place, "v1");
    let player = Player::new(&place);
    player.play();
    for (format, width, height) in [(BGR, 64, 48), (GRAY, 640, 480), (FORMATS[2], 8, 8), (BGR, 64, 48)] {
        let picture = Picture::new(format, width, height, 0, 9);
        assert_eq!(camera.shown_to(&player, &picture, None).rows, picture.rows());
    }
}

#[test]
fn a_buffer_too_small_for_its_caps_is_an_error() {
    let place = Place::new();
    let camera = Camera::new(&place, "v2");
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 64, 64).build().unwrap();
    let (buffer, caps) = (gst::Buffer::from_slice([0; 64]), info.to_caps().unwrap());
    camera.src.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).build()).unwrap();
    let bus = camera.pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).unwrap(), &[gst::MessageType::Error]);
    let message = message.expect("no error on the bus");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().matches(gst::StreamError::Format), "{error:?}");
}
