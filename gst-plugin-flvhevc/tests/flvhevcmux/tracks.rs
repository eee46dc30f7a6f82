//! Further video tracks, and timestamps to the nanosecond, of Enhanced RTMP v2.

use crate::{
    ffmpeg,
    flv::{Amf, Codec, Packet, Tag, read_file},
    input::{
        AVCC, DELTA, HVCC, KEY, at, avc_caps, frame, hevc_caps, ms, pull_tag, skip_headers, stat, video_harness,
        watch_bus,
    },
    pipeline::{Sent, X264, X265, picture, run},
};
use gst::prelude::*;
use gst_check::Harness;

const SECOND: &str =
    "videotestsrc pattern=ball num-buffers=25 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";

fn track_of(tag: &Tag) -> Option<u8> {
    match tag.packet() {
        Packet::VideoHeader { track, .. } | Packet::Video { track, .. } | Packet::End { track, .. } => Some(track),
        _ => None,
    }
}

/// Frames of a track as they went into the stream.
fn frames(tags: &[Tag], wanted: u8) -> Vec<(Codec, u32, Vec<u8>)> {
    let frame = |tag: &Tag| match tag.packet() {
        Packet::Video { codec, track, data, .. } if track == wanted => Some((codec, tag.timestamp, data)),
        _ => None,
    };
    tags.iter().filter_map(frame).collect()
}

#[test]
fn two_tracks_go_into_one_stream_and_ffmpeg_decodes_both() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tracks.flv");
    for (first, first_codec, second, second_codec) in [
        (X264, Codec::Avc, X264, Codec::Avc1),
        (X265, Codec::Hvc1, X265, Codec::Hvc1),
        (X265, Codec::Hvc1, X264, Codec::Avc1),
    ] {
        run(&format!(
            "flvhevcmux name=mux ! filesink location={} {} ! {first} ! queue ! mux.video {SECOND} ! {second} ! queue ! mux.video_1",
            file.display(),
            picture(25)
        ));
        let (flags, tags) = read_file(&std::fs::read(&file).unwrap());
        assert_eq!(flags, 1);
        let Packet::Metadata(words) = tags[0].packet() else {
            panic!("no onMetaData");
        };
        assert_eq!(words["width"], Amf::Number(320.0), "the first track stands at the top");
        let Amf::Object(tracks) = &words["videoTrackIdInfoMap"] else {
            panic!("no map of tracks in {words:?}");
        };
        let Amf::Object(second_words) = &tracks["1"] else {
            panic!("no track 1 in {tracks:?}");
        };
        let four_cc = u32::from_be_bytes(if second_codec == Codec::Avc1 { *b"avc1" } else { *b"hvc1" });
        assert_eq!(tracks.len(), 1);
        assert_eq!(second_words["width"], Amf::Number(160.0));
        assert_eq!(second_words["videocodecid"], Amf::Number(four_cc.into()));

        assert_eq!(tags[1..3].iter().map(track_of).collect::<Vec<_>>(), [Some(0), Some(1)], "sequence headers");
        let ends = tags.iter().filter(|tag| matches!(tag.packet(), Packet::End { .. })).map(track_of);
        assert_eq!(ends.collect::<Vec<_>>(), [Some(0), Some(1)]);
        for (track, codec) in [(0, first_codec), (1, second_codec)] {
            let sent = frames(&tags, track);
            assert_eq!(sent.len(), 25);
            assert!(sent.iter().all(|frame| frame.0 == codec));
            let stream = format!("v:{track}");
            let read = ffmpeg::read_stream(&file, &stream);
            let read: Vec<_> = read.iter().map(|frame| (frame.dts, frame.size, frame.checksum)).collect();
            let expected: Vec<_> =
                sent.iter().map(|(_, time, data)| (i64::from(*time), data.len(), ffmpeg::checksum(data))).collect();
            assert_eq!(read, expected, "{stream} of {first_codec:?} and {second_codec:?}");
            assert_eq!(ffmpeg::decode_stream(&file, &stream), 25);
        }
        let said = ffmpeg::describe(&file);
        assert_eq!(said.matches("Video:").count(), 2, "{said}");
    }
}

/// Whoever knows no tracks finds what it would have found without them.
#[test]
fn the_first_track_is_written_as_if_alone() {
    let recording = run(&format!(
        "flvhevcmux name=mux ! fakesink {} ! {X265} ! queue ! mux.video {SECOND} ! {X265} ! queue ! mux.video_1",
        picture(25)
    ));
    let alone = run(&format!("{} ! {X265} ! flvhevcmux name=mux ! fakesink", picture(25)));
    let of_first: Vec<_> = recording.tags().into_iter().filter(|tag| track_of(tag) == Some(0)).collect();
    assert!(of_first == alone.tags()[1..], "the same bytes at the same times");
    // Reading starts at its keyframes, not at those of the other track.
    for (tag, buffer) in recording.tags().iter().zip(&recording.buffers[1..]) {
        if let Packet::Video { track, key, .. } = tag.packet() {
            let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            assert_eq!(delta, !(key && track == 0));
        }
    }
}

/// A muxer with two video pads under a test clock.
fn two_tracks() -> (Harness, Harness) {
    let mut first = video_harness();
    first.play();
    let mut second = Harness::with_element(&first.element().unwrap(), Some("video_1"), None);
    second.set_src_caps(hevc_caps(&HVCC));
    (first, second)
}

#[test]
fn a_track_that_joins_late_brings_its_header_and_leaves_the_first_alone() {
    let (mut first, mut second) = two_tracks();
    first.push(at(KEY, 0)).unwrap();
    second.push(at(DELTA, 0)).unwrap();
    skip_headers(&mut first, 1);
    // Known by then or not: its caps came before the first frame was taken.
    let mut tags = Vec::new();
    second.push(at(DELTA, 40)).unwrap();
    first.push(at(DELTA, 40)).unwrap();
    second.push(at(KEY, 80)).unwrap();
    first.push(at(DELTA, 80)).unwrap();
    second.push(at(DELTA, 120)).unwrap();
    first.push(at(DELTA, 120)).unwrap();
    first.push_event(gst::event::Eos::new());
    second.push_event(gst::event::Eos::new());
    while tags.iter().filter(|tag: &&Tag| matches!(tag.packet(), Packet::End { .. })).count() < 2 {
        tags.push(pull_tag(&mut first));
    }
    let times = |track| frames(&tags, track).into_iter().map(|frame| frame.1).collect::<Vec<_>>();
    assert_eq!(times(0), [0, 40, 80, 120]);
    assert_eq!(times(1), [80, 120], "from its keyframe on");
    assert_eq!(stat(&first.element().unwrap(), "dropped-before-keyframe"), 2);
    let asked = |harness: &mut Harness| {
        std::iter::from_fn(|| harness.try_pull_upstream_event())
            .filter(|event| event.has_name("GstForceKeyUnit"))
            .count()
    };
    assert_eq!((asked(&mut first), asked(&mut second)), (0, 1), "the one that lacks it is asked");
}

#[test]
fn codec_id_12_has_one_track() {
    crate::init();
    let mut harness = Harness::with_padnames("flvhevcmux", Some("video_1"), Some("src"));
    let mux = harness.element().unwrap();
    mux.set_property_from_str("hevc-packaging", "domestic");
    let bus = watch_bus(&mux);
    harness.set_src_caps(hevc_caps(&HVCC));
    let _ = harness.push(at(KEY, 0));
    let error = bus.timed_pop_filtered(crate::pipeline::PATIENCE, &[gst::MessageType::Error]).expect("an error");
    assert!(format!("{error:?}").contains("hevc-packaging=enhanced"), "{error:?}");
}

#[test]
fn further_pads_are_numbered() {
    crate::init();
    let mux = gst::ElementFactory::make("flvhevcmux").build().unwrap();
    let template = mux.pad_template("video_%u").unwrap();
    let names: Vec<_> = (0..2).map(|_| mux.request_pad(&template, None, None).unwrap().name().to_string()).collect();
    assert_eq!(names, ["video_1", "video_2"]);
    assert_eq!(mux.request_pad_simple("video_7").unwrap().name(), "video_7");
    for bad in ["video_0", "video_256"] {
        assert!(mux.request_pad(&template, Some(bad), None).is_none(), "{bad}");
    }
    mux.release_request_pad(&mux.static_pad("video_1").unwrap());
    assert_eq!(mux.request_pad(&template, None, None).unwrap().name(), "video_1");
}

/// Running time in nanoseconds of what is presented, by what tags say.
fn presented(tags: &[Tag]) -> Vec<u64> {
    let time = |tag: &Tag| match tag.packet() {
        Packet::Video { cts, nanoseconds, .. } => {
            Some((i64::from(tag.timestamp) + i64::from(cts.unwrap_or(0))) as u64 * 1_000_000 + u64::from(nanoseconds))
        }
        _ => None,
    };
    tags.iter().filter_map(time).collect()
}

#[test]
fn presentation_times_survive_to_the_nanosecond() {
    let sent = |sent: &[Sent]| sent.iter().map(|frame| frame.pts).collect::<Vec<_>>();
    let thirds = "video/x-raw,format=I420,width=160,height=120,framerate=30/1";
    let pipeline = |on| {
        format!(
            "videotestsrc num-buffers=30 ! {thirds} ! {X265} ! flvhevcmux name=mux nanosecond-timestamps={on} ! fakesink"
        )
    };
    let recording = run(&pipeline(true));
    let base = recording.video[0].dts as u64 / 1_000_000 * 1_000_000;
    let expected: Vec<_> = sent(&recording.video).iter().map(|pts| pts - base).collect();
    assert!(expected.iter().any(|time| time % 1_000_000 != 0), "there is something to tell: {expected:?}");
    assert_eq!(presented(&recording.tags()), expected);
    // Off by default; the messages' own timestamps are the same.
    let plain = run(&pipeline(false));
    assert!(plain.tags().iter().all(|tag| !matches!(tag.packet(), Packet::Video { nanoseconds: 1.., .. })));
    let times = |tags: Vec<Tag>| tags.iter().map(|tag| tag.timestamp).collect::<Vec<_>>();
    assert_eq!(times(plain.tags()), times(recording.tags()));
}

/// A server's wish comes when the stream is already under way.
#[test]
fn nanoseconds_can_be_switched_on_while_playing_and_codec_ids_have_none() {
    let ns = gst::ClockTime::from_nseconds;
    let mut harness = video_harness();
    let mux = harness.element().unwrap();
    let nanoseconds = |harness: &mut Harness| match pull_tag(harness).packet() {
        Packet::Video { nanoseconds, .. } => nanoseconds,
        other => panic!("{other:?} in place of a frame"),
    };
    harness.push(frame(KEY, ns(0), ns(0))).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!(nanoseconds(&mut harness), 0);
    harness.push(frame(DELTA, ns(33_333_333), ns(66_666_667))).unwrap();
    assert_eq!(nanoseconds(&mut harness), 0);
    mux.set_property("nanosecond-timestamps", true);
    harness.push(frame(DELTA, ns(66_666_667), ns(100_000_001))).unwrap();
    assert_eq!(nanoseconds(&mut harness), 1);

    crate::init();
    let mut harness = Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
    harness.element().unwrap().set_property("nanosecond-timestamps", true);
    harness.set_src_caps(avc_caps(&AVCC));
    harness.push(frame(&[0, 0, 0, 2, 0x65, 0x88], ns(333), ns(333))).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!(nanoseconds(&mut harness), 0, "H.264 is codec-id 7");
}

/// FFmpeg reads frames behind a ModEx, of the first track and of others.
#[test]
fn ffmpeg_reads_tracks_with_nanoseconds() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nano.flv");
    let raw = "video/x-raw,format=I420,width=160,height=120,framerate=30/1";
    run(&format!(
        "flvhevcmux name=mux nanosecond-timestamps=true ! filesink location={} \
         videotestsrc num-buffers=30 ! {raw} ! {X265} ! queue ! mux.video \
         videotestsrc num-buffers=30 ! {raw} ! {X264} ! queue ! mux.video_1",
        file.display(),
    ));
    let (_, tags) = read_file(&std::fs::read(&file).unwrap());
    let told = tags.iter().filter(|tag| matches!(tag.packet(), Packet::Video { nanoseconds: 1.., .. })).count();
    assert!(told >= 38, "{told} of 60");
    for stream in ["v:0", "v:1"] {
        assert_eq!(ffmpeg::decode_stream(&file, stream), 30, "{stream}");
    }
}

#[test]
fn the_packagings_are_part_of_the_plugins_interface() {
    crate::init();
    assert!(gstflvhevc::HevcPackaging::static_type().plugin_api_flags().is_some());
}

/// As harnesses need it: nothing is asked of a pad that is gone.
#[test]
fn a_track_may_go_away() {
    let (mut first, second) = two_tracks();
    first.push(at(KEY, 0)).unwrap();
    drop(second);
    skip_headers(&mut first, 1);
    first.push(frame(DELTA, ms(40), ms(40))).unwrap();
    let tags = std::iter::from_fn(|| Some(pull_tag(&mut first)));
    let times = tags.filter(|tag| matches!(tag.packet(), Packet::Video { .. })).map(|tag| tag.timestamp);
    assert_eq!(times.take(2).collect::<Vec<_>>(), [0, 40]);
}
