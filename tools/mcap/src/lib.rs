//! What an MCAP file of ours holds: schemas, writer, readers, coded depth and access units.

pub mod bones;
pub mod decoder;
pub mod depth;
pub mod depth_map;
pub mod reader;
pub mod rvl;
pub mod scene;
pub mod schema;
pub mod topics;
pub mod walk;
pub mod writer;
