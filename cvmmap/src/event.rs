//! What comes from a producer's endpoint.

use std::time::Instant;

use crate::{
    sync::{SyncError, SyncMessage},
    zmtp::Breach,
};

/// How an announcement was received. [`SnapshotReader`](crate::SnapshotReader) judges by it until when a copy is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it was received. It came then or earlier.
    pub at: Instant,
    /// Whether the reader was waiting for it, so that it came at [`at`](Self::at). A reader that was busy, or looks by a clock
    /// of its own, knows only that it came before. Say `false` when in doubt: that loses frames, and never lets a mixed one
    /// through.
    pub waited: bool,
}

/// What a [`Subscriber`](crate::Subscriber) has to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Frames were announced; this is the newest of them.
    Frame(SyncMessage),
    /// A message that is no announcement of this producer's was dropped. Its frames go on.
    Foreign(Foreign),
    /// Nothing came in time. Only [`wait`](crate::Subscriber::wait) with a timeout ends so.
    TimedOut,
    /// [`Waker::wake`](crate::Waker::wake) was called.
    Woken,
}

/// A message on the endpoint that is not the producer's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Foreign {
    /// Not a sync message.
    #[error(transparent)]
    Malformed(#[from] SyncError),
    /// A sync message of another label, as text; bytes that are no UTF-8 are replaced.
    #[error("sync message of '{0}'")]
    Label(String),
    /// Whoever is at the endpoint is no ZeroMQ publisher.
    #[error("no producer at the frame-sync endpoint: {0}")]
    Peer(#[from] Breach),
}
