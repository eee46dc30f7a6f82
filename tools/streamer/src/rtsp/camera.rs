//! A camera that players find, and the pipeline that they share. GStreamer takes it down when the last one leaves, in that one's
//! thread; whoever comes meanwhile waits until it is down, and gets another one. Who comes before that holds it until the
//! request is answered.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::glib;
use gst_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSPClient, RTSPMedia, RTSPMediaFactory,
    RTSPMediaStatus, prelude::*,
};

/// What whoever may watch is.
pub const ROLE: &str = "viewer";
/// A pipeline is down by then.
const DOWN_MAX: Duration = Duration::from_secs(1);
/// One that is made at the moment looks like one that is down; this often it is looked at again.
const LOOK: Duration = Duration::from_millis(10);
/// A request that was refused is not told of: what it holds is let go after so long.
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
    /// Pipelines that are not down yet.
    medias: Mutex<Vec<glib::WeakRef<RTSPMedia>>>,
    is_down: Condvar,
    held: Mutex<Vec<Held>>,
}

/// A pipeline that may not be taken down yet.
struct Held {
    media: RTSPMedia,
    by: glib::WeakRef<RTSPClient>,
    since: Instant,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Camera {
    /// Nobody watches yet.
    pub fn new(name: &str, picture: Picture) -> Arc<Self> {
        let may = gst::Structure::builder(ROLE)
            .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build();
        picture.factory.add_role_from_structure(&may);
        let (medias, is_down, held) = (Mutex::default(), Condvar::new(), Mutex::default());
        let camera = Arc::new(Self { name: name.to_owned(), picture, medias, is_down, held });
        let weak = Arc::downgrade(&camera);
        camera.factory().connect_media_constructed(move |_, media| {
            let Some(camera) = weak.upgrade() else {
                return;
            };
            camera.medias().push(media.downgrade());
            let weak = weak.clone();
            // Behind the factory, which forgets it then.
            let forget = glib::RustClosure::new(move |values| {
                let media = values.first().and_then(|value| value.get::<RTSPMedia>().ok());
                if let (Some(camera), Some(media)) = (weak.upgrade(), media) {
                    camera.forget(&media);
                }
                None
            });
            media.connect_closure("unprepared", true, forget);
        });
        camera
    }

    /// What makes the pipeline.
    pub fn factory(&self) -> &RTSPMediaFactory {
        &self.picture.factory
    }

    /// Somebody asks for it, in a thread that may wait. Whether there is something to watch.
    pub fn ask(&self, client: &RTSPClient) -> bool {
        self.answered(client);
        let until = Instant::now() + DOWN_MAX;
        while !self.hold(client) && Instant::now() < until {
            // Told of, or looked at again.
            let waited = self.is_down.wait_timeout(self.medias(), LOOK);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        (self.picture.is_alive)()
    }

    /// What somebody asked for was answered.
    pub fn answered(&self, client: &RTSPClient) {
        self.let_go(|held| held.by.upgrade().as_ref() == Some(client));
    }

    /// Lets go of what was held for too long.
    pub fn tidy(&self) {
        self.let_go(|held| held.since.elapsed() > HELD_MAX);
    }

    /// Lets go of all.
    pub fn release(&self) {
        self.let_go(|_| true);
    }

    /// Holds the pipeline that is there. False while there is one that goes down, or is not up yet.
    fn hold(&self, client: &RTSPClient) -> bool {
        let known = self.medias().iter().filter_map(glib::WeakRef::upgrade).collect::<Vec<_>>();
        known.into_iter().all(|media| match media.status() {
            RTSPMediaStatus::Prepared | RTSPMediaStatus::Suspended => {
                // It counts one more who needs it, unless it goes down since.
                let is_held = media.prepare(None).is_ok();
                if is_held {
                    self.held().push(Held { media, by: client.downgrade(), since: Instant::now() });
                }
                is_held
            }
            RTSPMediaStatus::Error => true,
            _ => false,
        })
    }

    fn let_go(&self, is_over: impl Fn(&Held) -> bool) {
        let gone = self.held().extract_if(.., |held| is_over(held)).collect::<Vec<_>>();
        // One that broke is down.
        gone.iter().for_each(|held| drop(held.media.unprepare()));
    }

    /// Somebody begins to watch.
    pub fn greet(&self) {
        (self.picture.greet)();
    }

    /// Whether it has this pipeline.
    pub fn has(&self, media: &RTSPMedia) -> bool {
        self.medias().iter().any(|known| known.upgrade().as_ref() == Some(media))
    }

    fn forget(&self, media: &RTSPMedia) {
        self.medias().retain(|known| known.upgrade().is_some_and(|known| known != *media));
        self.is_down.notify_all();
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn medias(&self) -> MutexGuard<'_, Vec<glib::WeakRef<RTSPMedia>>> {
        self.medias.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
