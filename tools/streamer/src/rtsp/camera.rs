//! A camera that players find, and the pipeline that they share. GStreamer would take it down when the last one leaves, in that
//! one's thread, and whoever comes meanwhile would find it half down. So it is held a little longer, and let go when nobody can
//! be about to take it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSPMedia, RTSPMediaFactory, RTSPMediaStatus,
    prelude::*,
};

/// What whoever may watch is.
pub const ROLE: &str = "viewer";
/// A pipeline that nobody watches and nobody asked for is held so long.
const HELD_MAX: Duration = Duration::from_secs(3);

/// What is served of a camera.
pub struct Picture {
    /// Makes the pipeline when the first player comes.
    pub factory: RTSPMediaFactory,
    /// Whether there is something to watch at the moment.
    pub is_alive: Box<dyn Fn() -> bool + Send + Sync>,
    /// Somebody begins to watch.
    pub greet: Box<dyn Fn() + Send + Sync>,
}

/// A camera.
pub struct Camera {
    pub name: String,
    picture: Picture,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The pipelines that are held: one, or one more that follows it.
    held: Vec<RTSPMedia>,
    /// When somebody last watched or asked for it.
    needed: Instant,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Camera {
    /// Nobody has asked for it yet.
    pub fn new(name: &str, picture: Picture) -> Arc<Self> {
        let may = gst::Structure::builder(ROLE)
            .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build();
        picture.factory.add_role_from_structure(&may);
        let state = Mutex::new(State { held: Vec::new(), needed: Instant::now() });
        let camera = Arc::new(Self { name: name.to_owned(), picture, state });
        let weak = Arc::downgrade(&camera);
        camera.factory().connect_media_constructed(move |_, media| {
            let camera = weak.clone();
            media.connect_prepared(move |media| {
                if let Some(camera) = camera.upgrade() {
                    camera.hold(media);
                }
            });
        });
        camera
    }

    /// What makes the pipeline.
    pub fn factory(&self) -> &RTSPMediaFactory {
        &self.picture.factory
    }

    /// Somebody asks for it. Whether there is something to watch.
    pub fn ask(&self) -> bool {
        let mut state = self.state();
        state.needed = Instant::now();
        state.held.retain(|media| media.status() != RTSPMediaStatus::Error || !let_go(media));
        drop(state);
        (self.picture.is_alive)()
    }

    /// Somebody begins to watch.
    pub fn greet(&self) {
        (self.picture.greet)();
    }

    /// Whether it has this pipeline.
    pub fn has(&self, media: &RTSPMedia) -> bool {
        self.state().held.contains(media)
    }

    /// Lets go of what nobody needs; these are watched.
    pub fn tidy(&self, watched: &[RTSPMedia]) {
        let mut state = self.state();
        if state.held.iter().any(|media| watched.contains(media)) {
            state.needed = Instant::now();
        }
        // Whoever asks waits for this.
        if state.needed.elapsed() > HELD_MAX {
            state.held.retain(|media| !let_go(media));
        }
    }

    /// Lets go of all.
    pub fn release(&self) {
        self.state().held.retain(|media| !let_go(media));
    }

    fn hold(&self, media: &RTSPMedia) {
        // It is prepared already: this counts one more who needs it.
        if media.prepare(None).is_ok() {
            self.state().held.push(media.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one less who needs a pipeline; it stops when that was the last one.
fn let_go(media: &RTSPMedia) -> bool {
    // One that broke has stopped.
    let _ = media.unprepare();
    true
}
