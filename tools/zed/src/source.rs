//! A recording, whoever reads it.

use std::ops::RangeInclusive;

use tools_cli::failure::Failure;

use super::{camera::Intrinsics, picture::Picture};

/// 2010: no recording of these cameras is older, and no clock that began at a boot comes so far.
const UNIX_MIN: u64 = 1_262_304_000_000_000_000;
/// 2100.
const UNIX_MAX: u64 = 4_102_444_800_000_000_000;

/// What a recording's timestamps count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Unix,
    /// An unknown moment, as a rule when the camera's computer was started.
    Boot,
    /// The beginning of the file.
    Start,
}

impl Clock {
    /// The clock that timestamps like this one are of.
    pub fn of(timestamp: u64) -> Self {
        if (UNIX_MIN..UNIX_MAX).contains(&timestamp) { Self::Unix } else { Self::Boot }
    }

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Boot => "boot",
            Self::Start => "start",
        }
    }
}

/// What is known of a recording before a picture of it is decoded.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who reads it.
    pub provider: &'static str,
    /// How it is compressed.
    pub compression: &'static str,
    pub serial: Option<String>,
    /// Whether lens distortion and the difference of the eyes have been taken out.
    /// None where nobody knows.
    pub rectified: Option<bool>,
    /// Of the pictures as they are given, when they are known.
    pub intrinsics: Option<Intrinsics>,
    pub clock: Clock,
    /// Of each picture, in nanoseconds, sorted. One that cannot be shown has one as well.
    pub timestamps: Vec<u64>,
}

impl Facts {
    /// Pictures, with those that cannot be shown.
    pub fn frames(&self) -> usize {
        self.timestamps.len()
    }

    /// What a person wants to know of it.
    pub fn sentence(&self) -> String {
        let camera = self.serial.as_ref().map_or(String::new(), |serial| format!(" of camera {serial}"));
        format!(
            "{} pictures{camera}, {}, read by {}, {}{}",
            self.frames(),
            self.compression,
            self.provider,
            match self.rectified {
                Some(true) => "rectified",
                Some(false) => "not rectified (as the lens drew them)",
                None => "rectified or not, nobody says",
            },
            match self.clock {
                Clock::Boot => "; its timestamps are of a clock that began at a boot: when it was taken is not known",
                Clock::Unix | Clock::Start => "",
            }
        )
    }

    /// The usual distance of two pictures, in nanoseconds.
    pub fn interval(&self) -> Option<u64> {
        let mut intervals: Vec<_> =
            self.timestamps.windows(2).map(|pair| pair[1] - pair[0]).filter(|&interval| interval > 0).collect();
        let middle = intervals.len() / 2;
        (!intervals.is_empty()).then(|| *intervals.select_nth_unstable(middle).1)
    }
}

/// What a range of a recording lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Losses {
    /// Pictures that are damaged in the file, or refer to one that is.
    pub damaged: usize,
    /// Runs of neighbours among those.
    pub runs: usize,
    /// Pictures that the decoder gave nothing for.
    pub undecoded: usize,
    /// Bytes of the file that are nothing known.
    pub unreadable_bytes: u64,
    /// The file ends in the middle of something.
    pub cut: bool,
}

/// A recording of one camera.
pub trait Recording {
    fn facts(&self) -> &Facts;

    /// Begins with the first picture of a range of picture numbers; also when another was begun.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure>;

    /// The next picture of the range that can be shown.
    ///
    /// # Errors
    /// When it cannot be read or decoded, or [`Failure::Interrupted`].
    fn next(&mut self) -> Result<Option<Picture>, Failure>;

    /// What the range lacked, when it has been read to its end.
    fn losses(&self) -> Losses;
}
