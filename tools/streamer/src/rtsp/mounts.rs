//! The cameras that players find, by path. They come and go while the server runs, and stay when it starts again.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use gst_rtsp_server::{RTSPClient, RTSPContext, RTSPMedia, RTSPMountPoints, prelude::*};

use super::camera::{Camera, Picture};

/// The cameras.
#[derive(Debug, Default)]
pub struct Mounts {
    /// GStreamer has to be there first.
    points: OnceLock<RTSPMountPoints>,
    cameras: Mutex<Vec<Arc<Camera>>>,
    listen: Mutex<Option<SocketAddr>>,
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
        let camera = Camera::new(name, picture);
        let mut cameras = self.cameras();
        cameras.retain(|other| other.name != name);
        cameras.push(Arc::clone(&camera));
        self.points().add_factory(&path(name), camera.factory().clone());
        Mount { mounts: Arc::clone(self), camera }
    }

    /// A client asks. Whether there is something to watch where the request goes; what is not there is another answer's affair.
    pub fn ask(&self, client: &RTSPClient, context: &RTSPContext) -> bool {
        self.find(context).is_none_or(|camera| camera.ask(client))
    }

    /// What a client asked was answered.
    pub fn answered(&self, client: &RTSPClient, context: &RTSPContext) {
        self.find(context).iter().for_each(|camera| camera.answered(client));
    }

    /// Lets go of pipelines that were held for too long.
    pub fn tidy(&self) {
        let cameras = self.cameras().clone();
        cameras.iter().for_each(|camera| camera.tidy());
    }

    /// Somebody begins to watch what a request is about.
    pub fn greet(&self, context: &RTSPContext) {
        self.find(context).iter().for_each(|camera| camera.greet());
    }

    /// Whether a pipeline is of a camera that is still the same.
    pub fn has(&self, media: &RTSPMedia) -> bool {
        self.cameras().iter().any(|camera| camera.has(media))
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
        drop(cameras);
        self.camera.release();
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
