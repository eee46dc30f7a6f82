//! GStreamer as the programs use it: elements, encoders, access units, capture times, running time.

#![warn(missing_docs)]

pub mod annex_b;
pub mod capture_time;
pub mod codec;
pub mod elements;
pub mod encoders;
pub mod mp4_boxes;
pub mod nats;
pub mod running_time;
pub mod x265;
