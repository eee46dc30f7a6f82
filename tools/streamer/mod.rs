//! `cvmmap_streamer`: a producer's frames, encoded once, to RTP and RTMP.

mod complaint;
mod encode_time;
mod encoder;
mod endpoint;
mod latency;
pub mod options;
mod outlet;
mod padding;
mod pipeline;
pub mod plan;
mod rtmp_url;
pub mod run;
mod sdp;
mod summary;
mod supervisor;
