//! What goes into the stream, and when: headers, keyframe starts, drops. The element feeds it and pushes what it answers.

use super::{
    access_unit::{self, AccessUnitError},
    audio::{AAC_FRAME_PREFIX, aac_sequence_header},
    metadata::{self, AudioInfo, VideoInfo},
    tag::{self, BodyTooLarge, TagHead, TagType},
    timeline::{CompositionOutOfRange, Slot, Timeline, Times},
};

/// A stream's decoder configuration, as its caps give it.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoConfig {
    pub info: VideoInfo,
    /// avcC or hvcC.
    pub record: Vec<u8>,
    pub nal_length_size: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AudioConfig {
    pub info: AudioInfo,
    pub audio_specific_config: Vec<u8>,
}

/// Which kinds of stream the element has pads for: what the file header announces.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub audio: bool,
    pub video: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream already carries another video codec, and readers do not follow a change")]
pub struct CodecChange;

/// Tags to send before a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// These open the stream, rather than change it.
    pub first: bool,
    /// What goes into the stream here: everything at its start, later only what changed.
    pub in_band: Vec<Vec<u8>>,
    /// What a reader needs that joins here.
    pub stream: Vec<Vec<u8>>,
}

/// A frame to send: `head`, the payload as it came, `trailer`.
#[derive(Debug)]
pub struct Frame {
    pub headers: Option<Headers>,
    pub head: TagHead,
    pub trailer: [u8; 4],
    /// Reading can start here: a keyframe, or any frame of a stream that is sound alone.
    pub random_access: bool,
    pub raised: bool,
}

/// Why a frame is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    #[error("no keyframe has come yet")]
    BeforeKeyframe,
    #[error(transparent)]
    Oversized(#[from] BodyTooLarge),
    #[error("malformed access unit: {0}")]
    Malformed(#[from] AccessUnitError),
    #[error(transparent)]
    CompositionOutOfRange(#[from] CompositionOutOfRange),
    #[error("its memory cannot be read")]
    Unreadable,
    #[error("its pad has no caps")]
    Unconfigured,
}

/// A stream's configuration as its caps have it, and as readers know it from the last sequence header.
#[derive(Debug)]
struct Track<Config> {
    current: Option<Config>,
    announced: Option<Config>,
}

impl<Config> Default for Track<Config> {
    fn default() -> Self {
        Self { current: None, announced: None }
    }
}

/// One FLV stream from its file header on.
#[derive(Debug)]
pub struct Session {
    video: Track<VideoConfig>,
    audio: Track<AudioConfig>,
    timeline: Timeline,
    started: bool,
    awaits_keyframe: bool,
    /// A keyframe was asked for since the last one came.
    asked: bool,
    ask_now: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            video: Track::default(),
            audio: Track::default(),
            timeline: Timeline::default(),
            started: false,
            awaits_keyframe: true,
            asked: false,
            ask_now: false,
        }
    }
}

impl Session {
    pub fn configure_video(&mut self, config: VideoConfig) -> Result<(), CodecChange> {
        let announced = self.video.announced.as_ref();
        if announced.is_some_and(|old| old.info.format != config.info.format) {
            return Err(CodecChange);
        }
        self.video.current = Some(config);
        Ok(())
    }

    pub fn configure_audio(&mut self, config: AudioConfig) {
        self.audio.current = Some(config);
    }

    pub fn remove_video(&mut self) {
        self.video.current = None;
        self.interrupt_video();
    }

    pub fn remove_audio(&mut self) {
        self.audio.current = None;
    }

    /// The video stream has lost frames: it goes on with a keyframe.
    pub fn interrupt_video(&mut self) {
        self.awaits_keyframe = true;
        self.asked = false;
    }

    /// Running time starts over after a flush.
    pub fn resume(&mut self) {
        self.timeline.resume();
        self.interrupt_video();
    }

    /// How long, in nanoseconds, one stream may have to wait for the other so that they interleave in order: a frame of the slower.
    pub fn interleave_time(&self) -> u64 {
        match (&self.video.current, &self.audio.current) {
            (Some(video), Some(audio)) => video.info.frame_time().max(audio.info.frame_time()).unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether upstream is to be asked for a keyframe now: once in every wait for one.
    pub fn take_keyframe_request(&mut self) -> bool {
        std::mem::take(&mut self.ask_now)
    }

    pub fn video_frame(
        &mut self,
        data: &[u8],
        delta_unit: bool,
        times: Times,
        declared: Declared,
    ) -> Result<Frame, Dropped> {
        let result = self.place_video(data, delta_unit, times, declared);
        match &result {
            Err(Dropped::Unconfigured | Dropped::Unreadable) => (),
            Err(_) => {
                // What follows refers to the dropped frame, directly or not.
                self.awaits_keyframe = true;
                self.want_keyframe();
            }
            Ok(frame) if frame.random_access => {
                self.awaits_keyframe = false;
                self.asked = false;
            }
            Ok(_) if self.has_new_parameters() => self.want_keyframe(),
            Ok(_) => (),
        }
        result
    }

    fn place_video(
        &mut self,
        data: &[u8],
        delta_unit: bool,
        times: Times,
        declared: Declared,
    ) -> Result<Frame, Dropped> {
        let config = self.video.current.as_ref().ok_or(Dropped::Unconfigured)?;
        let format = config.info.format;
        let keyframe = access_unit::is_keyframe(format, config.nal_length_size, data, delta_unit)?;
        if !keyframe {
            // Until the keyframe that brings the new header readers go by the old one, so the framing must be the same.
            let announced = self.video.announced.as_ref();
            let readable = announced.is_some_and(|old| old.nal_length_size == config.nal_length_size);
            if self.awaits_keyframe || !readable {
                return Err(Dropped::BeforeKeyframe);
            }
        }

        let slot = self.timeline.slot(times)?;
        let prefix = format.frame_prefix(keyframe, slot.composition);
        let head = TagHead::new(TagType::Video, slot.timestamp(), prefix.as_ref(), data.len())?;
        let headers = if keyframe && self.has_new_parameters() {
            Some(self.headers(slot.timestamp(), true, declared)?)
        } else {
            None
        };
        let body_size = prefix.as_ref().len() + data.len();
        Ok(self.frame(headers, head, body_size, keyframe, &slot))
    }

    fn has_new_parameters(&self) -> bool {
        fn record(config: &Option<VideoConfig>) -> Option<&[u8]> {
            config.as_ref().map(|config| config.record.as_slice())
        }
        record(&self.video.current) != record(&self.video.announced)
    }

    pub fn audio_frame(&mut self, size: usize, times: Times, declared: Declared) -> Result<Frame, Dropped> {
        let config = self.audio.current.as_ref().ok_or(Dropped::Unconfigured)?;
        let announced = self.audio.announced.as_ref();
        let changed = announced.is_none_or(|old| old.audio_specific_config != config.audio_specific_config);
        // Sound is presented when it is decoded.
        let slot = self.timeline.slot(Times { dts: times.pts.or(times.dts), pts: None })?;
        let head = TagHead::new(TagType::Audio, slot.timestamp(), &AAC_FRAME_PREFIX, size)?;
        let headers = if changed { Some(self.headers(slot.timestamp(), !self.started, declared)?) } else { None };
        let body_size = AAC_FRAME_PREFIX.len() + size;
        Ok(self.frame(headers, head, body_size, !declared.video, &slot))
    }

    fn frame(
        &mut self,
        headers: Option<Headers>,
        head: TagHead,
        body_size: usize,
        random_access: bool,
        slot: &Slot,
    ) -> Frame {
        self.timeline.take(slot);
        Frame { headers, head, trailer: tag::previous_tag_size(body_size), random_access, raised: slot.raised }
    }

    /// Announces the streams anew. New video parameters wait for their keyframe, so only that (or the start) admits them.
    fn headers(&mut self, timestamp: u32, admit_video: bool, declared: Declared) -> Result<Headers, BodyTooLarge> {
        let video = if admit_video { self.video.current.clone() } else { self.video.announced.clone() };
        let audio = self.audio.current.clone();

        let metadata =
            metadata::on_metadata(video.as_ref().map(|config| &config.info), audio.as_ref().map(|config| &config.info));
        let mut headers = Headers { first: !self.started, ..Headers::default() };
        let mut add = |header: Vec<u8>, is_new: bool| {
            if is_new {
                headers.in_band.push(header.clone());
            }
            headers.stream.push(header);
        };
        add(tag::file_header(declared.audio, declared.video).to_vec(), !self.started);
        add(tag::whole_tag(TagType::Script, timestamp, &metadata)?, true);
        if let Some(config) = &video {
            let body = config.info.format.sequence_header(&config.record);
            let announced = self.video.announced.as_ref();
            add(
                tag::whole_tag(TagType::Video, timestamp, &body)?,
                announced.is_none_or(|old| old.record != config.record),
            );
        }
        if let Some(config) = &audio {
            let body = aac_sequence_header(&config.audio_specific_config);
            let announced = self.audio.announced.as_ref();
            add(
                tag::whole_tag(TagType::Audio, timestamp, &body)?,
                announced.is_none_or(|old| old.audio_specific_config != config.audio_specific_config),
            );
        }

        self.video.announced = video;
        self.audio.announced = audio;
        self.started = true;
        Ok(headers)
    }

    fn want_keyframe(&mut self) {
        self.ask_now |= !self.asked;
        self.asked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::{avcc, hvcc, video::VideoFormat};

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
            info: VideoInfo {
                format: VideoFormat::EnhancedHevc,
                width: Some(1280),
                height: Some(720),
                frame_rate: None,
            },
            record,
            nal_length_size: 4,
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
        session.configure_video(hevc(93)).unwrap();
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
        let early = session.video_frame(DELTA, true, at(0), BOTH);
        assert_eq!(early.unwrap_err(), Dropped::BeforeKeyframe);
        assert!(session.take_keyframe_request());
        session.video_frame(DELTA, true, at(40), BOTH).unwrap_err();
        assert!(!session.take_keyframe_request(), "one request is enough");

        let first = session.video_frame(KEY, false, at(80), BOTH).unwrap();
        let headers = first.headers.unwrap();
        assert_eq!(shape(&headers.in_band), [(b'F', 0), (18, 0), (9, 0)]);
        assert_eq!(headers.in_band, headers.stream);
        let second = session.video_frame(DELTA, true, at(120), BOTH).unwrap();
        assert!(second.headers.is_none());
        assert!(!second.random_access);
    }

    #[test]
    fn sequence_tags_match_an_independent_vector() {
        // SRS's KernelCodecTest.HevcVideoFormat: 114 bytes of body, PreviousTagSize 0x7D.
        for (format, start) in [(VideoFormat::EnhancedHevc, b"\x90hvc1"), (VideoFormat::DomesticHevc, b"\x1C\0\0\0\0")]
        {
            let mut config = hevc(93);
            config.info.format = format;
            let mut session = Session::default();
            session.configure_video(config).unwrap();
            let frame = session.video_frame(KEY, false, at(0), BOTH).unwrap();
            let expected =
                [b"\x09\0\0\x72\0\0\0\0\0\0\0".as_slice(), start, &hvcc::tests::RECORD, b"\0\0\0\x7D"].concat();
            assert_eq!(frame.headers.unwrap().in_band[2], expected);
        }
    }

    #[test]
    fn new_parameters_wait_for_their_keyframe() {
        let mut session = session();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        session.configure_video(hevc(120)).unwrap();
        let delta = session.video_frame(DELTA, true, at(40), BOTH).unwrap();
        assert!(delta.headers.is_none());
        assert!(session.take_keyframe_request());
        let key = session.video_frame(KEY, false, at(80), BOTH).unwrap();
        let headers = key.headers.unwrap();
        assert_eq!(shape(&headers.in_band), [(18, 80), (9, 80)]);
        assert_eq!(shape(&headers.stream), [(b'F', 0), (18, 80), (9, 80)]);
        assert_eq!(headers.in_band[1][11 + 5 + 12], 120, "the new record");
    }

    #[test]
    fn same_parameters_are_not_repeated() {
        let mut session = session();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        session.configure_video(hevc(93)).unwrap();
        let key = session.video_frame(KEY, false, at(40), BOTH).unwrap();
        assert!(key.headers.is_none());
    }

    #[test]
    fn late_sound_leaves_video_parameters_alone() {
        let mut session = session();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        session.configure_video(hevc(120)).unwrap();
        session.configure_audio(aac());
        let sound = session.audio_frame(9, at(20), BOTH).unwrap();
        let headers = sound.headers.unwrap();
        assert_eq!(shape(&headers.in_band), [(18, 20), (8, 20)]);
        assert_eq!(shape(&headers.stream), [(b'F', 0), (18, 20), (9, 20), (8, 20)]);
        assert_eq!(headers.stream[2][11 + 5 + 12], 93, "the record in force");
        let key = session.video_frame(KEY, false, at(40), BOTH).unwrap();
        assert_eq!(shape(&key.headers.unwrap().in_band), [(18, 40), (9, 40)], "the audio header is not repeated");
    }

    #[test]
    fn sound_may_start_before_the_keyframe() {
        let mut session = session();
        session.configure_audio(aac());
        let sound = session.audio_frame(9, at(0), BOTH).unwrap();
        assert_eq!(shape(&sound.headers.unwrap().in_band), [(b'F', 0), (18, 0), (9, 0), (8, 0)]);
        let early = session.video_frame(DELTA, true, at(20), BOTH);
        assert_eq!(early.unwrap_err(), Dropped::BeforeKeyframe);
        let key = session.video_frame(KEY, false, at(40), BOTH).unwrap();
        assert!(key.headers.is_none());
    }

    #[test]
    fn a_dropped_frame_is_followed_by_a_keyframe() {
        let mut session = session();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        let broken = session.video_frame(&DELTA[..6], true, at(40), BOTH);
        assert!(matches!(broken, Err(Dropped::Malformed(_))));
        assert!(session.take_keyframe_request());
        let next = session.video_frame(DELTA, true, at(80), BOTH);
        assert_eq!(next.unwrap_err(), Dropped::BeforeKeyframe);
        let key = session.video_frame(KEY, false, at(120), BOTH).unwrap();
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
        assert!(session.video_frame(&unit(largest), false, at(0), BOTH).is_ok());
        let dropped = session.video_frame(&unit(largest + 1), false, at(40), BOTH);
        assert_eq!(dropped.unwrap_err(), Dropped::Oversized(BodyTooLarge { size: tag::MAX_BODY_SIZE + 1 }));
        // Three bytes less fit once there is a composition time.
        let shown_later = Times { dts: Some(80 * MS), pts: Some(120 * MS) };
        assert!(matches!(session.video_frame(&unit(largest), false, shown_later, BOTH), Err(Dropped::Oversized(_))));
    }

    #[test]
    fn nal_length_size_changes_only_with_a_keyframe() {
        let mut session = session();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        let mut config = hevc(93);
        config.record[21] = 0x0C;
        config.nal_length_size = 1;
        session.configure_video(config).unwrap();
        let delta = session.video_frame(&DELTA[3..], true, at(40), BOTH);
        assert_eq!(delta.unwrap_err(), Dropped::BeforeKeyframe);
        assert!(session.video_frame(&KEY[3..], false, at(80), BOTH).is_ok());
    }

    #[test]
    fn the_codec_stays() {
        let avc = || VideoConfig {
            info: VideoInfo { format: VideoFormat::Avc, ..hevc(93).info },
            record: avcc::tests::RECORD.to_vec(),
            nal_length_size: 4,
        };
        let mut session = session();
        session.configure_video(avc()).unwrap();
        session.configure_video(hevc(93)).unwrap();
        session.video_frame(KEY, false, at(0), BOTH).unwrap();
        assert_eq!(session.configure_video(avc()), Err(CodecChange));
    }

    #[test]
    fn removed_sound_comes_back_with_its_header() {
        let mut session = session();
        session.configure_audio(aac());
        session.audio_frame(9, at(0), BOTH).unwrap();
        session.remove_audio();
        session.configure_video(hevc(120)).unwrap();
        let key = session.video_frame(KEY, false, at(40), BOTH).unwrap();
        assert_eq!(shape(&key.headers.unwrap().stream).len(), 3);
        session.configure_audio(aac());
        let sound = session.audio_frame(9, at(60), BOTH).unwrap();
        assert_eq!(shape(&sound.headers.unwrap().in_band), [(18, 60), (8, 60)]);
    }

    #[test]
    fn frames_without_caps_are_dropped() {
        let mut session = Session::default();
        assert_eq!(session.video_frame(KEY, false, at(0), BOTH).unwrap_err(), Dropped::Unconfigured);
        assert_eq!(session.audio_frame(9, at(0), BOTH).unwrap_err(), Dropped::Unconfigured);
    }
}
