//! The bytes of each kind of stream, made by real encoders.

use crate::{
    flv::{Amf, Codec, Packet},
    pipeline::{Recording, X264, X264_B, X265, X265_B, picture, run, stream_headers},
};
use std::collections::BTreeMap;

fn metadata(recording: &Recording) -> BTreeMap<String, Amf> {
    match recording.tags().remove(0).packet() {
        Packet::Metadata(metadata) => metadata,
        other => panic!("{other:?} in place of onMetaData"),
    }
}

/// Every access unit comes out whole, in order, with its times and kind.
fn check_video(recording: &Recording, codec: Codec, codec_id: f64) {
    let expected: BTreeMap<_, _> = [
        ("width", Amf::Number(320.0)),
        ("height", Amf::Number(240.0)),
        ("framerate", Amf::Number(25.0)),
        ("videocodecid", Amf::Number(codec_id)),
        ("encoder", Amf::Text(format!("flvhevcmux {}", env!("CARGO_PKG_VERSION")))),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    assert_eq!(metadata(recording), expected);

    let tags = recording.tags();
    let Packet::VideoHeader { codec: found, track: 0, record } = tags[1].packet() else {
        panic!("no sequence header");
    };
    assert_eq!(found, codec);
    assert_eq!(record[0], 1);

    assert_eq!(tags.len(), recording.video.len() + 3);
    let floor = |ns: i64| ns.div_euclid(1_000_000);
    let base = floor(recording.video[0].dts);
    for (tag, sent) in tags[2..].iter().zip(&recording.video) {
        let Packet::Video { codec: found, track: 0, key, cts, nanoseconds: 0, data } = tag.packet() else {
            panic!("{tag:?} in place of a frame");
        };
        assert_eq!(found, codec);
        assert_eq!(data, sent.data);
        assert_eq!(key, !sent.delta);
        assert_eq!(i64::from(tag.timestamp), floor(sent.dts) - base);
        let expected_cts = floor(sent.pts as i64) - floor(sent.dts);
        assert_eq!(i64::from(cts.unwrap_or(0)), expected_cts);
    }

    let last = &tags[tags.len() - 1];
    assert_eq!(last.packet(), Packet::End { codec, track: 0 });
    assert_eq!(last.timestamp, tags[tags.len() - 2].timestamp);
    let last = &recording.buffers[recording.buffers.len() - 1];
    assert!(last.flags().contains(gst::BufferFlags::DELTA_UNIT) && !last.flags().contains(gst::BufferFlags::HEADER));

    // The first buffers are the headers, and caps hold the same.
    assert_eq!(recording.caps.len(), 1);
    let headers = stream_headers(&recording.caps[0]);
    assert_eq!(headers.len(), 3);
    for (position, buffer) in recording.buffers[..recording.buffers.len() - 1].iter().enumerate() {
        let flags = buffer.flags();
        assert_eq!(flags.contains(gst::BufferFlags::HEADER), position < 3);
        if let Some(header) = headers.get(position) {
            let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
            assert_eq!(bytes(header), bytes(buffer));
            assert!(header.flags().contains(gst::BufferFlags::HEADER));
        } else {
            let sent = &recording.video[position - 3];
            assert_eq!(flags.contains(gst::BufferFlags::DELTA_UNIT), sent.delta);
            assert_eq!(buffer.pts().unwrap().nseconds(), sent.pts);
            assert_eq!(buffer.dts().unwrap().nseconds(), sent.dts.max(0) as u64);
            assert!(buffer.duration().is_some());
        }
    }
}

fn mux_video(encoder: &str, packaging: &str) -> Recording {
    run(&format!("{} ! {encoder} ! flvhevcmux name=mux hevc-packaging={packaging} ! fakesink", picture(25)))
}

fn composition_times(recording: &Recording) -> Vec<Option<i32>> {
    let packets = recording.tags().into_iter().map(|tag| tag.packet());
    packets
        .filter_map(|packet| match packet {
            Packet::Video { cts, .. } => Some(cts),
            _ => None,
        })
        .collect()
}

#[test]
fn h264_is_codec_7_in_both_packagings() {
    for packaging in ["enhanced", "domestic"] {
        check_video(&mux_video(X264, packaging), Codec::Avc, 7.0);
    }
}

#[test]
fn enhanced_h265_is_hvc1() {
    let recording = mux_video(X265, "enhanced");
    check_video(&recording, Codec::Hvc1, 1_752_589_105.0);
    assert_eq!(recording.buffers.len(), 3 + 25 + 1);
    assert!(composition_times(&recording).iter().all(Option::is_none));
}

#[test]
fn domestic_h265_is_codec_12() {
    let recording = mux_video(X265, "domestic");
    check_video(&recording, Codec::Domestic, 12.0);
    assert_eq!(recording.buffers.len(), 3 + 25 + 1);
}

#[test]
fn reordered_frames_carry_composition_times() {
    for (encoder, packaging, codec, codec_id) in [
        (X264_B, "enhanced", Codec::Avc, 7.0),
        (X265_B, "enhanced", Codec::Hvc1, 1_752_589_105.0),
        (X265_B, "domestic", Codec::Domestic, 12.0),
    ] {
        let recording = mux_video(encoder, packaging);
        check_video(&recording, codec, codec_id);
        let times = composition_times(&recording);
        assert!(
            times.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() > 1,
            "{encoder} does reorder: {times:?}"
        );
    }
}

#[test]
fn sound_and_picture_interleave_by_decode_time() {
    let recording = run(&format!(
        "flvhevcmux name=mux ! fakesink \
         {} ! {X265} ! queue ! mux.video \
         audiotestsrc num-buffers=48 ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse ! queue ! mux.audio",
        picture(25)
    ));
    let header = recording.buffers[0].map_readable().unwrap();
    assert_eq!(crate::flv::read_file_header(&header), 5);
    let metadata = metadata(&recording);
    assert_eq!(metadata["audiocodecid"], Amf::Number(10.0));
    assert_eq!(metadata["audiosamplerate"], Amf::Number(48_000.0));
    assert_eq!(metadata["audiosamplesize"], Amf::Number(16.0));
    assert_eq!(metadata["stereo"], Amf::Boolean(true));
    assert_eq!(metadata.len(), 9);

    let tags = recording.tags();
    assert!(matches!(tags[1].packet(), Packet::VideoHeader { .. }));
    let Packet::AudioHeader(config) = tags[2].packet() else {
        panic!("no audio header");
    };
    assert_eq!(config[..2], [0x11, 0x90], "AAC-LC, 48 kHz, stereo");
    assert_eq!(tags.len(), 3 + recording.video.len() + recording.audio.len() + 1);
    for pair in tags.windows(2) {
        assert!(pair[0].timestamp <= pair[1].timestamp);
    }
    let base = recording.video[0].dts.min(recording.audio[0].dts) / 1_000_000;
    let mut sent = recording.audio.iter();
    for (tag, buffer) in tags[3..].iter().zip(&recording.buffers[4..]) {
        if let Packet::Audio(data) = tag.packet() {
            // Nobody can start reading a stream with a picture at its sound.
            assert!(buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
            let sent = sent.next().unwrap();
            assert_eq!(data, sent.data);
            assert_eq!(i64::from(tag.timestamp), sent.pts as i64 / 1_000_000 - base);
        }
    }
    assert_eq!(sent.next(), None);
}

#[test]
fn sound_alone() {
    let recording = run("audiotestsrc num-buffers=20 ! avenc_aac ! aacparse ! flvhevcmux name=mux ! fakesink");
    let header = recording.buffers[0].map_readable().unwrap();
    assert_eq!(crate::flv::read_file_header(&header), 4);
    assert!(!metadata(&recording).contains_key("videocodecid"));
    let delta = gst::BufferFlags::DELTA_UNIT;
    assert!(recording.buffers.iter().all(|buffer| !buffer.flags().contains(delta)));
    assert_eq!(recording.tags().len(), 2 + recording.audio.len());
}
