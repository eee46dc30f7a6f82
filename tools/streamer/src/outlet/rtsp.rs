//! RTSP: players come and go, and share one pipeline.

mod media;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cvmmap::Codec;
use tools_cli::failure::Failure;

use super::{Outlet, feed::Feed};
use crate::{
    log::tell,
    rtsp::{Mount, Mounts, Picture},
};

/// How long the goodbye takes to the players that are there.
const GOODBYE: Duration = Duration::from_millis(100);
/// An encoder that gave nothing for so long has nothing to describe.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Serves one camera.
#[derive(Debug)]
pub struct Service {
    codec: Codec,
    place: Place,
    feed: Arc<Feed>,
    mount: Option<Mount>,
    plays: Arc<AtomicU64>,
    /// The run is over then.
    leaving: Option<Instant>,
}

/// Where players find the camera.
#[derive(Clone, Debug)]
pub struct Place {
    /// The cameras of the server,
    pub mounts: Arc<Mounts>,
    /// and the name of this one.
    pub name: String,
}

impl Service {
    /// Makes the output; nobody can come yet.
    pub fn new(codec: Codec, place: &Place, feed: Arc<Feed>) -> Self {
        Self { codec, place: place.clone(), feed, mount: None, plays: Arc::default(), leaving: None }
    }

    fn picture(&self) -> Picture {
        let alive = Arc::downgrade(&self.feed);
        let (asked, plays) = (Arc::downgrade(&self.feed), Arc::clone(&self.plays));
        Picture {
            factory: media::factory(self.codec, &self.feed),
            is_alive: Box::new(move || alive.upgrade().is_some_and(|feed| feed.is_alive(SILENCE_MAX))),
            greet: Box::new(move || {
                plays.fetch_add(1, Ordering::Relaxed);
                if let Some(feed) = asked.upgrade() {
                    feed.ask_for_keyframe();
                }
            }),
        }
    }
}

impl Outlet for Service {
    fn title(&self) -> String {
        format!("RTSP at {}", self.place.mounts.url(&self.place.name))
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.mount = Some(self.place.mounts.mount(&self.place.name, self.picture()));
        tell(&format!("{}: listening", self.title()));
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&mut self) {
        self.feed.finish();
        self.leaving = Some(Instant::now() + GOODBYE);
    }

    fn has_ended(&self) -> bool {
        self.leaving.is_some_and(|until| Instant::now() >= until)
    }

    fn fault(&self) -> Option<Failure> {
        None
    }

    fn state(&self) -> &'static str {
        match (&self.mount, self.feed.congestion()) {
            (Some(_), Some(_)) => "sending",
            (Some(_), None) => "waiting",
            (None, _) => "off",
        }
    }

    fn connects(&self) -> Option<u64> {
        Some(self.plays.load(Ordering::Relaxed))
    }

    fn stop(&mut self) {
        self.feed.detach();
        self.mount = None;
    }
}
