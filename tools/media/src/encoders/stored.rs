//! What is asked of an encoder whose access units are kept: a constant quality, whatever the bit rate.

use clap::ValueEnum;

/// How a recording is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Frames from one keyframe to the next.
    pub gop: u32,
    /// 0, the best picture, to 51: a constant rate factor, or a quantizer.
    pub quality: u8,
    /// Time for a smaller file.
    pub preset: Preset,
    /// What is made of it.
    pub purpose: Purpose,
}

impl Stored {
    /// An encoder's word for the preset.
    pub(super) fn word(&self, [fast, balanced, slow]: [&str; 3]) -> String {
        match self.preset {
            Preset::Fast => fast,
            Preset::Balanced => balanced,
            Preset::Slow => slow,
        }
        .to_owned()
    }
}

/// `--preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "a line at a variant would be one of --help")]
pub enum Preset {
    Fast,
    Balanced,
    Slow,
}

/// What the access units are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file that may hold them in another order than they are shown.
    File,
    /// Messages: each shows its picture as soon as it is there, and a keyframe's has all that decoding begins with.
    Messages,
}

/// Pictures that an encoder in software looks ahead for messages. Those of other cameras wait for it.
pub(super) const LOOKAHEAD: u32 = 10;
