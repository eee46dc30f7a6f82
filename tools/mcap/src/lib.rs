//! What an MCAP file of ours holds: schemas, writer, readers, index, coded depth and access units.

#![warn(missing_docs)]

pub mod bones;
pub mod camera;
pub mod channel;
pub mod decoder;
pub mod depth;
pub mod depth_map;
pub mod framing;
pub mod index;
pub mod reader;
pub mod rvl;
pub mod scene;
pub mod schema;
pub mod segment;
pub mod topics;
pub mod walk;
pub mod writer;
