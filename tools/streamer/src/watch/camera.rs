//! What is there of a camera for those who watch.

use std::sync::Arc;

use cvmmap::body::{Body, Packet};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::depth::DepthFeed;
use crate::outlet::Signalling;

/// JSON on its way to those who watch.
pub type Text = Arc<str>;

/// A camera.
#[derive(Debug)]
pub struct Camera {
    name: String,
    /// Where viewers ask for its picture.
    pub signalling: Arc<Signalling>,
    /// Its depth.
    pub depth: Arc<DepthFeed>,
    bodies: watch::Sender<Option<Text>>,
    status: watch::Sender<Option<Text>>,
}

impl Camera {
    /// Nothing is there of it yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            signalling: Arc::default(),
            depth: Arc::default(),
            bodies: watch::Sender::new(None),
            status: watch::Sender::new(None),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the camera that was asked for.
    ///
    /// # Errors
    /// What is there, in words for people.
    pub fn check_name(&self, name: &str) -> Result<(), String> {
        if name == self.name {
            return Ok(());
        }
        Err(format!("there is no such camera here; there is {}", self.name))
    }

    /// Skeletons from now on.
    pub fn bodies(&self) -> watch::Receiver<Option<Text>> {
        let mut bodies = self.bodies.subscribe();
        bodies.mark_unchanged();
        bodies
    }

    /// What is counted, from now on and the last of it at once.
    pub fn status(&self) -> watch::Receiver<Option<Text>> {
        let mut status = self.status.subscribe();
        status.mark_changed();
        status
    }

    /// A body-tracking packet came.
    pub fn show_bodies(&self, packet: &[u8]) {
        if self.bodies.receiver_count() > 0
            && let Ok(packet) = Packet::parse(packet)
        {
            self.bodies.send_replace(Some(bodies(&packet).to_string().into()));
        }
    }

    /// The streamer has counted again.
    pub fn show_status(&self, counts: &impl serde::Serialize) {
        let counts = serde_json::to_value(counts).unwrap_or(Value::Null);
        self.status.send_replace(Some(json!({ "camera": self.name, "counts": counts }).to_string().into()));
    }
}

/// A packet as JSON. What a producer does not know is NaN on the wire, and null here.
fn bodies(packet: &Packet) -> Value {
    let bodies = packet.bodies.iter().map(|body| {
        let count = usize::from(body.keypoint_count);
        let Body { id, confidence, position, keypoint_2d, keypoint_3d, keypoint_confidence, bounding_box_2d, .. } =
            body;
        json!({
            "id": id,
            "confidence": confidence,
            "position": position,
            "bounding_box_2d": bounding_box_2d,
            "keypoints_2d": keypoint_2d.iter().take(count).collect::<Vec<_>>(),
            "keypoints_3d": keypoint_3d.iter().take(count).collect::<Vec<_>>(),
            "keypoint_confidence": keypoint_confidence.iter().take(count).collect::<Vec<_>>(),
        })
    });
    json!({ "frame": packet.frame_id, "timestamp_ns": packet.timestamp_ns, "bodies": bodies.collect::<Vec<_>>() })
}
