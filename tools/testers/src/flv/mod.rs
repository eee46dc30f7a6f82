//! A strict reader of FLV tags: H.264, and both ways of packaging H.265 that are in use.
//!
//! "FLV" in these comments is the Adobe Flash Video File Format Specification 10.1, Annex E; "E-RTMP" is Enhanced
//! RTMP v2 (Veovera); "domestic" is the CDN-Union amendment of 2017 that gives H.265 codec id 12; "14496-15" is
//! the ISO document with the decoder configuration records.

pub mod amf0;
mod avc_config;
pub mod elementary;
pub mod fault;
pub mod file;
mod hevc_config;
mod metadata;
pub mod mode;
mod nal;
mod sound;
pub mod stream_check;
mod video_header;
mod warnings;
