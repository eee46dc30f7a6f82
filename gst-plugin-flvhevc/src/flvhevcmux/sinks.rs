//! The sink pads, and whose turn it is.

use super::buffers::{decode_time, running_times};
use crate::flv::{
    headers::Declared,
    timeline::Times,
    video::{FIRST_TRACK, TrackId},
};
use gst_base::prelude::*;
use std::fmt;

/// Names of the pads; further video tracks have their number behind the first one's name.
pub const VIDEO: &str = "video";
pub const AUDIO: &str = "audio";
pub const VIDEO_TRACKS: &str = "video_%u";

/// What a sink pad takes, in the order in which buffers of the same time go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Video(TrackId),
    Audio,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Video(FIRST_TRACK) => formatter.write_str(VIDEO),
            Self::Video(track) => write!(formatter, "{VIDEO}_{track}"),
            Self::Audio => formatter.write_str(AUDIO),
        }
    }
}

impl Kind {
    /// By the name of a pad.
    pub fn named(name: &str) -> Option<Self> {
        let track = || name.strip_prefix(VIDEO)?.strip_prefix('_')?.parse().ok();
        match name {
            VIDEO => Some(Self::Video(FIRST_TRACK)),
            AUDIO => Some(Self::Audio),
            _ => track().filter(|track| *track != FIRST_TRACK).map(Self::Video),
        }
    }

    /// Of a pad of ours, whose name says it.
    pub fn of(pad: &impl IsA<gst::Pad>) -> Self {
        Self::named(&pad.as_ref().name()).unwrap_or(Self::Audio)
    }
}

/// A buffer that waits at a pad, or was taken from there.
pub struct Queued {
    pub kind: Kind,
    pub buffer: gst::Buffer,
    pub times: Times,
}

/// One pad of each kind at most, in the order of [`Kind`].
#[derive(Default)]
pub struct Sinks(Vec<(Kind, gst_base::AggregatorPad)>);

impl Sinks {
    pub fn pad(&self, kind: Kind) -> Option<&gst_base::AggregatorPad> {
        self.0.iter().find(|(known, _)| *known == kind).map(|(_, pad)| pad)
    }

    pub fn add(&mut self, kind: Kind, pad: gst_base::AggregatorPad) {
        self.0.push((kind, pad));
        self.0.sort_by_key(|(kind, _)| *kind);
    }

    pub fn remove(&mut self, kind: Kind) -> Option<gst_base::AggregatorPad> {
        let place = self.0.iter().position(|(known, _)| *known == kind)?;
        Some(self.0.remove(place).1)
    }

    /// The lowest number that no further video track has.
    pub fn free_track(&self) -> Option<TrackId> {
        (FIRST_TRACK + 1..=TrackId::MAX).find(|track| self.pad(Kind::Video(*track)).is_none())
    }

    pub fn declared(&self) -> Declared {
        let audio = self.pad(Kind::Audio).is_some();
        Declared { audio, video: self.0.iter().any(|(kind, _)| *kind != Kind::Audio) }
    }

    /// Whether no more is to come. Without pads there is nothing that could have ended.
    pub fn ended(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, pad)| pad.is_eos())
    }

    /// The queued buffer that is to be decoded first. One without timestamps goes at once.
    pub fn earliest(&self) -> Option<Queued> {
        let queued = self.0.iter().filter_map(|(kind, pad)| {
            let buffer = pad.peek_buffer()?;
            let times = running_times(pad, &buffer);
            Some(Queued { kind: *kind, buffer, times })
        });
        queued.min_by_key(|queued| decode_time(queued.times))
    }

    pub fn take_earliest(&self) -> Option<Queued> {
        let earliest = self.earliest()?;
        self.pad(earliest.kind)?.drop_buffer();
        Some(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_are_known_by_their_names() {
        for kind in [Kind::Video(0), Kind::Video(1), Kind::Video(255), Kind::Audio] {
            assert_eq!(Kind::named(&kind.to_string()), Some(kind));
        }
        for other in ["video_0", "video_256", "video_", "video_x", "video1", "audio_1", ""] {
            assert_eq!(Kind::named(other), None, "{other}");
        }
    }
}
