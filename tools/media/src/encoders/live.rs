//! What is asked of an encoder whose access units are wanted at once.

use std::fmt;

use clap::ValueEnum;

/// How a live stream is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// B-frames between two reference frames.
    pub b_frames: u32,
    /// Bit rate in kbit/s, or with a quality the highest one; none follows the picture's size and rate.
    pub kbit: Option<u32>,
    /// Constant quantizer.
    pub quality: Option<u32>,
    /// How much time a picture may take; none is what has the lowest latency.
    pub preset: Option<Preset>,
    /// Profile of H.264.
    pub profile: Option<Profile>,
}

impl Live {
    /// What not every encoder has.
    pub fn needs(&self) -> Needs {
        Needs { b_frames: self.b_frames > 0, profile: self.profile }
    }

    /// The bit rate for the user.
    pub fn rate(&self) -> String {
        match (self.quality, self.kbit) {
            (None, None) => "bit rate by picture size and rate".to_owned(),
            (None, Some(kbit)) => format!("{kbit} kbit/s"),
            (Some(quality), None) => format!("quality {quality}"),
            (Some(quality), Some(kbit)) => format!("quality {quality}, {kbit} kbit/s at most"),
        }
    }

    /// An encoder's word for the preset: its lowest latency, or one of fast, balanced and quality.
    pub(super) fn word(&self, default: &str, [fast, balanced, quality]: [&str; 3]) -> String {
        match self.preset {
            None => default,
            Some(Preset::Fast) => fast,
            Some(Preset::Balanced) => balanced,
            Some(Preset::Quality) => quality,
        }
        .to_owned()
    }
}

/// What not every encoder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// B-frames.
    pub b_frames: bool,
    /// This profile of H.264.
    pub profile: Option<Profile>,
}

/// `--encoder-preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Least time
    Fast,
    /// More time for a better picture
    Balanced,
    /// The best picture that a live camera allows
    Quality,
}

/// `--profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// What every decoder knows
    ConstrainedBaseline,
    /// With CABAC and B-frames
    Main,
    /// With the larger transform
    High,
}

impl Profile {
    /// Its name in GStreamer's caps.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConstrainedBaseline => "constrained-baseline",
            Self::Main => "main",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
