//! What was made, for stdout.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::source::Losses;

/// What was made of what.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub output: PathBuf,
    pub encoder: &'static str,
    /// How the cameras' pictures belong together.
    pub policy: &'static str,
    pub clock: &'static str,
    /// Bundles that were written,
    pub bundles: usize,
    /// of these, those that lack a camera,
    pub partial: usize,
    /// and those that were not written, because their pictures are too far apart or damaged.
    pub dropped: usize,
    pub first_timestamp_ns: u64,
    pub last_timestamp_ns: u64,
    pub cameras: Vec<CameraSummary>,
}

/// What became of a camera.
#[derive(Debug, Serialize)]
pub struct CameraSummary {
    pub label: String,
    pub input: PathBuf,
    pub provider: &'static str,
    pub rectified: Option<bool>,
    /// Pictures in its part of the recording.
    pub frames: usize,
    pub written: usize,
    /// Written, with parts that the decoder guessed.
    pub concealed: usize,
    /// Pictures that go with no bundle.
    pub skipped: usize,
    pub depth: usize,
    pub poses: usize,
    #[serde(flatten)]
    pub losses: Losses,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "output: {}", self.output.display())?;
        writeln!(f, "encoder: {}", self.encoder)?;
        if self.policy != "copy" {
            writeln!(
                f,
                "bundles: {} ({}), {} of them partial; {} dropped",
                self.bundles, self.policy, self.partial, self.dropped
            )?;
        }
        for camera in &self.cameras {
            let Losses { damaged, runs, undecoded, unreadable_bytes, cut } = camera.losses;
            write!(
                f,
                "{}: {} of {} frames written, {} skipped, {damaged} damaged in {runs} runs, {undecoded} undecoded, {} \
                 concealed; {} depth, {} poses",
                camera.label,
                camera.written,
                camera.frames,
                camera.skipped,
                camera.concealed,
                camera.depth,
                camera.poses
            )?;
            if unreadable_bytes > 0 {
                write!(f, "; {unreadable_bytes} bytes unreadable")?;
            }
            writeln!(f, "{}", if cut { "; the file ends early" } else { "" })?;
        }
        writeln!(f, "timestamps: {} to {} ns, {} clock", self.first_timestamp_ns, self.last_timestamp_ns, self.clock)
    }
}
