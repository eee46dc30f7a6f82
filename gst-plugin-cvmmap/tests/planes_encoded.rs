//! Access units come out as they were published, and in an order that a decoder can use.

mod common;

use std::sync::mpsc;

use cvmmap::{Codec, Publisher};
use gst::prelude::*;

use common::{
    PATIENCE,
    place::Place,
    planes::{Shot, Unit, V2_1, decode, encode, greeted},
    player::Player,
    producer::Producer,
    until,
};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
const GOP: u32 = 5;

/// A buffer of access units, taken apart.
struct Got {
    id: u64,
    keyframe: bool,
    discont: bool,
    data: Vec<u8>,
    caps: gst::Caps,
}

fn pull(player: &Player) -> Got {
    let sample = player.sample();
    let buffer = sample.buffer().unwrap();
    let flags = buffer.flags();
    Got {
        id: buffer.offset(),
        keyframe: !flags.contains(gst::BufferFlags::DELTA_UNIT),
        discont: flags.contains(gst::BufferFlags::DISCONT),
        data: buffer.map_readable().unwrap().to_vec(),
        caps: sample.caps_owned().unwrap(),
    }
}

fn shot(unit: &Unit) -> Shot {
    Shot::new(WIDTH, HEIGHT, 0).with_unit(unit)
}

fn assert_published_units_come_out(codec: Codec, name: &str) {
    let units = encode(codec, WIDTH, HEIGHT, 12, GOP);
    let place = Place::new();
    let mut publisher = Publisher::create(&place.address, V2_1).unwrap();
    let player = Player::of_plane(&place, "encoded", &[]);
    greeted(&mut publisher, &player);
    let mut received = Vec::new();
    for (unit, at) in units.iter().zip(0..) {
        let frame_id = shot(unit).publish_to(&mut publisher, &player, 1 + at * 33_333_333);
        let got = pull(&player);
        assert_eq!(got.id, u64::from(frame_id));
        assert!(got.data == unit.data, "unit {at} differs");
        assert_eq!((got.keyframe, got.discont), (unit.keyframe, at == 0), "unit {at}");
        let caps = format!(
            "{name}, stream-format=byte-stream, alignment=au, width={WIDTH}, height={HEIGHT}, framerate=(fraction)30/1"
        );
        assert!(got.caps.is_strictly_equal(&caps.parse::<gst::Caps>().unwrap()), "{}", got.caps);
        received.push(got.data);
    }
    assert_eq!(player.stat("frames-undecodable"), 0);
    let pictures = decode(codec, &received);
    assert_eq!(pictures.len(), units.len());
    let sent = units.into_iter().map(|unit| unit.data).collect::<Vec<_>>();
    assert!(pictures == decode(codec, &sent));
    assert!(pictures[0] != pictures[1], "the picture moves");
}

#[test]
fn h264_units_come_out_as_published() {
    assert_published_units_come_out(Codec::H264, "video/x-h264");
}

#[test]
fn h265_units_come_out_as_published() {
    assert_published_units_come_out(Codec::H265, "video/x-h265");
}

/// A source of units that plays, and its producer.
fn stage() -> (Place, Producer, Player) {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "encoded", &[]);
    player.play();
    producer.await_subscriber();
    (place, producer, player)
}

/// Pulls the units that were shown in these frames, the first of them flagged `DISCONT`.
fn assert_run(player: &Player, units: &[Unit], frames: std::ops::Range<u32>) {
    for frame_id in frames.clone() {
        let (got, unit) = (pull(player), &units[frame_id as usize]);
        assert_eq!(got.id, u64::from(frame_id));
        assert!(got.data == unit.data);
        assert_eq!(got.keyframe, unit.keyframe, "frame {frame_id}");
        assert_eq!(got.discont, frame_id == frames.start, "frame {frame_id}");
    }
    assert!(player.sink.try_pull_sample(gst::ClockTime::ZERO).is_none());
    player.assert_no_error();
}

#[test]
fn a_stream_starts_at_a_keyframe() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 12, GOP);
    let (_place, producer, player) = stage();
    for frame_id in 2..8 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    player.wait_stat("frames-undecodable", 3);
    assert_run(&player, &units, 5..8);
}

/// Units 0, 1, then a loss of unit 2 in some way, then the rest.
fn assert_recovered(lose: impl FnOnce(&Producer, &Player, &Unit), counted: &str) {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 15, GOP);
    let (_place, producer, player) = stage();
    for frame_id in 0..2 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    assert_run(&player, &units, 0..2);
    lose(&producer, &player, &units[2]);
    for frame_id in 3..12 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    player.wait_stat("frames-undecodable", 2);
    player.wait_stat(counted, 1);
    let message = player.message(gst::MessageType::Qos);
    let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
    assert_eq!(qos.stats().1, gst::format::GenericFormattedValue::from(gst::format::Buffers::from_u64(3)));
    assert_run(&player, &units, 5..12);
}

#[test]
fn a_unit_that_was_never_announced_costs_those_up_to_the_next_keyframe() {
    assert_recovered(|_, _, _| {}, "frames-skipped");
}

#[test]
fn a_torn_unit_costs_those_up_to_the_next_keyframe() {
    let lose = |producer: &Producer, player: &Player, unit: &Unit| {
        shot(unit).write(producer, 2, 1);
        producer.announce(2, 2);
        until("it was torn", || player.stat("frames-torn") == 1);
    };
    assert_recovered(lose, "frames-torn");
}

#[test]
fn a_plane_that_holds_no_byte_stream_costs_those_up_to_the_next_keyframe() {
    let lose = |producer: &Producer, player: &Player, unit: &Unit| {
        let mut avc = unit.clone();
        avc.data[..4].copy_from_slice(&[0, 0, 5, 1]);
        shot(&avc).show(producer, player, 2);
    };
    assert_recovered(lose, "frames-invalid");
}

#[test]
fn a_source_that_starts_over_starts_at_a_keyframe() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 12, GOP);
    let (_place, producer, player) = stage();
    for (frame_id, unit) in [(1000, 0), (1001, 1)] {
        shot(&units[unit]).show(&producer, &player, frame_id);
        assert_eq!(pull(&player).id, u64::from(frame_id));
    }
    for frame_id in 2..8 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    assert_run(&player, &units, 5..8);
}

#[test]
fn a_pause_is_left_at_a_keyframe() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 12, GOP);
    let (_place, producer, player) = stage();
    for frame_id in 0..2 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    assert_run(&player, &units, 0..2);
    player.pause();
    player.play();
    for frame_id in 2..8 {
        shot(&units[frame_id as usize]).show(&producer, &player, frame_id);
    }
    player.wait_stat("frames-undecodable", 3);
    assert_run(&player, &units, 5..8);
}

#[test]
fn frames_without_a_unit_between_units_are_no_loss() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 12, GOP);
    let (_place, producer, player) = stage();
    for (unit, frame_id) in units.iter().zip((0..).step_by(2)) {
        shot(unit).show(&producer, &player, frame_id);
        Shot::new(WIDTH, HEIGHT, 0).show(&producer, &player, frame_id + 1);
        let got = pull(&player);
        assert_eq!((got.id, got.discont), (u64::from(frame_id), frame_id == 0));
    }
    assert_eq!((player.stat("frames-without-plane"), player.stat("frames-undecodable")), (12, 0));
}

#[test]
fn a_slow_downstream_gets_what_it_can_decode() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 195, 20);
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "encoded", &[]);
    player.sink.set_max_buffers(1);
    player.play();
    producer.await_subscriber();
    for (unit, frame_id) in units.iter().zip(0..) {
        shot(unit).show(&producer, &player, frame_id);
    }
    assert!(player.stat("frames-dropped") >= 20, "{:?}", player.stats());
    assert_eq!(player.stat("frames-undecodable"), 0, "every overflow finds a keyframe in the queue");
    let mut last = None;
    let mut gaps = 0;
    while last != Some(194) {
        let got = pull(&player);
        assert!(got.data == units[got.id as usize].data);
        let follows = last.is_some_and(|last| last + 1 == got.id);
        assert_eq!(got.discont, !follows, "frame {}", got.id);
        assert!(follows || got.keyframe, "frame {} cannot be decoded behind {last:?}", got.id);
        gaps += u32::from(!follows);
        last = Some(got.id);
    }
    assert!(gaps <= 2, "the start, and what went while downstream did not take any: {gaps}");
    let (pushed, dropped) = (player.stat("frames-pushed"), player.stat("frames-dropped"));
    assert!(pushed >= 40 && pushed + dropped == 195, "{:?}", player.stats());
}

#[test]
fn units_wait_for_a_downstream_that_stalls() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 60, GOP);
    let (_place, producer, player) = stage();
    let (blocked, stalled) = mpsc::channel();
    let pad = player.src.static_pad("src").unwrap();
    let probe = pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
        blocked.send(()).unwrap();
        gst::PadProbeReturn::Ok
    });
    shot(&units[0]).show(&producer, &player, 0);
    stalled.recv_timeout(PATIENCE).unwrap();
    // Two seconds of them.
    for (unit, frame_id) in units.iter().zip(0..).skip(1) {
        shot(unit).show(&producer, &player, frame_id);
    }
    assert_eq!(player.stat("frames-pushed"), 1, "downstream stalls");
    pad.remove_probe(probe.unwrap());
    assert_run(&player, &units, 0..60);
    assert_eq!((player.stat("frames-dropped"), player.stat("frames-undecodable")), (0, 0));
}

#[test]
fn a_queue_without_a_keyframe_is_left_at_the_next_one() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 160, 150);
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::of_plane(&place, "encoded", &[]);
    player.sink.set_max_buffers(1);
    player.play();
    producer.await_subscriber();
    for (unit, frame_id) in units.iter().zip(0..) {
        shot(unit).show(&producer, &player, frame_id);
    }
    assert!(player.stat("frames-undecodable") > 50, "{:?}", player.stats());
    let mut last = None;
    while last != Some(159) {
        let got = pull(&player);
        if last.is_none_or(|last| last + 1 != got.id) {
            assert!(got.discont && [0, 150].contains(&got.id), "frame {}", got.id);
        }
        last = Some(got.id);
    }
}

#[test]
fn another_codec_and_size_are_other_caps_from_a_keyframe_on() {
    let (_place, producer, player) = stage();
    let first = encode(Codec::H264, 64, 48, 3, GOP);
    let second = encode(Codec::H265, 80, 32, 7, GOP);
    for (unit, frame_id) in first.iter().zip(0..) {
        shot(unit).show(&producer, &player, frame_id);
        assert_eq!(pull(&player).caps.structure(0).unwrap().name(), "video/x-h264");
    }
    for (unit, frame_id) in second[3..].iter().zip(3..) {
        Shot::new(80, 32, 0).with_unit(unit).show(&producer, &player, frame_id);
    }
    player.wait_stat("frames-undecodable", 2);
    let got = pull(&player);
    let structure = got.caps.structure(0).unwrap();
    assert_eq!((got.id, got.keyframe, got.discont), (5, true, true));
    assert_eq!(structure.name(), "video/x-h265");
    assert_eq!((structure.get("width"), structure.get("height")), (Ok(80), Ok(32)));
}

#[test]
fn a_rate_that_is_not_told_is_that_of_the_timestamps() {
    let mut units = encode(Codec::H264, WIDTH, HEIGHT, 4, GOP);
    units.iter_mut().for_each(|unit| unit.frame_rate = (0, 0));
    // The second frame has a quarter of a second to come, and a busy machine may take longer.
    let rate = (0..10).find_map(|_| {
        let (_place, producer, player) = stage();
        shot(&units[0]).show(&producer, &player, 0);
        // Every other frame has a unit: 15 a second.
        Shot::new(WIDTH, HEIGHT, 0).show(&producer, &player, 1);
        shot(&units[1]).show(&producer, &player, 2);
        pull(&player).caps.structure(0).unwrap().get::<gst::Fraction>("framerate").ok()
    });
    assert_eq!(rate, Some(gst::Fraction::new(15, 1)));

    let (_place, producer, player) = stage();
    shot(&units[0]).show(&producer, &player, 0);
    assert!(!pull(&player).caps.structure(0).unwrap().has_field("framerate"), "unknown");
}

/// Plays through the rest of a launch line that ends by itself.
fn play_line(line: &str, units: &[Unit]) {
    let place = Place::new();
    let producer = Producer::new(&place);
    let line = format!("cvmmapsrc name=src coherence=metadata plane=encoded max-frames={} {line}", units.len());
    common::init();
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let src = pipeline.by_name("src").unwrap();
    src.set_property("uri", place.uri());
    // It has been running for ten seconds, so that what was captured five seconds ago has a time in it.
    let clock = gst::SystemClock::obtain();
    pipeline.use_clock(Some(&clock));
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(clock.time() - gst::ClockTime::from_seconds(10));
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    let began = common::unix_now() - 5_000_000_000;
    let stat = |name: &str| src.property::<gst::Structure>("stats").get::<u64>(name).unwrap();
    for (unit, frame_id) in units.iter().zip(0..) {
        let timestamp_ns = began + u64::from(frame_id) * 33_333_333;
        shot(unit).write(&producer, frame_id, timestamp_ns);
        producer.announce(frame_id, timestamp_ns);
        until("the unit was pushed or waits", || stat("frames-received") == u64::from(frame_id) + 1);
    }
    let timeout = gst::ClockTime::try_from(common::PATIENCE).unwrap();
    let ended = pipeline.bus().unwrap().timed_pop_filtered(timeout, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(ended.as_ref().is_some_and(|message| message.type_() == gst::MessageType::Eos), "{ended:?}");
}

#[test]
fn units_go_into_mp4_without_being_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, parser, name) in [(Codec::H264, "h264parse", "avdec_h264"), (Codec::H265, "h265parse", "avdec_h265")] {
        let units = encode(codec, WIDTH, HEIGHT, 12, GOP);
        let file = folder.path().join(format!("{parser}.mp4"));
        play_line(&format!("! {parser} ! mp4mux ! filesink location={}", file.display()), &units);
        let description = format!(
            "filesrc location={} ! qtdemux ! {parser} ! {name} ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false",
            file.display()
        );
        let pictures = common::planes::run(&description, None);
        let pictures = pictures.iter().map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec());
        let sent = units.into_iter().map(|unit| unit.data).collect::<Vec<_>>();
        assert!(pictures.collect::<Vec<_>>() == decode(codec, &sent), "{parser}");
    }
}

#[test]
fn units_go_into_rtp_without_being_encoded_again() {
    let units = encode(Codec::H264, WIDTH, HEIGHT, 12, GOP);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("units.h264");
    let line = format!(
        "! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency ! rtph264depay ! h264parse \
         ! video/x-h264,stream-format=byte-stream,alignment=au ! filesink location={}",
        file.display()
    );
    play_line(&line, &units);
    let received = std::fs::read(file).unwrap();
    let sent = units.into_iter().map(|unit| unit.data).collect::<Vec<_>>();
    assert!(decode(Codec::H264, &[received]) == decode(Codec::H264, &sent));
}
