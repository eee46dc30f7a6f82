//! The cv-mmap protocol: how frames of a producer are named, found, read and published.
//!
//! A producer writes one frame at a time into POSIX shared memory and announces each by a ZeroMQ message. A [`Target`] or an
//! [`Address`] names it. [`Subscriber`] waits for announcements, in a thread or in an event loop, [`SnapshotReader`] copies
//! the announced frame out and knows whether it is whole, and [`Diagnosis`] says in words why none comes. [`Publisher`] is the
//! other side.
//!
//! ```no_run
#![doc = include_str!("../examples/read_frames.rs")]
//! ```
//!
//! The example `read_frames_tokio` does the same on tokio.
//!
//! # Threads
//! Everything is `Send`. Readers and publishers are for one thread at a time (`&mut self`); what is shared between threads is a
//! [`Waker`] and, of `nats`, a `Client`. Reading makes no thread; a publisher has libzmq's, and a client of `nats` one of its
//! own.
//!
//! From the first segment that is mapped on the crate handles `SIGBUS`, as somebody may cut a segment off under a copy: what is
//! not its own goes to the handler that was there before.
//!
//! # Features
//! `nats` (on by default): the module `nats`, with tokio and protobuf.
//!
//! # Errors
//! What the other side does is never a panic. Errors are enumerations that say what is wrong in words for a person; they may
//! grow.
//!
//! Source of every format fact: the cv-mmap IPC contract. All numbers are little-endian on the wire and in the segment.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod body;
#[cfg(feature = "nats")]
pub mod nats;

mod address;
mod alarm;
mod announcements;
mod coherence;
mod connection;
mod contact;
mod diagnosis;
mod event;
mod fences;
mod frame;
#[allow(unsafe_code)]
mod guarded_mapping;
mod header_first;
#[cfg(test)]
mod header_first_model;
mod incumbent;
mod lookout;
mod metadata;
mod permissions;
mod pixel;
mod pub_socket;
mod publish_error;
mod publisher;
mod reader;
mod segment;
mod shared_subscriber;
mod snapshot_error;
mod subscriber;
mod sync;
mod target;
mod waker;
mod zmtp;

pub use address::{Address, AddressError};
pub use coherence::Coherence;
pub use contact::Standing;
pub use diagnosis::{Diagnosis, Obstacle, Symptoms};
pub use event::{Arrival, Event, Foreign};
pub use frame::{Frame, PlaneImage};
pub use metadata::{
    Abi, Codec, DepthUnit, Encoded, MAGIC, METADATA_SIZE, Metadata, MetadataBytes, MetadataError, PLANES, Plane,
    PlaneKind,
};
pub use permissions::{Permissions, PermissionsError};
pub use pixel::{Depth, PixelFormat};
pub use publish_error::PublishError;
pub use publisher::Publisher;
pub use reader::{Snapshot, SnapshotReader};
pub use snapshot_error::SnapshotError;
pub use subscriber::Subscriber;
pub use sync::{LABEL_SIZE, SYNC_SIZE, SyncError, SyncMessage};
pub use target::{
    DEFAULT_NAMESPACE, DEFAULT_PREFIX, INSTANCE_MAX, IPC_PATH_MAX, NAMESPACE_MAX, SCHEME, Target, TargetError,
};
pub use waker::Waker;
pub use zmtp::Breach;

// For two threads that read with one subscriber, which takes care to do right. It may change with any version.
#[doc(hidden)]
pub use lookout::{Lookout, Seen};
#[doc(hidden)]
pub use shared_subscriber::SharedSubscriber;

/// What the documentation promises.
#[cfg(test)]
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_send::<Subscriber>();
    is_send::<SnapshotReader>();
    is_send::<Publisher>();
    is_shared::<Waker>();
    #[cfg(feature = "nats")]
    is_shared::<nats::Client>();
};
