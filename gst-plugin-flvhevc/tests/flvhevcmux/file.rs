//! `streamable=false`: duration, file size and keyframes stand in the first onMetaData when the file ends.

use crate::{
    ffmpeg,
    flv::{Amf, Packet, Tag, read_file},
    input::{DELTA, KEY, at, frame, ms, pull_tag, skip_headers, stat, video_harness, watch_bus},
    pipeline::{Pipeline, X264, X265, X265_B, picture, run},
};
use gst::prelude::*;
use std::{collections::BTreeMap, path::Path};

type Properties = BTreeMap<String, Amf>;

fn first_metadata(tags: &[Tag]) -> Properties {
    match tags[0].packet() {
        Packet::Metadata(properties) => properties,
        other => panic!("{other:?} in place of onMetaData"),
    }
}

fn number(properties: &Properties, key: &str) -> f64 {
    match properties[key] {
        Amf::Number(number) => number,
        ref other => panic!("{key} is {other:?}"),
    }
}

/// Times and places of the index.
fn index(properties: &Properties) -> Vec<(f64, u64)> {
    let Amf::Object(keyframes) = &properties["keyframes"] else {
        panic!("keyframes is no object");
    };
    let list = |key: &str| match &keyframes[key] {
        Amf::List(list) => list.clone().into_iter().map(|entry| match entry {
            Amf::Number(number) => number,
            other => panic!("{other:?} in a list"),
        }),
        other => panic!("{key} is {other:?}"),
    };
    list("times").zip(list("filepositions").map(|place| place as u64)).collect()
}

/// Where tags begin in the file.
fn places(tags: &[Tag]) -> Vec<u64> {
    tags.iter()
        .scan(13, |next, tag| {
            let place = *next;
            *next += tag.body.len() as u64 + 15;
            Some(place)
        })
        .collect()
}

/// Writes a file that is no stream.
fn write(encoder: &str, packaging: &str, frames: u32, more: &str, file: &Path) -> Vec<Tag> {
    run(&format!(
        "flvhevcmux name=mux streamable=false hevc-packaging={packaging} ! filesink location={} {} ! {encoder} ! queue ! mux.video {more}",
        file.display(),
        picture(frames)
    ));
    read_file(&std::fs::read(file).unwrap()).1
}

#[test]
fn a_file_knows_its_length_and_its_keyframes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.flv");
    let sound = "audiotestsrc num-buffers=48 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! queue ! mux.audio";
    for (encoder, packaging, more) in
        [(X264, "enhanced", ""), (X265, "enhanced", sound), (X265, "domestic", ""), (X265_B, "enhanced", "")]
    {
        let tags = write(encoder, packaging, 50, more, &file);
        let properties = first_metadata(&tags);
        assert_eq!(number(&properties, "filesize"), std::fs::metadata(&file).unwrap().len() as f64);
        let start = tags.iter().find_map(|tag| match tag.packet() {
            Packet::Video { cts, .. } => Some(tag.timestamp as f64 + f64::from(cts.unwrap_or(0))),
            _ => None,
        });
        let length = (start.unwrap() + 2_000.0) / 1_000.0;
        assert!((number(&properties, "duration") - length).abs() < 0.0015, "{properties:?}, not {length}");

        let expected: Vec<_> = tags
            .iter()
            .zip(places(&tags))
            .filter_map(|(tag, place)| match tag.packet() {
                Packet::Video { key: true, cts, .. } => {
                    Some((f64::from(tag.timestamp as i32 + cts.unwrap_or(0)) / 1000.0, place))
                }
                _ => None,
            })
            .collect();
        assert!(expected.len() >= 5, "{expected:?}");
        assert_eq!(index(&properties), expected);
        // Readers take it.
        assert_eq!(ffmpeg::decode(&file), 50, "{encoder}, {packaging}");
        let said = ffmpeg::describe(&file);
        let seconds = if length > 2.0 {
            format!("Duration: 00:00:02.{:02}", (length * 100.0).round() as u32 % 100)
        } else {
            "Duration: 00:00:02.00".to_owned()
        };
        assert!(said.contains(&seconds), "no {seconds} in {said}");
    }
}

/// But for what is told of the file, it is the stream.
#[test]
fn the_rest_is_as_in_a_stream() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.flv");
    let of_file = write(X264, "enhanced", 10, "", &file);
    let stream = run(&format!("{} ! {X264} ! flvhevcmux name=mux ! fakesink", picture(10))).tags();
    assert!(of_file[1..] == stream[1..]);
    let (mut ours, theirs) = (first_metadata(&of_file), first_metadata(&stream));
    for key in ["duration", "filesize", "keyframes", "padding"] {
        assert!(ours.remove(key).is_some(), "{key}");
        assert!(!theirs.contains_key(key), "{key}");
    }
    assert_eq!(ours, theirs);
}

/// FFmpeg seeks by the index.
#[test]
fn ffmpeg_seeks_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.flv");
    let tags = write(X264, "enhanced", 250, "", &file);
    let keyframes = index(&first_metadata(&tags));
    assert_eq!(keyframes.len(), 25);
    let read = ffmpeg::read_from(&file, "8.0");
    // The keyframe at or before 8 s.
    assert_eq!((read[0].pts, read.len()), (8_000, 50));
}

/// A file whose writer was killed is read as a stream.
#[test]
fn ffmpeg_reads_a_file_without_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.flv");
    let recording = run(&format!("{} ! {X264} ! flvhevcmux name=mux streamable=false ! fakesink", picture(25)));
    std::fs::write(&file, recording.bytes()).unwrap();
    assert!(index(&first_metadata(&recording.tags())).is_empty());
    assert_eq!(ffmpeg::decode(&file), 25);
}

#[test]
fn a_sink_that_cannot_seek_is_told() {
    let mut harness = video_harness();
    let mux = harness.element().unwrap();
    mux.set_property("streamable", false);
    let bus = watch_bus(&mux);
    harness.push(at(KEY, 0)).unwrap();
    harness.push(at(DELTA, 40)).unwrap();
    harness.push_event(gst::event::Eos::new());
    skip_headers(&mut harness, 1);
    for _ in 0..2 {
        pull_tag(&mut harness);
    }
    assert!(matches!(pull_tag(&mut harness).packet(), Packet::End { .. }));
    let warning = bus.timed_pop_filtered(crate::pipeline::PATIENCE, &[gst::MessageType::Warning]).expect("a warning");
    assert!(format!("{warning:?}").contains("cannot seek"), "{warning:?}");
    assert!(harness.try_pull().is_none());
}

#[test]
fn a_file_is_written_anew_in_every_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.flv");
    let pipeline = Pipeline::new(&format!(
        "{} ! {X264} ! flvhevcmux name=mux streamable=false ! filesink location={}",
        picture(5),
        file.display()
    ));
    for _ in 0..2 {
        pipeline.play();
        pipeline.wait_for_end().unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let (_, tags) = read_file(&bytes);
        assert_eq!(number(&first_metadata(&tags), "filesize"), bytes.len() as f64);
        assert_eq!(index(&first_metadata(&tags)).len(), 1);
    }
}

/// Two streams of which one runs behind: what comes after its turn is moved up, or dropped until the next keyframe.
#[test]
fn what_goes_backwards_is_skipped_on_demand() {
    for (skip, expected) in [(false, vec![0, 80, 80, 80, 120]), (true, vec![0, 80, 120])] {
        let mut harness = video_harness();
        let mux = harness.element().unwrap();
        mux.set_property("skip-backwards-streams", skip);
        for (data, time) in [(KEY, 0), (DELTA, 80), (DELTA, 40), (DELTA, 80), (KEY, 120)] {
            harness.push(frame(data, ms(time), ms(time + 40))).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        skip_headers(&mut harness, 1);
        let mut times = Vec::new();
        loop {
            let tag = pull_tag(&mut harness);
            match tag.packet() {
                Packet::Video { .. } => times.push(tag.timestamp),
                _ => break,
            }
        }
        assert_eq!(times, expected);
        assert_eq!(stat(&mux, "dropped-backwards"), u64::from(skip));
        assert_eq!(stat(&mux, "timestamps-raised"), u64::from(!skip));
    }
}
