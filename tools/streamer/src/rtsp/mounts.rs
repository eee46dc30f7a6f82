//! The cameras that players find, by path. They come and go while the server runs, and stay when it starts again.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use gst::glib;
use gst_rtsp_server::{
    RTSP_PERM_MEDIA_FACTORY_ACCESS, RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, RTSPContext, RTSPMedia, RTSPMediaFactory,
    RTSPMountPoints, prelude::*,
};

/// What whoever may watch is.
pub const ROLE: &str = "viewer";

/// What is served of a camera.
pub struct Picture {
    /// Makes the pipeline when the first player comes.
    pub factory: RTSPMediaFactory,
    /// Whether there is something to watch at the moment.
    pub is_alive: Box<dyn Fn() -> bool + Send + Sync>,
    /// Somebody begins to watch.
    pub greet: Box<dyn Fn() + Send + Sync>,
}

/// The cameras.
#[derive(Debug, Default)]
pub struct Mounts {
    /// GStreamer has to be there first.
    points: OnceLock<RTSPMountPoints>,
    cameras: Mutex<Vec<Arc<Camera>>>,
    listen: Mutex<Option<SocketAddr>>,
}

struct Camera {
    name: String,
    picture: Picture,
    medias: Mutex<Vec<glib::WeakRef<RTSPMedia>>>,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Mounts {
    /// What the server looks into.
    pub fn points(&self) -> &RTSPMountPoints {
        self.points.get_or_init(RTSPMountPoints::new)
    }

    /// Where the server is from now on.
    pub fn listen(&self, at: SocketAddr) {
        *self.listen.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Where players find a camera.
    pub fn url(&self, name: &str) -> String {
        let listen = *self.listen.lock().unwrap_or_else(PoisonError::into_inner);
        format!("rtsp://{}{}", listen.map(|at| at.to_string()).unwrap_or_default(), path(name))
    }

    /// Serves the picture of the camera of this name, until what is returned is dropped.
    pub fn mount(self: &Arc<Self>, name: &str, picture: Picture) -> Mount {
        let may = gst::Structure::builder(ROLE)
            .field(RTSP_PERM_MEDIA_FACTORY_ACCESS, true)
            .field(RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, true)
            .build();
        picture.factory.add_role_from_structure(&may);
        let camera = Arc::new(Camera { name: name.to_owned(), picture, medias: Mutex::default() });
        let weak = Arc::downgrade(&camera);
        camera.picture.factory.connect_media_constructed(move |_, media| {
            if let Some(camera) = weak.upgrade() {
                let mut medias = camera.medias();
                medias.retain(|media| media.upgrade().is_some());
                medias.push(media.downgrade());
            }
        });
        let mut cameras = self.cameras();
        cameras.retain(|other| other.name != name);
        cameras.push(Arc::clone(&camera));
        self.points().add_factory(&path(name), camera.picture.factory.clone());
        Mount { mounts: Arc::clone(self), camera }
    }

    /// Whether there is something to watch where a request goes. What is not there is another answer's affair.
    pub fn is_alive(&self, context: &RTSPContext) -> bool {
        self.find(context).is_none_or(|camera| (camera.picture.is_alive)())
    }

    /// Somebody begins to watch what a request is about.
    pub fn greet(&self, context: &RTSPContext) {
        if let Some(camera) = self.find(context) {
            (camera.picture.greet)();
        }
    }

    /// Whether its camera is still the same.
    pub fn has(&self, media: &RTSPMedia) -> bool {
        let is_it = |known: &glib::WeakRef<RTSPMedia>| known.upgrade().is_some_and(|known| known == *media);
        self.cameras().iter().any(|camera| camera.medias().iter().any(is_it))
    }

    fn find(&self, context: &RTSPContext) -> Option<Arc<Camera>> {
        // Behind the first slash.
        let components = context.uri()?.decode_path_components();
        let name = components.get(1)?;
        self.cameras().iter().find(|camera| camera.name == name.as_str()).cloned()
    }

    fn cameras(&self) -> MutexGuard<'_, Vec<Arc<Camera>>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Camera {
    fn medias(&self) -> MutexGuard<'_, Vec<glib::WeakRef<RTSPMedia>>> {
        self.medias.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A camera that players find.
#[derive(Debug)]
pub struct Mount {
    mounts: Arc<Mounts>,
    camera: Arc<Camera>,
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut cameras = self.mounts.cameras();
        let before = cameras.len();
        cameras.retain(|other| !Arc::ptr_eq(other, &self.camera));
        // Another one may have taken its place.
        if cameras.len() < before {
            self.mounts.points().remove_factory(&path(&self.camera.name));
        }
    }
}

/// `name` as a path. Source: RFC 3986, 2.3.
pub fn path(name: &str) -> String {
    let mut path = "/".to_owned();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(path("cam0"), "/cam0");
        assert_eq!(path("front left/1"), "/front%20left%2F1");
    }
}
