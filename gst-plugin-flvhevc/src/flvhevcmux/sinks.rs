//! The sink pads, and whose turn it is.

use super::buffers::{decode_time, running_times};
use crate::flv::{headers::Declared, timeline::Times};
use gst_base::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Video,
    Audio,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    pub fn of(pad: &impl IsA<gst::Pad>) -> Self {
        if pad.as_ref().name() == Self::Video.name() { Self::Video } else { Self::Audio }
    }
}

/// A buffer that waits at a pad, or was taken from there.
pub struct Queued {
    pub kind: Kind,
    pub buffer: gst::Buffer,
    pub times: Times,
}

/// One pad of each kind at most, by [`Kind`].
#[derive(Default)]
pub struct Sinks([Option<gst_base::AggregatorPad>; 2]);

impl Sinks {
    pub fn pad(&mut self, kind: Kind) -> &mut Option<gst_base::AggregatorPad> {
        &mut self.0[kind as usize]
    }

    pub fn declared(&self) -> Declared {
        let [video, audio] = &self.0;
        Declared { audio: audio.is_some(), video: video.is_some() }
    }

    /// Whether no more is to come. Without pads there is nothing that could have ended.
    pub fn ended(&self) -> bool {
        let mut pads = self.0.iter().flatten().peekable();
        pads.peek().is_some() && pads.all(|pad| pad.is_eos())
    }

    /// The queued buffer that is to be decoded first. One without timestamps goes at once.
    pub fn earliest(&self) -> Option<Queued> {
        let [video, audio] = &self.0;
        let peek = |kind, pad: &gst_base::AggregatorPad| {
            let buffer = pad.peek_buffer()?;
            let times = running_times(pad, &buffer);
            Some(Queued { kind, buffer, times })
        };
        let video = video.as_ref().and_then(|pad| peek(Kind::Video, pad));
        let audio = audio.as_ref().and_then(|pad| peek(Kind::Audio, pad));
        match (video, audio) {
            (Some(video), Some(audio)) if decode_time(audio.times) < decode_time(video.times) => Some(audio),
            (video, audio) => video.or(audio),
        }
    }

    pub fn take_earliest(&self) -> Option<Queued> {
        let earliest = self.earliest()?;
        self.0[earliest.kind as usize].as_ref()?.drop_buffer();
        Some(earliest)
    }
}
