//! The cameras of the program, by name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tokio::sync::broadcast;

use super::{
    camera::{Camera, News, Text},
    refusal::{Refused, refuse},
};

/// News that wait for one who watches; the oldest make room.
const NEWS_MAX: usize = 256;

/// Cameras that may be watched. They may change at any time.
#[derive(Debug)]
pub struct Cameras {
    cameras: Mutex<Vec<Arc<Camera>>>,
    news: News,
}

impl Default for Cameras {
    fn default() -> Self {
        Self { cameras: Mutex::default(), news: broadcast::Sender::new(NEWS_MAX) }
    }
}

impl Cameras {
    /// The camera of this name, which is made when there is none.
    pub fn add(&self, name: &str) -> Arc<Camera> {
        let mut cameras = self.lock();
        if let Some(camera) = cameras.iter().find(|camera| camera.name() == name) {
            return Arc::clone(camera);
        }
        let camera = Arc::new(Camera::new(name, &self.news));
        cameras.push(Arc::clone(&camera));
        camera
    }

    /// Forgets the camera of this name.
    pub fn remove(&self, name: &str) {
        self.lock().retain(|camera| camera.name() != name);
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Camera>> {
        self.lock().clone()
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.lock().iter().map(|camera| camera.name().to_owned()).collect()
    }

    /// The camera of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Camera>> {
        self.lock().iter().find(|camera| camera.name() == name).cloned()
    }

    /// The camera of this name, for who asks.
    ///
    /// # Errors
    /// 404 with what is there, or 503 while there is nothing yet.
    pub fn known(&self, name: &str) -> Result<Arc<Camera>, Refused> {
        self.find(name).ok_or_else(|| {
            let there = self.names();
            match &there[..] {
                [] => refuse(StatusCode::SERVICE_UNAVAILABLE, "there is no camera here yet"),
                [one] => refuse(StatusCode::NOT_FOUND, format!("there is no such camera here; there is {one}")),
                several => refuse(
                    StatusCode::NOT_FOUND,
                    format!("there is no such camera here; there are {}", several.join(", ")),
                ),
            }
        })
    }

    /// What each camera counted last, and what they count from now on.
    pub fn news(&self) -> (Vec<Text>, broadcast::Receiver<Text>) {
        let news = self.news.subscribe();
        (self.lock().iter().filter_map(|camera| camera.status()).collect(), news)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Camera>>> {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
