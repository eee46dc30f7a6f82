//! Converters of ZED recordings, and batches of them.

#[path = "../support/batch.rs"]
mod batch_support;
#[path = "../../cvmmap/tests/common/nats_server.rs"]
mod nats_server;
#[path = "../support/recordings.rs"]
mod recordings_support;
#[path = "../support/stand_in_encoders/mod.rs"]
mod stand_in_encoders;
#[path = "../support/stand_in_zed/mod.rs"]
mod stand_in_zed;
#[path = "../support/program.rs"]
mod support;
#[path = "../support/without_x264.rs"]
mod without_x264;

mod batch;
mod batch_children;
mod batch_queue;
mod damaged_mp4;
mod encoders;
mod grid;
mod inputs;
mod rectified;
mod sdk;
mod to_mcap;
mod to_mp4;
