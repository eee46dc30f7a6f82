//! The file formats of recordings.

use std::path::Path;

use clap::ValueEnum;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Video, depth and bodies
    Mcap,
    /// Video
    Mp4,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Mcap, Self::Mp4];

    /// Its name in summaries and subjects.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mcap => "mcap",
            Self::Mp4 => "mp4",
        }
    }

    /// Whether the ending of a file's name says another format.
    pub fn contradicts(self, path: &Path) -> bool {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match self {
            Self::Mcap => matches!(&*ending, "mp4" | "m4v" | "mov"),
            Self::Mp4 => ending == "mcap",
        }
    }
}
