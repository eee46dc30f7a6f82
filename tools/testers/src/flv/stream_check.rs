//! A published stream, tag by tag: what the tags have to be one after the other.
//!
//! Longer than other files: the rules of both codecs stand side by side, as one packaging carries either.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    avc_config,
    fault::Fault,
    hevc_config, metadata,
    mode::Mode,
    nal::{self, HevcNal, avc, hevc},
    sound::Sound,
    video_header::{self, Codec, FrameType, Packet, VideoHeader},
    warnings::Warnings,
};

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Metadata.
    Script,
}

impl TagKind {
    /// FLV E.4.1 TagType; RTMP has the same message types.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }

    /// The number that stands for it.
    pub fn id(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Script => 18,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Script => "script",
        }
    }
}

/// A tag of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Tag<'a> {
    /// What it carries.
    pub kind: TagKind,
    /// When, in milliseconds.
    pub timestamp: u32,
    /// What is behind its header.
    pub body: &'a [u8],
}

/// What a tag holds for somebody who wants the elementary stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// Parameter sets of a sequence header, as ranges of its body.
    ParameterSets(Vec<Range<usize>>),
    /// NAL units of a picture, as ranges of its body.
    Frame(Vec<Range<usize>>),
    /// Something else.
    Other,
}

/// A broken rule, told with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// Whether the stream is of another codec or packaging than asked for, rather than broken.
    pub wrong_packaging: bool,
    /// The rule and its place, as a sentence.
    pub text: String,
}

/// What a stream held.
#[derive(Debug, Default)]
pub struct Counts {
    /// All tags.
    pub tags: u64,
    /// Tags with sound.
    pub audio_tags: u64,
    /// Tags with metadata.
    pub script_tags: u64,
    /// Tags with pictures, or about them.
    pub video_tags: u64,
    /// Sequence headers of video.
    pub sequence_headers: u64,
    /// Pictures.
    pub frames: u64,
    /// Pictures at which decoding can start.
    pub keyframes: u64,
    /// Ends of sequences.
    pub ends: u64,
    /// Coded frames of each track beside the first.
    pub track_frames: BTreeMap<u8, u64>,
    /// Frames whose presentation time has an offset in nanoseconds.
    pub nanosecond_offsets: u64,
    /// Bytes of video bodies.
    pub video_bytes: u64,
    /// Timestamp of the first tag of video, in milliseconds.
    pub first_timestamp: Option<u32>,
    /// Timestamp of the last tag of video, in milliseconds; none after a new connection.
    pub last_timestamp: Option<u32>,
    /// Smallest composition time, in milliseconds.
    pub min_composition_ms: i32,
    /// Largest composition time, in milliseconds.
    pub max_composition_ms: i32,
}

struct Config {
    length_size: usize,
    record: Vec<u8>,
    /// Parameter sets are said to be in the record only.
    complete: bool,
}

/// What is known of a video track.
struct Track {
    config: Option<Config>,
    /// The configuration changed, or nothing was decoded yet: only a key frame can follow.
    needs_key: bool,
    ended: bool,
    codec: Option<Codec>,
}

impl Default for Track {
    fn default() -> Self {
        Self { config: None, needs_key: true, ended: false, codec: None }
    }
}

/// Checks one tag after the other.
pub struct StreamCheck {
    mode: Mode,
    counts: Counts,
    warnings: Warnings,
    codec_announced: bool,
    /// Further tracks that an onMetaData named.
    tracks_announced: BTreeSet<u8>,
    tracks: BTreeMap<u8, Track>,
    sound: Sound,
}

impl StreamCheck {
    /// A check of a stream that is packaged so.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            counts: Counts::default(),
            warnings: Warnings::default(),
            codec_announced: false,
            tracks_announced: BTreeSet::new(),
            tracks: BTreeMap::new(),
            sound: Sound::default(),
        }
    }

    /// Forgets what a new connection has to say anew. Counts go on.
    pub fn begin_anew(&mut self) {
        self.codec_announced = false;
        self.tracks_announced.clear();
        self.tracks.clear();
        self.counts.last_timestamp = None;
        self.sound.begin_anew();
    }

    /// The sound so far.
    pub fn sound(&self) -> &Sound {
        &self.sound
    }

    /// What the stream held so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where warnings are collected.
    pub fn warnings(&mut self) -> &mut Warnings {
        &mut self.warnings
    }

    /// The warnings so far, as sentences.
    pub fn warning_texts(&self) -> impl Iterator<Item = &str> {
        self.warnings.texts()
    }

    /// Judges the next tag.
    ///
    /// # Errors
    /// The first rule that it breaks. The stream's state is of no use afterwards.
    pub fn tag(&mut self, tag: &Tag<'_>) -> Result<Content, Violation> {
        let place = format!("tag {} ({}, timestamp {} ms)", self.counts.tags, tag.kind.name(), tag.timestamp);
        self.warnings.place.clone_from(&place);
        self.counts.tags += 1;
        let judged = match tag.kind {
            TagKind::Audio => {
                self.counts.audio_tags += 1;
                self.sound.tag(tag.body, tag.timestamp, &mut self.warnings).map(|()| Content::Other)
            }
            TagKind::Script => {
                self.counts.script_tags += 1;
                self.script(tag.body)
            }
            TagKind::Video => {
                self.counts.video_tags += 1;
                self.video(tag)
            }
        };
        judged.map_err(|fault| {
            let mut text = format!("{place}, {}", fault.describe(tag.body));
            if fault.wrong_packaging && self.counts.frames > 0 {
                text.push_str(&format!(
                    "; {} frames came in the right packaging before, one session must not mix them",
                    self.counts.frames
                ));
            }
            Violation { wrong_packaging: fault.wrong_packaging, text }
        })
    }

    fn script(&mut self, body: &[u8]) -> Result<Content, Fault> {
        self.codec_announced |= metadata::check(body, self.mode, &mut self.tracks_announced, &mut self.warnings)?;
        Ok(Content::Other)
    }

    fn video(&mut self, tag: &Tag<'_>) -> Result<Content, Fault> {
        let body = tag.body;
        let header = video_header::parse(body, self.mode, &mut self.warnings)?;
        self.counts.video_bytes += body.len() as u64;
        self.timestamp(tag.timestamp)?;
        let content = match header.packet {
            Packet::SequenceHeader => self.sequence_header(body, &header),
            Packet::Frame { frame_type, composition_ms } => {
                let content = self.frame(body, &header, frame_type, composition_ms)?;
                self.sound.picture(tag.timestamp);
                self.counts.nanosecond_offsets += u64::from(header.nanoseconds.is_some());
                Ok(content)
            }
            Packet::EndOfSequence => {
                self.counts.ends += 1;
                self.tracks.entry(header.track).or_default().ended = true;
                Ok(Content::Other)
            }
            Packet::Metadata => {
                metadata::check_colour(body, header.data, &mut self.warnings)?;
                Ok(Content::Other)
            }
            Packet::Command => Ok(Content::Other),
        };
        // The elementary stream is that of the first track.
        if header.track == 0 { content } else { content.map(|_| Content::Other) }
    }

    /// Timestamps are decoding times, modulo 2^32 (FLV E.4.1).
    fn timestamp(&mut self, timestamp: u32) -> Result<(), Fault> {
        if let Some(last) = self.counts.last_timestamp
            && timestamp.wrapping_sub(last).cast_signed() < 0
        {
            return Err(Fault::new(
                0,
                format!(
                    "the video tag before this one has the later timestamp {last} ms; timestamps are decoding times and never go back"
                ),
            ));
        }
        self.counts.first_timestamp.get_or_insert(timestamp);
        self.counts.last_timestamp = Some(timestamp);
        Ok(())
    }

    fn sequence_header(&mut self, body: &[u8], header: &VideoHeader) -> Result<Content, Fault> {
        let data = header.data;
        let track = self.tracks.entry(header.track).or_default();
        if data == body.len() {
            if track.config.is_none() {
                self.warnings.add("empty-sequence-header", "an empty sequence header before the real one");
                return Ok(Content::Other);
            }
            return Err(Fault::new(data, "a sequence header without its record"));
        }
        if track.codec.replace(header.codec).is_some_and(|codec| codec != header.codec) {
            return Err(Fault::new(0, format!("track {} has changed its codec", header.track)));
        }
        let (length_size, nals, complete) = match header.codec {
            Codec::H264 => {
                let config = avc_config::parse(body, data, &mut self.warnings)?;
                (config.length_size, config.nals, true)
            }
            Codec::H265 => {
                let config = hevc_config::parse(body, data, &mut self.warnings)?;
                (config.length_size, config.nals, config.complete)
            }
        };
        self.counts.sequence_headers += 1;
        let record = &body[data..];
        if track.config.as_ref().is_none_or(|config| config.record != record) {
            track.needs_key = true;
            track.config = Some(Config { length_size, record: record.to_vec(), complete });
        }
        track.needs_key |= track.ended;
        track.ended = false;
        Ok(Content::ParameterSets(nals))
    }

    fn frame(
        &mut self,
        body: &[u8],
        header: &VideoHeader,
        frame_type: FrameType,
        composition_ms: i32,
    ) -> Result<Content, Fault> {
        let number = header.track;
        let track = self.tracks.entry(number).or_default();
        let Some(config) = &track.config else {
            return Err(Fault::new(0, "a coded frame before the sequence header"));
        };
        if track.ended {
            return Err(Fault::new(0, "a coded frame after the end of sequence, without a new sequence header"));
        }
        if !self.codec_announced {
            return Err(Fault::new(
                0,
                "a coded frame before any onMetaData with a videocodecid: servers choose the codec by it",
            ));
        }
        if number != 0 && !self.tracks_announced.contains(&number) {
            self.warnings.add("track-not-announced", "a track that is not in onMetaData's videoTrackIdInfoMap");
        }
        if track.codec != Some(header.codec) {
            return Err(Fault::new(0, "a coded frame of another codec than its sequence header"));
        }
        let nals = nal::split(body, header.data, config.length_size)?;
        for nal in &nals {
            nal::check_no_start_code(body, nal)?;
        }
        let is_key = match header.codec {
            Codec::H264 => avc_is_key(body, &nals, frame_type, &mut self.warnings)?,
            Codec::H265 => hevc_is_key(body, &nals, frame_type, config.complete, &mut self.warnings)?,
        };
        let frames =
            if number == 0 { &mut self.counts.frames } else { self.counts.track_frames.entry(number).or_default() };
        if track.needs_key && !is_key {
            let text = if *frames == 0 {
                "the first frame has to be a key frame: a decoder cannot begin with this one"
            } else {
                "an inter frame follows a changed sequence header: a key frame has to come first"
            };
            return Err(Fault::new(0, text));
        }
        track.needs_key = false;
        *frames += 1;
        let counts = &mut self.counts;
        if number == 0 {
            if counts.frames == 1 {
                counts.min_composition_ms = composition_ms;
                counts.max_composition_ms = composition_ms;
            }
            counts.min_composition_ms = counts.min_composition_ms.min(composition_ms);
            counts.max_composition_ms = counts.max_composition_ms.max(composition_ms);
            counts.keyframes += u64::from(is_key);
        }
        Ok(Content::Frame(nals))
    }
}

/// A whole picture, of IRAP slices throughout when it is a key frame and of none when not (H.265 7.4.2.2).
fn hevc_is_key(
    body: &[u8],
    nals: &[Range<usize>],
    frame_type: FrameType,
    complete: bool,
    warnings: &mut Warnings,
) -> Result<bool, Fault> {
    let mut is_key = None;
    let mut has_parameter_sets = false;
    for nal in nals {
        let header = HevcNal::parse(body, nal)?;
        match header.kind {
            hevc::AUD => access_unit_delimiter(warnings),
            hevc::VPS | hevc::SPS | hevc::PPS => has_parameter_sets = true,
            _ => {}
        }
        if !header.is_vcl() || header.layer != 0 {
            continue;
        }
        // first_slice_segment_in_pic_flag is the bit behind the header (H.265 7.3.6.1).
        let begins_picture = body[nal.clone()].get(2).is_some_and(|byte| byte & 0x80 != 0);
        match is_key {
            None if !begins_picture => {
                return Err(Fault::new(
                    nal.start,
                    "the first slice of the tag is not the first of its picture: a tag holds a whole frame",
                ));
            }
            Some(_) if begins_picture => {
                return Err(Fault::new(nal.start, "a second picture begins here: a tag holds one frame"));
            }
            _ => {}
        }
        let is_irap = header.is_irap();
        let agrees = match frame_type {
            FrameType::Key => is_irap,
            FrameType::Inter => !is_irap,
            FrameType::Unset => is_key.is_none_or(|key| key == is_irap),
        };
        if !agrees {
            return Err(Fault::new(
                nal.start,
                format!(
                    "a slice of NAL unit type {} in {}: key frames have types 16 to 23 only, others have none of them",
                    header.kind,
                    name(frame_type)
                ),
            ));
        }
        is_key = Some(is_irap);
    }
    let Some(is_key) = is_key else {
        return Err(no_picture(nals));
    };
    if is_key && !complete && !has_parameter_sets {
        warnings.add(
            "array-completeness",
            "the hvcC says that parameter sets are in the stream too (array_completeness 0), the key frame has none",
        );
    }
    Ok(is_key)
}

/// A key frame is an IDR picture or has a recovery point (FLV E.4.3.1: "a seekable frame").
fn avc_is_key(
    body: &[u8],
    nals: &[Range<usize>],
    frame_type: FrameType,
    warnings: &mut Warnings,
) -> Result<bool, Fault> {
    let mut first_slice = None;
    let mut idr = None;
    let mut recovery_point = false;
    for nal in nals {
        match nal::avc_kind(body, nal)? {
            avc::AUD => access_unit_delimiter(warnings),
            avc::SEI => recovery_point |= nal::avc_sei_has_recovery_point(&body[nal.clone()]),
            kind @ 1..=5 => {
                first_slice.get_or_insert(nal.start);
                if kind == avc::IDR {
                    idr.get_or_insert(nal.start);
                }
            }
            _ => {}
        }
    }
    let Some(first_slice) = first_slice else {
        return Err(no_picture(nals));
    };
    match (frame_type, idr) {
        (FrameType::Inter, Some(at)) => {
            Err(Fault::new(at, "an IDR slice in an inter frame: it has to be marked as a key frame"))
        }
        (FrameType::Key, None) if !recovery_point => Err(Fault::new(
            first_slice,
            "a key frame without an IDR slice or a recovery point: a decoder cannot begin here",
        )),
        (FrameType::Key, _) => Ok(true),
        (FrameType::Inter, None) => Ok(false),
        (FrameType::Unset, idr) => Ok(idr.is_some() || recovery_point),
    }
}

fn no_picture(nals: &[Range<usize>]) -> Fault {
    let first = nals.first().map_or(0, |nal| nal.start);
    Fault::new(first, "a coded frame without a slice: there is no picture")
}

fn access_unit_delimiter(warnings: &mut Warnings) {
    warnings.add("access-unit-delimiter", "access unit delimiters within the tags: they are of no use in FLV");
}

fn name(frame_type: FrameType) -> &'static str {
    match frame_type {
        FrameType::Key => "a key frame",
        FrameType::Inter => "an inter frame",
        FrameType::Unset => "a frame with others",
    }
}
