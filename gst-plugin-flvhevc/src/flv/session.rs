//! What goes into the stream, and when: headers, keyframe starts, drops. The element feeds it and pushes what it answers.

use super::{
    access_unit::{self, AccessUnitError},
    audio::AAC_FRAME_PREFIX,
    headers::{Change, Declared, Headers},
    tag::{self, BodyTooLarge, TagHead, TagType},
    timeline::{CompositionOutOfRange, Slot, Timeline, Times},
    track::{AudioConfig, Track, VideoConfig},
};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream already carries another video codec, and readers do not follow a change: restart the muxer for it")]
pub struct CodecChange;

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

/// Who is announced anew before a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Sound,
    /// New video parameters wait for their keyframe, so only that (or the start) admits them.
    SoundAndPicture,
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
        if self.video.announced().is_some_and(|old| old.info.format != config.info.format) {
            return Err(CodecChange);
        }
        self.video.configure(config);
        Ok(())
    }

    pub fn configure_audio(&mut self, config: AudioConfig) {
        self.audio.configure(config);
    }

    pub fn remove_video(&mut self) {
        self.video.remove();
        self.interrupt_video();
    }

    pub fn remove_audio(&mut self) {
        self.audio.remove();
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
        match (self.video.current(), self.audio.current()) {
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
            Ok(_) if self.video.has_news() => self.want_keyframe(),
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
        let config = self.video.current().ok_or(Dropped::Unconfigured)?;
        let format = config.info.format;
        let keyframe = access_unit::is_keyframe(format, config.nal_length_size, data, delta_unit)?;
        if !keyframe {
            // Until the keyframe that brings the new header readers go by the old one, so the framing must be the same.
            let announced = self.video.announced();
            let readable = announced.is_some_and(|old| old.nal_length_size == config.nal_length_size);
            if self.awaits_keyframe || !readable {
                return Err(Dropped::BeforeKeyframe);
            }
        }

        let slot = self.timeline.slot(times)?;
        let prefix = format.frame_prefix(keyframe, slot.composition);
        let unit = Unit {
            tag_type: TagType::Video,
            prefix: prefix.as_ref(),
            payload_size: data.len(),
            random_access: keyframe,
            news: (keyframe && self.video.has_news()).then_some(News::SoundAndPicture),
        };
        Ok(self.frame(&unit, &slot, declared)?)
    }

    pub fn audio_frame(&mut self, payload_size: usize, times: Times, declared: Declared) -> Result<Frame, Dropped> {
        self.audio.current().ok_or(Dropped::Unconfigured)?;
        // Sound is presented when it is decoded.
        let slot = self.timeline.slot(Times { dts: times.pts.or(times.dts), pts: None })?;
        let news = if self.started { News::Sound } else { News::SoundAndPicture };
        let unit = Unit {
            tag_type: TagType::Audio,
            prefix: &AAC_FRAME_PREFIX,
            payload_size,
            random_access: !declared.video,
            news: self.audio.has_news().then_some(news),
        };
        Ok(self.frame(&unit, &slot, declared)?)
    }

    /// Makes a frame of its parts, and only then has it in the stream.
    fn frame(&mut self, unit: &Unit, slot: &Slot, declared: Declared) -> Result<Frame, BodyTooLarge> {
        let head = TagHead::new(unit.tag_type, slot.timestamp(), unit.prefix, unit.payload_size)?;
        let headers = unit.news.map(|news| self.announce(news, slot.timestamp(), declared)).transpose()?;
        self.timeline.take(slot);
        let trailer = tag::previous_tag_size(unit.prefix.len() + unit.payload_size);
        Ok(Frame { headers, head, trailer, random_access: unit.random_access, raised: slot.raised })
    }

    fn announce(&mut self, news: News, timestamp: u32, declared: Declared) -> Result<Headers, BodyTooLarge> {
        let admit_video = news == News::SoundAndPicture;
        let before = self.video.announced();
        let video = Change { now: if admit_video { self.video.current() } else { before }, before };
        let audio = Change { now: self.audio.current(), before: self.audio.announced() };
        let headers = Headers::new(!self.started, declared, timestamp, video, audio)?;
        if admit_video {
            self.video.announce();
        }
        self.audio.announce();
        self.started = true;
        Ok(headers)
    }

    fn want_keyframe(&mut self) {
        self.ask_now |= !self.asked;
        self.asked = true;
    }
}

#[cfg(test)]
mod tests;
