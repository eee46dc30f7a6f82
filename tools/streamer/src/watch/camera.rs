//! What is there of a camera for those who watch.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use cvmmap::body::{Body, Packet};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::desk::Desk;
use crate::{
    foxglove::{Live, channels::Channels},
    outlet::{Doors, RtspPlace},
    rtsp::Mounts,
    summary,
};

/// JSON on its way to those who watch.
pub type Text = Arc<str>;
/// What cameras count, as they count it.
pub type News = broadcast::Sender<Text>;

/// Where a camera stands.
#[derive(Clone, Debug)]
pub enum Condition {
    /// It runs.
    Running {
        /// Since when.
        since: Instant,
    },
    /// It is started again later.
    Waiting {
        /// Why it ended.
        why: String,
    },
    /// It did what it was asked to.
    Done,
}

/// States of an output that does what it is there for.
pub const UP: [&str; 2] = ["sending", "publishing"];

/// What a camera counted.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Its account.
    pub stream: summary::Stream,
    /// Bits a second since it counted before.
    pub bit_rate: Option<f64>,
    /// When it counted,
    pub at: Instant,
    /// and when there last was another frame.
    pub moved: Instant,
    /// Outputs that have to send and do not, since when.
    pub outputs_down: BTreeMap<String, Instant>,
}

impl Counts {
    fn after(before: Option<&Self>, stream: summary::Stream) -> Self {
        let at = Instant::now();
        // A camera that was started again counts from 0.
        let before = before.filter(|before| before.stream.frames_in <= stream.frames_in);
        let bit_rate = before.and_then(|before| {
            let seconds = at.duration_since(before.at).as_secs_f64();
            let bytes = stream.encoded_bytes.checked_sub(before.stream.encoded_bytes)?;
            (seconds > 0.0).then(|| bytes as f64 * 8.0 / seconds)
        });
        let moved = before.filter(|before| before.stream.frames_in == stream.frames_in);
        let moved = moved.map_or(at, |before| before.moved);
        let since = |name: &String| before.and_then(|before| before.outputs_down.get(name)).copied();
        // One that only sends to who asks is as well when nobody does.
        let down = stream.outputs.iter().filter(|(_, output)| !UP.contains(&output.state) && output.state != "waiting");
        let outputs_down = down.map(|(name, _)| (name.clone(), since(name).unwrap_or(at))).collect();
        Self { stream, bit_rate, at, moved, outputs_down }
    }
}

/// A camera.
#[derive(Debug)]
pub struct Camera {
    name: String,
    /// Where those who watch ask for it.
    pub doors: Doors,
    bodies: watch::Sender<Option<Text>>,
    status: Mutex<Option<Text>>,
    counts: Mutex<Option<Arc<Counts>>>,
    starts: AtomicU64,
    condition: Mutex<Condition>,
    desk: Mutex<Option<Arc<Desk>>>,
    news: News,
}

/// A desk that is open; it closes when this is dropped.
#[derive(Debug)]
pub struct OpenDesk(Arc<Camera>);

impl Drop for OpenDesk {
    fn drop(&mut self) {
        *self.0.desk.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Camera {
    /// Nothing is there of it yet; what it counts becomes `news`, Foxglove finds it among `channels`, and players among `mounts`.
    pub fn new(name: &str, news: &News, channels: &Arc<Channels>, mounts: &Arc<Mounts>) -> Self {
        let rtsp = RtspPlace { mounts: Arc::clone(mounts), name: name.to_owned() };
        let foxglove = Arc::new(Live::new(channels));
        Self {
            doors: Doors { signalling: Arc::default(), rtsp, foxglove, depth: Arc::default() },
            name: name.to_owned(),
            bodies: watch::Sender::new(None),
            status: Mutex::default(),
            counts: Mutex::default(),
            starts: AtomicU64::new(0),
            condition: Mutex::new(Condition::Waiting { why: "it has not started yet".to_owned() }),
            desk: Mutex::default(),
            news: news.clone(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    pub fn condition(&self) -> Condition {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It stands there from now on.
    pub fn set_condition(&self, condition: Condition) {
        if matches!(condition, Condition::Running { .. }) {
            self.starts.fetch_add(1, Ordering::Relaxed);
        }
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }

    /// From now on, something can be asked of it.
    pub fn open_desk(camera: &Arc<Self>, desk: Desk) -> OpenDesk {
        *camera.desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(desk));
        OpenDesk(Arc::clone(camera))
    }

    /// Where something can be asked of it, while it runs.
    pub fn desk(&self) -> Option<Arc<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Skeletons from now on.
    pub fn bodies(&self) -> watch::Receiver<Option<Text>> {
        let mut bodies = self.bodies.subscribe();
        bodies.mark_unchanged();
        bodies
    }

    /// What was counted last.
    pub fn status(&self) -> Option<Text> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A body-tracking packet came.
    pub fn show_bodies(&self, packet: &[u8]) {
        self.doors.foxglove.body(packet);
        if self.bodies.receiver_count() > 0
            && let Ok(packet) = Packet::parse(packet)
        {
            self.bodies.send_replace(Some(bodies(&packet).to_string().into()));
        }
    }

    /// What was counted last.
    pub fn counts(&self) -> Option<Arc<Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// The streamer has counted again.
    pub fn show_status(&self, stream: &summary::Stream) {
        {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            *counts = Some(Arc::new(Counts::after(counts.as_deref(), stream.clone())));
        }
        let counts = serde_json::to_value(stream).unwrap_or(Value::Null);
        let text = Text::from(json!({ "camera": self.name, "counts": counts }).to_string());
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&text));
        // Nobody has to listen.
        let _ = self.news.send(text);
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
