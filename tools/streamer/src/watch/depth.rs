//! Depth live: the newest plane is packed once for all who watch, while somebody does.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::watch;
use tools_mcap::depth::{DepthCoding, DepthPlane};

/// Viewers at most: each is sent megabytes a second.
const VIEWERS_MAX: usize = 8;

/// A packed frame as it goes to viewers: capture time in nanoseconds (u64, little-endian), then the container.
pub type Frame = Arc<[u8]>;
/// Switches the copying of depth on or off.
type Switch = Box<dyn Fn(bool) + Send + Sync>;

/// Depth of a camera.
pub struct DepthFeed {
    planes: watch::Sender<Option<(u64, DepthPlane)>>,
    frames: watch::Sender<Option<Frame>>,
    viewers: AtomicUsize,
    /// Those who take planes as they are.
    others: AtomicUsize,
    is_packing: AtomicBool,
    switch: Mutex<Option<Switch>>,
}

impl std::fmt::Debug for DepthFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DepthFeed").field("viewers", &self.viewers).finish_non_exhaustive()
    }
}

impl Default for DepthFeed {
    fn default() -> Self {
        Self {
            planes: watch::Sender::new(None),
            frames: watch::Sender::new(None),
            viewers: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            is_packing: AtomicBool::new(false),
            switch: Mutex::new(None),
        }
    }
}

impl DepthFeed {
    /// A stream has depth from now on; `switch` has it copied or not.
    pub fn connect(&self, switch: Switch) {
        let mut known = self.switch.lock().unwrap_or_else(PoisonError::into_inner);
        switch(self.is_wanted());
        *known = Some(switch);
    }

    /// Takes in the depth of a frame; never waits.
    pub fn offer(&self, timestamp_ns: u64, plane: &DepthPlane) {
        self.planes.send_replace(Some((timestamp_ns, plane.clone())));
    }

    /// Frames from now on. `None` when enough watch already.
    pub fn watch(self: &Arc<Self>) -> Option<Watching> {
        self.viewers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |viewers| (viewers < VIEWERS_MAX).then_some(viewers + 1))
            .ok()?;
        let mut frames = self.frames.subscribe();
        frames.mark_unchanged();
        let watching = Watching { feed: Arc::clone(self), frames };
        self.settle();
        if !self.is_packing.swap(true, Ordering::SeqCst) {
            tokio::spawn(pack(Arc::clone(self)));
        }
        Some(watching)
    }

    /// Planes from now on, as they come.
    pub fn watch_planes(self: &Arc<Self>) -> WatchingPlanes {
        self.others.fetch_add(1, Ordering::SeqCst);
        let mut planes = self.planes.subscribe();
        planes.mark_unchanged();
        self.settle();
        WatchingPlanes { feed: Arc::clone(self), planes }
    }

    fn settle(&self) {
        let switch = self.switch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(switch) = switch.as_ref() {
            switch(self.is_wanted());
        }
    }

    fn is_wanted(&self) -> bool {
        self.viewers.load(Ordering::SeqCst) + self.others.load(Ordering::SeqCst) > 0
    }
}

/// One who watches.
#[derive(Debug)]
pub struct Watching {
    feed: Arc<DepthFeed>,
    /// The newest frame.
    pub frames: watch::Receiver<Option<Frame>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.feed.viewers.fetch_sub(1, Ordering::SeqCst);
        self.feed.settle();
    }
}

/// One who takes planes.
#[derive(Debug)]
pub struct WatchingPlanes {
    feed: Arc<DepthFeed>,
    /// The newest plane, with its time.
    pub planes: watch::Receiver<Option<(u64, DepthPlane)>>,
}

impl Drop for WatchingPlanes {
    fn drop(&mut self) {
        if self.feed.others.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.feed.planes.send_replace(None);
        }
        self.feed.settle();
    }
}

/// Packs the newest plane, and the newest after it, while somebody watches.
async fn pack(feed: Arc<DepthFeed>) {
    /// Without planes, it looks this often whether anybody watches.
    const IDLE: std::time::Duration = std::time::Duration::from_millis(500);
    let mut planes = feed.planes.subscribe();
    planes.mark_unchanged();
    loop {
        if feed.viewers.load(Ordering::SeqCst) == 0 {
            feed.planes.send_replace(None);
            feed.is_packing.store(false, Ordering::SeqCst);
            // One who came meanwhile found a task at work.
            if feed.viewers.load(Ordering::SeqCst) == 0 || feed.is_packing.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        if tokio::time::timeout(IDLE, planes.changed()).await.is_err() {
            continue;
        }
        let Some((time, plane)) = planes.borrow_and_update().clone() else {
            continue;
        };
        let packed = tokio::task::spawn_blocking(move || frame(time, &plane)).await;
        if let Ok(Some(packed)) = packed {
            feed.frames.send_replace(Some(packed));
        }
    }
}

fn frame(timestamp_ns: u64, plane: &DepthPlane) -> Option<Frame> {
    let packed = plane.message(DepthCoding::RvlU16, timestamp_ns, "")?.data;
    let mut frame = Vec::with_capacity(packed.len() + 8);
    frame.extend_from_slice(&timestamp_ns.to_le_bytes());
    frame.extend_from_slice(&packed);
    Some(frame.into())
}
