//! What is known of an encoder.

use cvmmap::Codec;

use super::{live::Live, stored::Stored};

/// Properties with their values as text; those that an installed release does not have are left out.
pub(super) type Settings = Vec<(&'static str, String)>;

/// An encoder element.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) factory: &'static str,
    pub(super) kind: Kind,
    pub(super) codec: Codec,
    /// Raw format that it is fed with.
    pub(super) format: &'static str,
    /// How pictures get into memory that it can read, where that is not the computer's own.
    pub(super) upload: Option<Upload>,
    /// Its property `bitrate` for each kbit/s: 1, or 1000 for those that count bits.
    pub(super) bitrate_per_kbit: u32,
    /// The property that bounds the rate of a constant quality.
    pub(super) ceiling: &'static str,
    /// Whether it keeps to a bit rate that is changed while it runs, and is allowed to be. Others are replaced.
    pub(super) changes_rate: bool,
    /// How a profile is asked for.
    pub(super) profile: ProfileBy,
    /// Whether it can make B-frames.
    pub(super) b_frames: bool,
    /// Whether it counts pictures to tell their times, which are the pictures' own nowhere but in a steady stream.
    pub(super) counts_time: bool,
    /// How it is told to give each picture at once.
    pub(super) live: fn(&Live) -> Settings,
    /// How it is told to keep to a quality, whatever the bit rate.
    pub(super) stored: fn(&Stored) -> Settings,
}

/// How a profile is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileBy {
    /// In the caps of what it gives.
    Caps,
    /// In its settings.
    Setting,
}

/// What an encoder runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nvenc,
    Jetson,
    Vaapi,
    Software,
}

impl Kind {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nvenc => "NVENC",
            Self::Jetson => "Jetson",
            Self::Vaapi => "VA-API",
            Self::Software => "software",
        }
    }
}

/// The element before an encoder that copies pictures into its memory.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) element: &'static str,
    /// Caps feature of that memory.
    pub(super) memory: &'static str,
}

/// Without a ceiling, an encoder that has to have one gets this, in kbit/s.
pub(super) const NO_CEILING: u32 = 100_000;
