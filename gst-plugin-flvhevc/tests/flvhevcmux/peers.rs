//! Other people's readers agree about what is in the files.

use crate::{
    ffmpeg::{self, Read},
    pipeline::{Pipeline, Recording, Sent, X264, X264_B, X265, X265_B, picture, run},
};
use gst::prelude::*;
use std::path::Path;

const SOUND: &str = "audiotestsrc num-buffers=48 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! queue ! mux.audio";

fn record(muxer: &str, branches: &str, file: &Path) -> Recording {
    run(&format!("{muxer} name=mux ! filesink location={} {branches}", file.display()))
}

fn floor(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

fn expected(sent: &[Sent], base: i64) -> Vec<Read> {
    sent.iter()
        .map(|frame| Read {
            dts: floor(frame.dts) - base,
            pts: floor(frame.pts as i64) - base,
            size: frame.data.len(),
            checksum: ffmpeg::checksum(&frame.data),
        })
        .collect()
}

#[test]
fn ffmpeg_reads_every_kind_of_stream() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stream.flv");
    for encoder in [X264, X264_B, X265, X265_B] {
        for packaging in ["enhanced", "domestic"] {
            let recording = record(
                &format!("flvhevcmux hevc-packaging={packaging}"),
                &format!("{} ! {encoder} ! mux.video", picture(25)),
                &file,
            );
            let base = floor(recording.video[0].dts);
            assert_eq!(recording.video.len(), 25);
            assert_eq!(ffmpeg::read(&file, "v"), expected(&recording.video, base));
            assert_eq!(ffmpeg::decode(&file), 25, "{encoder}, {packaging}");
        }
    }
}

#[test]
fn ffmpeg_reads_sound_beside_the_picture() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stream.flv");
    for (encoder, packaging) in [(X264, "enhanced"), (X265_B, "enhanced"), (X265, "domestic")] {
        let recording = record(
            &format!("flvhevcmux hevc-packaging={packaging}"),
            &format!("{} ! {encoder} ! queue ! mux.video {SOUND}", picture(25)),
            &file,
        );
        let base = floor(recording.video[0].dts.min(recording.audio[0].dts));
        assert_eq!(ffmpeg::read(&file, "v"), expected(&recording.video, base));
        assert_eq!(ffmpeg::read(&file, "a"), expected(&recording.audio, base));
        assert_eq!(ffmpeg::decode(&file), 25);
    }
}

/// GStreamer's own demuxer, of any version, reads H.264 with AAC.
#[test]
fn flvdemux_reads_h264_with_aac() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stream.flv");
    let branches = format!("{} ! {X264_B} ! queue ! mux.video {SOUND}", picture(25));
    let recording = record("flvhevcmux", &branches, &file);
    let base = floor(recording.video[0].dts.min(recording.audio[0].dts));

    let pipeline = Pipeline::new(&format!(
        "filesrc location={} ! flvdemux name=demux \
         demux.video ! queue ! fakesink name=video sync=false demux.audio ! queue ! fakesink name=audio sync=false",
        file.display()
    ));
    let (found, frames) = std::sync::mpsc::channel();
    for kind in ["video", "audio"] {
        let found = found.clone();
        let pad = pipeline.element(kind).static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().unwrap();
            let data = buffer.map_readable().unwrap().to_vec();
            found.send((kind, buffer.pts().unwrap().mseconds(), data)).unwrap();
            gst::PadProbeReturn::Ok
        });
    }
    drop(found);
    pipeline.play();
    pipeline.wait_for_end().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let frames: Vec<_> = frames.try_iter().collect();
    for (kind, sent) in [("video", &recording.video), ("audio", &recording.audio)] {
        let expected: Vec<_> =
            sent.iter().map(|frame| (kind, (floor(frame.pts as i64) - base) as u64, frame.data.clone())).collect();
        let read: Vec<_> = frames.iter().filter(|frame| frame.0 == kind).cloned().collect();
        assert!(read == expected, "{kind}: {} of {} frames", read.len(), expected.len());
    }
}
