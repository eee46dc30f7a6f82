//! FLV byte code: tags, AMF0, codec records and the timeline. Knows nothing of GStreamer.
//!
//! Sources cited below: "FLV" is Adobe's *Video File Format Specification 10.1*, annex E; "E-RTMP" is Veovera's
//! *Enhanced RTMP v2*; "domestic" is the CDN-Union amendment of 2017 that gave H.265 the codec-id 12.

pub mod access_unit;
pub mod amf0;
pub mod audio;
pub mod avcc;
pub mod bytes;
pub mod color;
pub mod file_facts;
pub mod headers;
pub mod hvcc;
pub mod metadata;
pub mod parameter_sets;
pub mod picture;
pub mod session;
pub mod tag;
pub mod timeline;
pub mod track;
pub mod video;

#[cfg(test)]
mod robustness;
