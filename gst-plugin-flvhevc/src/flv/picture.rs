//! A video track: its configuration, and the wait for a keyframe.

use super::track::{Track, VideoConfig};

#[derive(Debug)]
pub struct Picture {
    pub track: Track<VideoConfig>,
    pub awaits_keyframe: bool,
    /// A keyframe was asked for since the last one came.
    asked: bool,
    ask_now: bool,
}

impl Default for Picture {
    fn default() -> Self {
        Self { track: Track::default(), awaits_keyframe: true, asked: false, ask_now: false }
    }
}

impl Picture {
    /// Frames were lost: it goes on with a keyframe.
    pub fn interrupt(&mut self) {
        self.awaits_keyframe = true;
        self.asked = false;
    }

    /// A frame was dropped; what follows refers to it, directly or not.
    pub fn lose_frame(&mut self) {
        self.awaits_keyframe = true;
        self.want_keyframe();
    }

    /// A frame went into the stream.
    pub fn take_frame(&mut self, keyframe: bool) {
        if keyframe {
            self.awaits_keyframe = false;
            self.asked = false;
        } else if self.track.has_news() {
            self.want_keyframe();
        }
    }

    /// Whether upstream is to be asked for a keyframe now: once in every wait for one.
    pub fn take_keyframe_request(&mut self) -> bool {
        std::mem::take(&mut self.ask_now)
    }

    fn want_keyframe(&mut self) {
        self.ask_now |= !self.asked;
        self.asked = true;
    }
}
