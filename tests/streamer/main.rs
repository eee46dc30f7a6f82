//! The launcher, from its command line to what arrives at receivers, servers and browsers that are not ours.

#[path = "../support/browser.rs"]
mod browser_support;
#[path = "../support/clip_camera/mod.rs"]
mod clip_camera;
#[path = "../support/encoding_camera/mod.rs"]
mod encoding_camera;
#[path = "../support/gap_counter.rs"]
mod gap_counter;
#[path = "../support/held.rs"]
mod held;
#[path = "../support/many.rs"]
mod many_support;
#[path = "../../cvmmap/tests/common/nats_server.rs"]
mod nats_server;
#[path = "../support/recorder.rs"]
mod recorder_support;
#[path = "../support/room/mod.rs"]
mod room;
#[path = "../support/rtp_session.rs"]
mod rtp_session;
#[path = "../support/rude_producer/mod.rs"]
mod rude_producer;
#[path = "../support/slow_relay/mod.rs"]
mod slow_relay;
#[path = "../support/stalled_disk/mod.rs"]
mod stalled_disk;
#[path = "../support/stand_in_encoders/mod.rs"]
mod stand_in_encoders;
#[path = "../support/streamer.rs"]
mod streamer_support;
#[path = "../support/without_x264.rs"]
mod without_x264;

mod browser;
mod capture_time;
mod controls;
mod ctl;
mod depth_track;
mod disk;
mod encoder;
mod fallback;
mod foxglove;
mod lifecycle;
mod many;
mod operate;
mod outlets;
mod outputs;
mod page;
mod passthrough;
mod pictures;
mod rate;
mod refusing_server;
mod rejections;
mod resets;
mod rtmps;
mod rtsp;
mod rtsp_many;
mod silence;
mod slate;
mod srt;
mod status;
mod whep;
