//! What leaves a session for what goes into it.

use super::*;
use crate::flv::{
    avcc, color, hvcc,
    metadata::{AudioInfo, VideoInfo},
    video::VideoFormat,
};

const MS: i64 = 1_000_000;
const BOTH: Declared = Declared { audio: true, video: true };
const KEY: &[u8] = &[0, 0, 0, 3, 19 << 1, 1, 0xAA];
const DELTA: &[u8] = &[0, 0, 0, 3, 1 << 1, 1, 0xAA];

fn at(ms: i64) -> Times {
    Times { dts: Some(ms * MS), pts: Some(ms * MS) }
}

fn hevc(level: u8) -> VideoConfig {
    let mut record = hvcc::tests::RECORD.to_vec();
    record[12] = level;
    VideoConfig {
        info: VideoInfo { format: VideoFormat::EnhancedHevc, width: Some(1280), height: Some(720), frame_rate: None },
        record,
        nal_length_size: 4,
        color: None,
    }
}

fn aac() -> AudioConfig {
    AudioConfig {
        info: AudioInfo { sample_rate: Some(48_000), channels: Some(2) },
        audio_specific_config: vec![0x11, 0x90],
    }
}

fn session() -> Session {
    let mut session = Session::default();
    session.configure_video(0, hevc(93)).unwrap();
    session
}

/// First byte and timestamp of each tag; the file header counts as its first byte and 0.
fn shape(tags: &[Vec<u8>]) -> Vec<(u8, u32)> {
    tags.iter()
        .map(|tag| {
            let time = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
            (tag[0], if tag[0] == b'F' { 0 } else { time })
        })
        .collect()
}

#[test]
fn starts_with_headers_at_a_keyframe() {
    let mut session = session();
    let early = session.video_frame(0, DELTA, true, at(0), BOTH);
    assert_eq!(early.unwrap_err(), Dropped::BeforeKeyframe);
    assert!(session.take_keyframe_request(0));
    session.video_frame(0, DELTA, true, at(40), BOTH).unwrap_err();
    assert!(!session.take_keyframe_request(0), "one request is enough");

    let first = session.video_frame(0, KEY, false, at(80), BOTH).unwrap();
    let headers = first.headers.unwrap();
    assert_eq!(shape(&headers.in_band), [(b'F', 0), (18, 0), (9, 0)]);
    assert_eq!(headers.in_band, headers.stream);
    let second = session.video_frame(0, DELTA, true, at(120), BOTH).unwrap();
    assert!(second.headers.is_none());
    assert!(!second.random_access);
}

#[test]
fn sequence_tags_match_an_independent_vector() {
    // SRS's KernelCodecTest.HevcVideoFormat: 114 bytes of body, PreviousTagSize 0x7D.
    for (format, start) in [(VideoFormat::EnhancedHevc, b"\x90hvc1"), (VideoFormat::DomesticHevc, b"\x1C\0\0\0\0")] {
        let mut config = hevc(93);
        config.info.format = format;
        let mut session = Session::default();
        session.configure_video(0, config).unwrap();
        let frame = session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
        let expected = [b"\x09\0\0\x72\0\0\0\0\0\0\0".as_slice(), start, &hvcc::tests::RECORD, b"\0\0\0\x7D"].concat();
        assert_eq!(frame.headers.unwrap().in_band[2], expected);
    }
}

#[test]
fn new_parameters_wait_for_their_keyframe() {
    let mut session = session();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    session.configure_video(0, hevc(120)).unwrap();
    let delta = session.video_frame(0, DELTA, true, at(40), BOTH).unwrap();
    assert!(delta.headers.is_none());
    assert!(session.take_keyframe_request(0));
    let key = session.video_frame(0, KEY, false, at(80), BOTH).unwrap();
    let headers = key.headers.unwrap();
    assert_eq!(shape(&headers.in_band), [(18, 80), (9, 80)]);
    assert_eq!(shape(&headers.stream), [(b'F', 0), (18, 80), (9, 80)]);
    assert_eq!(headers.in_band[1][11 + 5 + 12], 120, "the new record");
}

#[test]
fn same_parameters_are_not_repeated() {
    let mut session = session();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    session.configure_video(0, hevc(93)).unwrap();
    let key = session.video_frame(0, KEY, false, at(40), BOTH).unwrap();
    assert!(key.headers.is_none());
}

#[test]
fn late_sound_leaves_video_parameters_alone() {
    let mut session = session();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    session.configure_video(0, hevc(120)).unwrap();
    session.configure_audio(aac());
    let sound = session.audio_frame(9, at(20), BOTH).unwrap();
    let headers = sound.headers.unwrap();
    assert_eq!(shape(&headers.in_band), [(18, 20), (8, 20)]);
    assert_eq!(shape(&headers.stream), [(b'F', 0), (18, 20), (9, 20), (8, 20)]);
    assert_eq!(headers.stream[2][11 + 5 + 12], 93, "the record in force");
    let key = session.video_frame(0, KEY, false, at(40), BOTH).unwrap();
    assert_eq!(shape(&key.headers.unwrap().in_band), [(18, 40), (9, 40)], "the audio header is not repeated");
}

#[test]
fn sound_may_start_before_the_keyframe() {
    let mut session = session();
    session.configure_audio(aac());
    let sound = session.audio_frame(9, at(0), BOTH).unwrap();
    assert_eq!(shape(&sound.headers.unwrap().in_band), [(b'F', 0), (18, 0), (9, 0), (8, 0)]);
    let early = session.video_frame(0, DELTA, true, at(20), BOTH);
    assert_eq!(early.unwrap_err(), Dropped::BeforeKeyframe);
    let key = session.video_frame(0, KEY, false, at(40), BOTH).unwrap();
    assert!(key.headers.is_none());
}

#[test]
fn a_dropped_frame_is_followed_by_a_keyframe() {
    let mut session = session();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    let broken = session.video_frame(0, &DELTA[..6], true, at(40), BOTH);
    assert!(matches!(broken, Err(Dropped::Malformed(_))));
    assert!(session.take_keyframe_request(0));
    let next = session.video_frame(0, DELTA, true, at(80), BOTH);
    assert_eq!(next.unwrap_err(), Dropped::BeforeKeyframe);
    let key = session.video_frame(0, KEY, false, at(120), BOTH).unwrap();
    assert!(key.headers.is_none());
}

#[test]
fn frames_beyond_24_bits_are_dropped_whole() {
    let unit = |size: usize| {
        let mut data = vec![0; size];
        data[..4].copy_from_slice(&(size as u32 - 4).to_be_bytes());
        data[4] = 19 << 1;
        data
    };
    let largest = tag::MAX_BODY_SIZE - 5;
    let mut session = session();
    assert!(session.video_frame(0, &unit(largest), false, at(0), BOTH).is_ok());
    let dropped = session.video_frame(0, &unit(largest + 1), false, at(40), BOTH);
    assert_eq!(dropped.unwrap_err(), Dropped::Oversized(BodyTooLarge { size: tag::MAX_BODY_SIZE + 1 }));
    // Three bytes less fit once there is a composition time.
    let shown_later = Times { dts: Some(80 * MS), pts: Some(120 * MS) };
    assert!(matches!(session.video_frame(0, &unit(largest), false, shown_later, BOTH), Err(Dropped::Oversized(_))));
}

#[test]
fn nal_length_size_changes_only_with_a_keyframe() {
    let mut session = session();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    let mut config = hevc(93);
    config.record[21] = 0x0C;
    config.nal_length_size = 1;
    session.configure_video(0, config).unwrap();
    let delta = session.video_frame(0, &DELTA[3..], true, at(40), BOTH);
    assert_eq!(delta.unwrap_err(), Dropped::BeforeKeyframe);
    assert!(session.video_frame(0, &KEY[3..], false, at(80), BOTH).is_ok());
}

#[test]
fn the_codec_stays() {
    let avc = || VideoConfig {
        info: VideoInfo { format: VideoFormat::Avc, ..hevc(93).info },
        record: avcc::tests::RECORD.to_vec(),
        nal_length_size: 4,
        color: None,
    };
    let mut session = session();
    session.configure_video(0, avc()).unwrap();
    session.configure_video(0, hevc(93)).unwrap();
    session.video_frame(0, KEY, false, at(0), BOTH).unwrap();
    assert_eq!(session.configure_video(0, avc()), Err(CodecChange));
}

#[test]
fn removed_sound_comes_back_with_its_header() {
    let mut session = session();
    session.configure_audio(aac());
    session.audio_frame(9, at(0), BOTH).unwrap();
    session.remove_audio();
    session.configure_video(0, hevc(120)).unwrap();
    let key = session.video_frame(0, KEY, false, at(40), BOTH).unwrap();
    assert_eq!(shape(&key.headers.unwrap().stream).len(), 3);
    session.configure_audio(aac());
    let sound = session.audio_frame(9, at(60), BOTH).unwrap();
    assert_eq!(shape(&sound.headers.unwrap().in_band), [(18, 60), (8, 60)]);
}

#[test]
fn frames_without_caps_are_dropped() {
    let mut session = Session::default();
    assert_eq!(session.video_frame(0, KEY, false, at(0), BOTH).unwrap_err(), Dropped::Unconfigured);
    assert_eq!(session.audio_frame(9, at(0), BOTH).unwrap_err(), Dropped::Unconfigured);
}

/// The first byte of each tag's body, and the tag's time.
fn bodies(tags: &[Vec<u8>]) -> Vec<(u8, u32)> {
    tags.iter().filter(|tag| tag[0] != b'F').map(|tag| (tag[11], shape(std::slice::from_ref(tag))[0].1)).collect()
}

#[test]
fn color_is_told_before_its_frames_and_taken_back() {
    let hdr = |level| VideoConfig { color: Some(color::tests::PQ), ..hevc(level) };
    let mut session = Session::default();
    session.configure_video(0, hdr(93)).unwrap();
    let first = session.video_frame(0, KEY, false, at(0), BOTH).unwrap().headers.unwrap();
    assert_eq!(bodies(&first.in_band), [(0x02, 0), (0x90, 0), (0xD4, 0)]);
    assert_eq!(first.in_band, first.stream);

    // A new record alone does not repeat it; who joins is told all.
    session.configure_video(0, hdr(120)).unwrap();
    let second = session.video_frame(0, KEY, false, at(40), BOTH).unwrap().headers.unwrap();
    assert_eq!(bodies(&second.in_band), [(0x02, 40), (0x90, 40)]);
    assert_eq!(bodies(&second.stream), [(0x02, 40), (0x90, 40), (0xD4, 40)]);

    // The same record in plain color: the packet says undefined.
    session.configure_video(0, hevc(120)).unwrap();
    assert!(session.video_frame(0, DELTA, true, at(60), BOTH).unwrap().headers.is_none(), "it waits for the keyframe");
    let third = session.video_frame(0, KEY, false, at(80), BOTH).unwrap().headers.unwrap();
    assert_eq!(bodies(&third.in_band), [(0x02, 80), (0xD4, 80)]);
    assert_eq!(third.in_band[1][16..], *b"\x02\0\x09colorInfo\x06\0\0\0\x1D");
    assert_eq!(bodies(&third.stream), [(0x02, 80), (0x90, 80)]);
    assert!(session.video_frame(0, KEY, false, at(120), BOTH).unwrap().headers.is_none());
}

#[test]
fn color_has_no_packet_in_domestic_mode() {
    let mut config = VideoConfig { color: Some(color::tests::PQ), ..hevc(93) };
    config.info.format = VideoFormat::DomesticHevc;
    let mut session = Session::default();
    session.configure_video(0, config).unwrap();
    let headers = session.video_frame(0, KEY, false, at(0), BOTH).unwrap().headers.unwrap();
    assert_eq!(bodies(&headers.stream), [(0x02, 0), (0x1C, 0)]);
}
