//! What the element tests share: an address of their own, producers, pipelines and pictures.

// Every test file is a program of its own and takes what it needs.
#![allow(dead_code)]

pub mod picture;
pub mod place;
pub mod planes;
pub mod player;
pub mod producer;
pub mod stage_clock;
pub mod threads;

use std::{
    sync::Once,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long something may take on a busy machine before it counts as not happening.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// GStreamer, with the elements under test.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstcvmmap::plugin_register_static().unwrap();
    });
}

/// Polls for what no event tells of.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "not reached in {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Fails instead of hanging.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(work()));
    finished.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("not done in {PATIENCE:?}: {what}"))
}

/// Nanoseconds since the Unix epoch.
pub fn unix_now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}
