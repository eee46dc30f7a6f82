//! The cv-mmap protocol: how frames of a producer are named, found, read and published.
//!
//! A producer writes one frame at a time into POSIX shared memory and announces each by a ZeroMQ message.
//! [`Subscriber`] waits for announcements, [`SnapshotReader`] copies the announced frame out, and [`Publisher`] is the
//! other side.
//!
//! ```no_run
#![doc = include_str!("../examples/read_frames.rs")]
//! ```
//!
//! Source of every format fact: the cv-mmap IPC contract.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod body;
#[cfg(feature = "nats")]
pub mod nats;

mod address;
mod coherence;
mod connection;
mod contact;
mod diagnosis;
mod fences;
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
mod publisher;
mod reader;
mod segment;
mod subscriber;
mod sync;
mod target;
mod zmtp;

pub use address::{Address, AddressError};
pub use coherence::Coherence;
pub use contact::Standing;
pub use diagnosis::{Diagnosis, Obstacle, Symptoms};
pub use lookout::{Lookout, Seen, Waker};
pub use metadata::{
    Abi, Codec, DepthUnit, Encoded, MAGIC, METADATA_SIZE, Metadata, MetadataBytes, MetadataError, PLANES, Plane,
    PlaneKind,
};
pub use permissions::{Permissions, PermissionsError};
pub use pixel::{Depth, PixelFormat};
pub use publisher::{Frame, PlaneImage, PublishError, Publisher};
pub use reader::{Snapshot, SnapshotError, SnapshotReader};
pub use subscriber::{Arrival, Event, Foreign, Subscriber};
pub use sync::{LABEL_SIZE, SYNC_SIZE, SyncError, SyncMessage};
pub use target::{
    DEFAULT_NAMESPACE, DEFAULT_PREFIX, INSTANCE_MAX, IPC_PATH_MAX, NAMESPACE_MAX, SCHEME, Target, TargetError,
};
pub use zmtp::Breach;
