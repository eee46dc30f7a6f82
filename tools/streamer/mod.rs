//! `cvmmap_streamer`: a producer's frames, encoded once or by the producer itself, to RTP and RTMP.

mod complaint;
mod encode_time;
mod encoder;
mod endpoint;
mod events;
mod handoff;
mod ingest;
mod latency;
mod log;
pub mod options;
mod outlet;
mod padding;
mod parameter_sets;
pub mod plan;
mod planar;
mod recorder_service;
mod rtmp_url;
pub mod run;
mod sdp;
mod stage;
mod stream;
mod subject;
mod summary;
mod supervisor;
mod timebase;
mod watchdog;
