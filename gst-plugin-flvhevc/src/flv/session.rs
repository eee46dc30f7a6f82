//! What goes into the stream, and when: headers, keyframe starts, drops, the end. The element feeds it and pushes what it
//! answers.

use super::{
    access_unit::{self, AccessUnitError},
    audio::AAC_FRAME_PREFIX,
    file_facts::FileFacts,
    headers::{self, Change, Declared, Headers},
    metadata::{self, AudioInfo, VideoInfo},
    picture::Picture,
    tag::{self, BodyTooLarge, TagHead, TagType},
    timeline::{CompositionOutOfRange, Slot, Timeline, Times},
    track::{AudioConfig, Track, VideoConfig},
    video::{FIRST_TRACK, TrackId},
};
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream already carries another video codec, and readers do not follow a change: restart the muxer for it")]
pub struct CodecChange;

/// How the stream is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What comes after its turn is dropped, rather than moved up to the latest timestamp.
    pub skips_backwards: bool,
    /// Presentation times are told to the nanosecond, where the format has a place for it.
    pub tells_nanoseconds: bool,
    /// The first onMetaData keeps room for what is known at the end.
    pub keeps_room: bool,
}

/// A frame to send: `head`, the payload as it came, `trailer`.
#[derive(Debug)]
pub struct Frame {
    pub headers: Option<Headers>,
    pub head: TagHead,
    pub trailer: [u8; 4],
    /// Reading can start here: a keyframe of the first track, or any frame of a stream that is sound alone.
    pub random_access: bool,
    pub raised: bool,
    /// Milliseconds since the first tag.
    pub presentation: i64,
}

/// Why a frame is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    #[error("no keyframe has come yet")]
    BeforeKeyframe,
    #[error("it comes after its turn, and skip-backwards-streams is set")]
    Backwards,
    #[error("{0}: lower the encoder's bitrate or the picture's size")]
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

/// A frame on its way into a tag.
struct Unit<'a> {
    tag_type: TagType,
    prefix: &'a [u8],
    payload_size: usize,
    random_access: bool,
    news: Option<News>,
}

/// Whose frame has others announced anew before it. Sound is announced with whatever is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Sound,
    /// New parameters wait for a keyframe of their track, so only that (or the start) admits them.
    Picture(TrackId),
}

/// What the first onMetaData was about.
#[derive(Debug)]
struct Opening {
    videos: Vec<(TrackId, VideoInfo)>,
    audio: Option<AudioInfo>,
}

/// One FLV stream from its file header on.
#[derive(Debug, Default)]
pub struct Session {
    pub options: Options,
    pictures: BTreeMap<TrackId, Picture>,
    audio: Track<AudioConfig>,
    timeline: Timeline,
    opening: Option<Opening>,
}

impl Session {
    pub fn configure_video(&mut self, track: TrackId, config: VideoConfig) -> Result<(), CodecChange> {
        let picture = self.pictures.entry(track).or_default();
        if picture.track.announced().is_some_and(|old| old.info.format != config.info.format) {
            return Err(CodecChange);
        }
        picture.track.configure(config);
        Ok(())
    }

    pub fn configure_audio(&mut self, config: AudioConfig) {
        self.audio.configure(config);
    }

    pub fn remove_video(&mut self, track: TrackId) {
        let picture = self.pictures.entry(track).or_default();
        picture.track.remove();
        picture.interrupt();
    }

    pub fn remove_audio(&mut self) {
        self.audio.remove();
    }

    /// A video track has lost frames: it goes on with a keyframe.
    pub fn interrupt_video(&mut self, track: TrackId) {
        self.pictures.entry(track).or_default().interrupt();
    }

    /// Running time starts over: what comes next continues at the latest timestamp.
    pub fn start_time_over(&mut self) {
        self.timeline.resume();
    }

    /// How long, in nanoseconds, one stream may have to wait for another so that they interleave in order: a frame of the
    /// slowest.
    pub fn interleave_time(&self) -> u64 {
        let videos = self.pictures.values().filter_map(|picture| picture.track.current());
        let videos = videos.map(|config| config.info.frame_time());
        let times = videos.chain(self.audio.current().map(|config| config.info.frame_time())).collect::<Vec<_>>();
        if times.len() < 2 { 0 } else { times.into_iter().flatten().max().unwrap_or(0) }
    }

    /// Whether a track's upstream is to be asked for a keyframe now: once in every wait for one.
    pub fn take_keyframe_request(&mut self, track: TrackId) -> bool {
        self.pictures.get_mut(&track).is_some_and(Picture::take_keyframe_request)
    }

    pub fn video_frame(
        &mut self,
        track: TrackId,
        data: &[u8],
        delta_unit: bool,
        times: Times,
        declared: Declared,
    ) -> Result<Frame, Dropped> {
        let result = self.place_video(track, data, delta_unit, times, declared);
        let picture = self.pictures.entry(track).or_default();
        match result {
            Ok((frame, keyframe)) => {
                picture.take_frame(keyframe);
                Ok(frame)
            }
            Err(dropped @ Dropped::Unconfigured) => Err(dropped),
            Err(dropped) => {
                picture.lose_frame();
                Err(dropped)
            }
        }
    }

    fn place_video(
        &mut self,
        track: TrackId,
        data: &[u8],
        delta_unit: bool,
        times: Times,
        declared: Declared,
    ) -> Result<(Frame, bool), Dropped> {
        let picture = self.pictures.get(&track).ok_or(Dropped::Unconfigured)?;
        let config = picture.track.current().ok_or(Dropped::Unconfigured)?;
        let format = config.info.format;
        let keyframe = access_unit::is_keyframe(format, config.nal_length_size, data, delta_unit)?;
        if !keyframe {
            // Until the keyframe that brings the new header readers go by the old one, so the framing must be the same.
            let announced = picture.track.announced();
            let readable = announced.is_some_and(|old| old.nal_length_size == config.nal_length_size);
            if picture.awaits_keyframe || !readable {
                return Err(Dropped::BeforeKeyframe);
            }
        }

        let slot = self.slot(times)?;
        let nanoseconds = if self.options.tells_nanoseconds { slot.nanoseconds } else { 0 };
        let prefix = format.frame_prefix(track, keyframe, slot.composition, nanoseconds);
        let unit = Unit {
            tag_type: TagType::Video,
            prefix: prefix.as_ref(),
            payload_size: data.len(),
            random_access: keyframe && track == FIRST_TRACK,
            news: (keyframe && picture.track.has_news()).then_some(News::Picture(track)),
        };
        Ok((self.frame(&unit, &slot, declared)?, keyframe))
    }

    pub fn audio_frame(&mut self, payload_size: usize, times: Times, declared: Declared) -> Result<Frame, Dropped> {
        self.audio.current().ok_or(Dropped::Unconfigured)?;
        // Sound is presented when it is decoded.
        let slot = self.slot(Times { dts: times.pts.or(times.dts), pts: None })?;
        let unit = Unit {
            tag_type: TagType::Audio,
            prefix: &AAC_FRAME_PREFIX,
            payload_size,
            random_access: !declared.video,
            news: self.audio.has_news().then_some(News::Sound),
        };
        Ok(self.frame(&unit, &slot, declared)?)
    }

    fn slot(&self, times: Times) -> Result<Slot, Dropped> {
        let slot = self.timeline.slot(times)?;
        if slot.raised && self.options.skips_backwards { Err(Dropped::Backwards) } else { Ok(slot) }
    }

    /// Makes a frame of its parts, and only then has it in the stream.
    fn frame(&mut self, unit: &Unit, slot: &Slot, declared: Declared) -> Result<Frame, BodyTooLarge> {
        let head = TagHead::new(unit.tag_type, slot.timestamp(), unit.prefix, unit.payload_size)?;
        let headers = unit.news.map(|news| self.announce(news, slot.timestamp(), declared)).transpose()?;
        self.timeline.take(slot);
        Ok(Frame {
            headers,
            head,
            trailer: tag::previous_tag_size(unit.prefix.len() + unit.payload_size),
            random_access: unit.random_access,
            raised: slot.raised,
            presentation: slot.presentation(),
        })
    }

    fn announce(&mut self, news: News, timestamp: u32, declared: Declared) -> Result<Headers, BodyTooLarge> {
        let first = self.opening.is_none();
        let admits = |track| first || news == News::Picture(track);
        let videos = self
            .pictures
            .iter()
            .map(|(track, picture)| {
                let before = picture.track.announced();
                (*track, Change { now: if admits(*track) { picture.track.current() } else { before }, before })
            })
            .collect::<Vec<_>>();
        let audio = Change { now: self.audio.current(), before: self.audio.announced() };
        let nothing_yet = FileFacts::default();
        let file = (first && self.options.keeps_room).then_some(&nothing_yet);
        let headers = Headers::new(first, declared, timestamp, &videos, audio, file)?;
        if first {
            let audio = self.audio.current().map(|config| config.info);
            self.opening = Some(Opening { videos: headers::pictures(&videos), audio });
        }
        self.pictures.iter_mut().filter(|(track, _)| admits(**track)).for_each(|(_, picture)| picture.track.announce());
        self.audio.announce();
        Ok(headers)
    }

    /// The tags that end what was announced. What comes after them is announced anew.
    pub fn end(&mut self) -> Vec<Vec<u8>> {
        let timestamp = self.timeline.latest();
        let mut tags = Vec::new();
        for (track, picture) in &mut self.pictures {
            if let Some(announced) = picture.track.announced() {
                let body = announced.info.format.end_of_sequence(*track);
                tags.extend(tag::whole_tag(TagType::Video, timestamp, &body));
            }
            picture.track.end();
            picture.interrupt();
        }
        tags
    }

    /// The first onMetaData with what is known now about the file, in as many bytes; none when it kept no room.
    pub fn closing_metadata(&self, file: &FileFacts) -> Option<Vec<u8>> {
        let opening = self.opening.as_ref().filter(|_| self.options.keeps_room)?;
        let metadata = metadata::on_metadata(&opening.videos, opening.audio.as_ref(), Some(&file.complete()));
        // All streams begin at 0.
        tag::whole_tag(TagType::Script, 0, &metadata).ok()
    }
}

#[cfg(test)]
mod tests;
