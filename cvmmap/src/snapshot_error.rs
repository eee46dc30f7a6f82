//! Why there is no snapshot.

use std::{io, ops::Range, path::PathBuf, time::Duration};

use crate::metadata::{MetadataError, PlaneKind};

/// Why there is no snapshot of an announced frame, or no such plane in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// No segment of that name: the producer is not there, or left.
    #[error("segment {path}: {source}")]
    Unavailable {
        /// Path of the segment.
        path: PathBuf,
        /// What opening it says.
        source: io::Error,
    },
    /// The segment ended before the bytes that its metadata promise.
    #[error("the segment is shorter than its metadata say")]
    Truncated,
    /// The segment could not be read.
    #[error("reading the segment: {0}")]
    Read(io::Error),
    /// The metadata region describes no frame.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The segment holds another frame than the announced one.
    #[error("frame {announced} was announced, frame {found} stands in the segment, or its capture time differs")]
    Superseded {
        /// Frame id of the sync message.
        announced: u32,
        /// Frame id of the metadata.
        found: u32,
    },
    /// The frame has no plane of this kind.
    #[error("the frame has no {0} plane")]
    NoPlane(PlaneKind),
    /// The plane has fewer rows than were asked for.
    #[error("rows {} to {} of the {plane} plane were asked for, it has {height}", .rows.start, .rows.end)]
    NoRows {
        /// The plane.
        plane: PlaneKind,
        /// The rows that were asked for.
        rows: Range<u32>,
        /// Rows of the plane.
        height: u32,
    },
    /// The metadata changed while the payload was copied, or the payload was seen to change.
    #[error("the frame changed while it was copied")]
    Torn,
    /// Too few frames came by to know when the next one is written.
    #[error("the producer's cadence is not known yet")]
    Learning,
    /// The reader waited for none of the last announcements ([`Arrival::waited`](crate::Arrival::waited)): it was busy whenever one came, or looks by
    /// a clock of its own. So it cannot tell how late it is.
    #[error(
        "the reader waited for none of the last announcements and cannot know how late it is; wait for them in a \
         thread that only waits and copies, or copy less"
    )]
    NeverWaited,
    /// The next frame's write may have begun before the copy ended.
    #[error("the copy ended {by:?} after the frame's time, {allowed:?} is safe")]
    Late {
        /// How late the end of the copy is.
        by: Duration,
        /// How late it may be; 0 with a producer that writes faster than this reader can copy.
        allowed: Duration,
    },
}

impl SnapshotError {
    /// Whether the producer was writing while the frame was read; the next frame may be whole.
    pub fn is_torn(&self) -> bool {
        matches!(self, Self::Superseded { .. } | Self::Torn)
    }

    /// Whether nothing speaks against the frame, and nothing proves it whole.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Learning | Self::NeverWaited | Self::Late { .. })
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}
