//! GStreamer as the programs use it: elements, access units, capture times, pictures, running time.

pub mod annex_b;
pub mod capture_time;
pub mod elements;
pub mod mp4_boxes;
pub mod nats;
pub mod running_time;
pub mod x265;
