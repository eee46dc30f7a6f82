//! The end of a stream: an end of sequence for each video track, in the form of its packaging, which readers take.

use crate::{
    ffmpeg,
    flv::{Codec, Packet, read_file},
    pipeline::{X264, X265, picture, run},
};

#[test]
fn every_packaging_has_its_end_of_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stream.flv");
    for (encoder, packaging, codec, body) in [
        (X264, "enhanced", Codec::Avc, b"\x17\x02\0\0\0"),
        (X265, "enhanced", Codec::Hvc1, b"\xA2hvc1"),
        (X265, "domestic", Codec::Domestic, b"\x1C\x02\0\0\0"),
    ] {
        run(&format!(
            "{} ! {encoder} ! flvhevcmux name=mux hevc-packaging={packaging} ! filesink location={}",
            picture(25),
            file.display()
        ));
        let (_, tags) = read_file(&std::fs::read(&file).unwrap());
        let last = tags.last().unwrap();
        assert_eq!((last.packet(), last.body.as_slice()), (Packet::End { codec, track: 0 }, &body[..]));
        assert_eq!(tags.iter().filter(|tag| matches!(tag.packet(), Packet::End { .. })).count(), 1);
        // FFmpeg says nothing about it, and it is no frame.
        assert_eq!(ffmpeg::read(&file, "v").len(), 25, "{codec:?}");
        assert_eq!(ffmpeg::decode(&file), 25, "{codec:?}");
    }
}

#[test]
fn sound_alone_has_none() {
    let recording = run("audiotestsrc num-buffers=20 ! avenc_aac ! aacparse ! flvhevcmux name=mux ! fakesink");
    assert!(recording.tags().iter().all(|tag| tag.kind != 9));
}
