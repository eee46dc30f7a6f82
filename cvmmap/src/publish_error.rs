//! Why a frame is not published.

use std::{io, path::PathBuf};

/// Why a frame is not published, or a producer not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Somebody publishes there.
    #[error("{0} belongs to a live producer; stop it, or take another name")]
    Busy(String),
    /// Somebody publishes in the segment, who is no publisher of this crate.
    #[error("segment {path} belongs to a live producer: {how}; stop it, or take another name")]
    Taken {
        /// Path of the segment.
        path: PathBuf,
        /// What shows that it is alive.
        how: String,
    },
    /// The address has no label, and a producer needs one.
    #[error("a producer needs a label")]
    NoLabel,
    /// The segment cannot be made or written.
    #[error("segment {path}: {source}")]
    Segment {
        /// Path of the segment.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else cuts the segment off as fast as it is written.
    #[error("segment {0}: somebody keeps cutting it off; find and stop the program that truncates it")]
    CutOff(PathBuf),
    /// The endpoint cannot be made or written.
    #[error("endpoint {endpoint}: {source}")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// What ZeroMQ says.
        source: io::Error,
    },
    /// The frame cannot be described by the layout.
    #[error("{0}")]
    Frame(&'static str),
}
