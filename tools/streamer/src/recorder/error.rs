//! Why something is not recorded.

use std::{io, path::PathBuf};

use rustix::io::Errno;

/// Why a recording does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// One of the same format runs.
    #[error("{0} is being recorded; stop that first")]
    Busy(PathBuf),
    /// No file is named.
    #[error("the path names no file")]
    EmptyPath,
    /// The file would be outside the directory for recordings.
    #[error("{path} is not below {root}, where recordings go (--record-root)")]
    Outside {
        /// What was asked for.
        path: PathBuf,
        /// Where recordings go.
        root: PathBuf,
    },
    /// There is such a file.
    #[error("{0} exists and is not replaced; take another name")]
    Exists(PathBuf),
    /// No room is left.
    #[error("{0}: the disk is full; make room, or record elsewhere")]
    DiskFull(PathBuf),
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else went wrong.
    #[error("{path}: {why}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl RecordError {
    /// What the system said of a file.
    pub fn of(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            _ => Self::Io { path, source },
        }
    }

    /// [`RecordError::of`] for system calls.
    pub(super) fn from_errno(path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::of(path, errno)
    }
}
