//! Recordings of a running stream: what is in the files, read by programs that are not ours.

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/encoding_camera/mod.rs"]
mod encoding_camera;
#[path = "../../cvmmap/tests/common/nats_server.rs"]
mod nats_server;
#[path = "../support/recorder.rs"]
mod recorder_support;
#[path = "../support/rude_producer/mod.rs"]
mod rude_producer;
#[path = "../support/streamer.rs"]
mod streamer_support;

mod before;
mod damage;
mod mcap;
mod replay;
mod service;
