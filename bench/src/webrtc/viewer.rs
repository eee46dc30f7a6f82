//! One who watches, and when it saw what.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    pace::unix_now,
    player::{self, Player},
};

/// What it has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// From the offer to the first picture that needs no other.
    pub first_picture: Option<Duration>,
    /// Access units that tell their time: published and arrived, nanoseconds since the Unix epoch.
    pub units: Vec<(u64, u64)>,
    /// The sender ended the session.
    pub was_left: bool,
}

/// Watches from its start until it is dropped.
pub struct Viewer {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    pub fn start(port: u16, camera: &str) -> Self {
        let (seen, ended) = <(Arc<Mutex<Seen>>, Arc<AtomicBool>)>::default();
        let (noted, until, camera) = (Arc::clone(&seen), Arc::clone(&ended), camera.to_owned());
        let thread = thread::spawn(move || {
            let mut player = Player::start(port, &camera);
            let offered = player.started;
            let plays = player.play(|picture| {
                let now = unix_now();
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                if noted.first_picture.is_none() && is_keyframe(&picture.data) {
                    noted.first_picture = Some(offered.elapsed());
                }
                noted.units.extend(super::camera::published(&picture.data).map(|published| (published, now)));
                until.load(Ordering::Relaxed)
            });
            noted.lock().unwrap_or_else(PoisonError::into_inner).was_left = !plays;
            if plays {
                player::ask(port, "DELETE", &player.session, &[], b"");
            }
        });
        Self { seen, ended, thread: Some(thread) }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is nothing more to come from it.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it complained of is printed.
            let _ = thread.join();
        }
    }
}

/// Source: ITU-T H.264, table 7-1.
fn is_keyframe(unit: &[u8]) -> bool {
    unit.windows(4).any(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == 5)
}
