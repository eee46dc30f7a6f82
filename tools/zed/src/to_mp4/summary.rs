//! What was made, for stdout.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::source::Losses;

/// What was made of what.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub output: PathBuf,
    pub encoder: &'static str,
    pub provider: &'static str,
    pub rectified: Option<bool>,
    /// Of the range that was asked for.
    pub frames: usize,
    pub written: usize,
    /// Written, with parts that the decoder guessed.
    pub concealed: usize,
    #[serde(flatten)]
    pub losses: Losses,
    pub clock: &'static str,
    pub first_timestamp_ns: u64,
    pub last_timestamp_ns: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Losses { damaged, runs, undecoded, unreadable_bytes, cut } = self.losses;
        writeln!(f, "output: {}", self.output.display())?;
        writeln!(f, "encoder: {}", self.encoder)?;
        writeln!(f, "frames: {} of {} written", self.written, self.frames)?;
        writeln!(f, "damaged: {damaged} frames in {runs} runs, {unreadable_bytes} bytes unreadable")?;
        writeln!(f, "undecoded: {undecoded} frames")?;
        writeln!(f, "concealed: {} frames", self.concealed)?;
        writeln!(f, "file ends early: {}", if cut { "yes" } else { "no" })?;
        writeln!(f, "timestamps: {} to {} ns, {} clock", self.first_timestamp_ns, self.last_timestamp_ns, self.clock)
    }
}
