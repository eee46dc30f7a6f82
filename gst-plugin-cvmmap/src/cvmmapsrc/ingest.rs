//! The thread that follows the producer: waits for announcements, copies the announced frames, queues them.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cvmmap::{Address, Coherence, Event, PlaneKind, SnapshotError, SnapshotReader, Subscriber, SyncMessage, Waker};
use gst::prelude::*;
use gst_video::prelude::*;

use super::{
    frame_queue::{FrameQueue, Popped, Session},
    imp::CAT,
    sequence::Step,
    stats::{Count, Stats},
};
use crate::picture::Picture;

/// A frame of the producer, copied.
pub(super) struct Captured {
    pub(super) buffer: gst::Buffer,
    pub(super) picture: Picture,
    pub(super) frame_id: u32,
    /// The producer's capture time, nanoseconds.
    pub(super) timestamp_ns: u64,
    /// When the announcement was received.
    pub(super) arrived: Instant,
    /// The stretch of playing that it was captured in.
    pub(super) session: Session,
}

/// Why no frame comes any more.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The producer's pictures cannot be shown.
    Picture(String),
    /// The thread cannot go on.
    Ingest(String),
}

/// What the ingest thread and the element share.
struct Shared {
    queue: FrameQueue<Captured, Failure>,
    /// Where buffers come from, once downstream has agreed to a picture.
    pool: Mutex<Option<(Picture, gst::BufferPool)>>,
    stats: Arc<Stats>,
    stopping: AtomicBool,
}

/// The running thread; dropping it ends it.
pub(super) struct Ingest {
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Ingest {
    /// Connects to the producer and starts to follow it, paused.
    pub(super) fn start(
        address: &Address,
        coherence: Coherence,
        queue_size: u32,
        stats: Arc<Stats>,
        element: &gst::Element,
    ) -> io::Result<Self> {
        let subscriber = Subscriber::connect(address)?;
        let waker = subscriber.waker();
        let shared = Arc::new(Shared {
            queue: FrameQueue::new(queue_size as usize),
            pool: Mutex::new(None),
            stats,
            stopping: AtomicBool::new(false),
        });
        let follower = Follower {
            shared: Arc::clone(&shared),
            subscriber,
            reader: SnapshotReader::new(address, coherence),
            last: None,
            name: element.name().to_string(),
        };
        let thread = thread::Builder::new().name("cvmmap-ingest".to_owned()).spawn(move || follower.run())?;
        Ok(Self { shared, waker, thread: Some(thread) })
    }

    /// The next frame; see [`FrameQueue::pop`].
    pub(super) fn pop(&self, timeout: Option<Duration>) -> Popped<Captured, Failure> {
        self.shared.queue.pop(timeout)
    }

    /// A look at the next frame; see [`FrameQueue::peek`].
    pub(super) fn peek<R>(&self, timeout: Option<Duration>, look: impl Fn(&Captured) -> R) -> Popped<R, Failure> {
        self.shared.queue.peek(timeout, look)
    }

    /// Whether a frame is of the session that plays now.
    pub(super) fn is_current(&self, frame: &Captured) -> bool {
        self.shared.queue.session() == Some(frame.session)
    }

    /// Tells where to take buffers for a picture from.
    pub(super) fn set_pool(&self, picture: Picture, pool: Option<gst::BufferPool>) {
        let mut known = self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner);
        *known = pool.map(|pool| (picture, pool));
    }

    /// While flushing, [`Ingest::pop`] does not wait.
    pub(super) fn set_flushing(&self, flushing: bool) {
        self.shared.queue.set_flushing(flushing);
    }

    /// Frames are copied only while playing; see [`FrameQueue::set_playing`].
    pub(super) fn set_playing(&self, playing: bool) {
        self.shared.queue.set_playing(playing);
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // Its panic was caught and reported already.
            let _ = thread.join();
        }
    }
}

/// The thread's own state.
struct Follower {
    shared: Arc<Shared>,
    subscriber: Subscriber,
    reader: SnapshotReader,
    /// The last announcement that was acted on.
    last: Option<SyncMessage>,
    /// Name of the element, for the log.
    name: String,
}

impl Follower {
    fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.follow()));
        let why = match ended {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => Failure::Ingest("the ingest thread panicked".to_owned()),
        };
        self.shared.queue.fail(why);
    }

    /// Follows the producer until told to stop, or until it sends what cannot be shown.
    fn follow(&mut self) -> Result<(), Failure> {
        loop {
            let event = self.subscriber.wait(None);
            let event = event.map_err(|error| Failure::Ingest(format!("waiting for frames: {error}")))?;
            if self.shared.stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            match event {
                Event::Frame(announced) => self.take(&announced)?,
                Event::Foreign(foreign) => {
                    if let Some(total) = self.shared.stats.note(Count::Foreign) {
                        gst::warning!(CAT, "{}: {foreign}; ignored ({total} so far)", self.name);
                    }
                }
                Event::TimedOut | Event::Woken => {}
            }
        }
    }

    /// Copies an announced frame and queues it, or counts why not.
    fn take(&mut self, announced: &SyncMessage) -> Result<(), Failure> {
        let arrived = Instant::now();
        let Some(session) = self.shared.queue.session() else {
            self.last = None;
            self.reader.observe(announced, arrived);
            return Ok(());
        };
        let stats = Arc::clone(&self.shared.stats);
        stats.add(Count::Announced, 1);
        if let Some(last) = self.last.replace(*announced) {
            match Step::between(last.frame_id, announced.frame_id) {
                Step::Next => {}
                Step::Same if *announced == last => {
                    stats.add(Count::Repeated, 1);
                    return Ok(());
                }
                Step::Lost(lost) => {
                    stats.add(Count::Skipped, lost.into());
                }
                Step::Same | Step::Restart => {
                    stats.add(Count::Restarts, 1);
                    gst::info!(CAT, "{}: frame {} after {}", self.name, announced.frame_id, last.frame_id);
                }
            }
        }
        match self.copy(announced, arrived) {
            Ok(Ok((buffer, picture))) => {
                stats.add(Count::Received, 1);
                let frame = Captured {
                    buffer,
                    picture,
                    frame_id: announced.frame_id,
                    timestamp_ns: announced.timestamp_ns,
                    arrived,
                    session,
                };
                if self.shared.queue.push(frame, session).is_some() {
                    stats.add(Count::Dropped, 1);
                }
                Ok(())
            }
            Ok(Err(refused)) => Err(Failure::Picture(refused)),
            Err(error) => {
                self.count(&error);
                Ok(())
            }
        }
    }

    /// One coherent copy. The inner error is a picture that cannot be shown at all.
    fn copy(
        &mut self,
        announced: &SyncMessage,
        arrived: Instant,
    ) -> Result<Result<(gst::Buffer, Picture), String>, SnapshotError> {
        let mut snapshot = self.reader.begin(announced, arrived)?;
        let Some(plane) = snapshot.metadata().plane(PlaneKind::Left).copied() else {
            return Ok(Err("the frame has no left plane".to_owned()));
        };
        let taken = Picture::of(&plane).and_then(|picture| Ok((picture, picture.video_info()?)));
        let (picture, info) = match taken {
            Ok(taken) => taken,
            Err(refused) => {
                // Refused for what it says, so it had better say it.
                snapshot.finish()?;
                return Ok(Err(refused));
            }
        };
        let mut buffer = self.shared.buffer(&picture, &info)?;
        let layout = buffer.get_mut().ok_or_else(|| no_memory("buffer is shared"))?;
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(layout, &info)
            .map_err(|_| no_memory("buffer cannot be written"))?;
        let stride = frame.plane_stride()[0];
        let target_stride = usize::try_from(stride).map_err(|_| no_memory("negative stride"))?;
        let data = frame.plane_data_mut(0).map_err(|_| no_memory("buffer without a plane"))?;
        snapshot.read_plane(&plane, data, target_stride)?;
        picture.complete(data, target_stride);
        drop(frame);
        snapshot.finish()?;
        Ok(Ok((buffer, picture)))
    }

    fn count(&self, error: &SnapshotError) {
        let (count, level) = match error {
            _ if error.is_torn() => (Count::Torn, gst::DebugLevel::Debug),
            SnapshotError::Learning => (Count::Late, gst::DebugLevel::Debug),
            SnapshotError::Late { allowed, .. } if allowed.is_zero() => (Count::Late, gst::DebugLevel::Warning),
            SnapshotError::Late { .. } => (Count::Late, gst::DebugLevel::Info),
            SnapshotError::Unavailable { .. } => (Count::Unavailable, gst::DebugLevel::Warning),
            _ => (Count::Invalid, gst::DebugLevel::Warning),
        };
        if let Some(total) = self.shared.stats.note(count) {
            gst::log_with_level!(CAT, level, "{}: frame dropped: {error} ({total} so far)", self.name);
        }
    }
}

impl Shared {
    /// A buffer for a picture: from downstream's pool when that is for this picture and has one to give.
    fn buffer(&self, picture: &Picture, info: &gst_video::VideoInfo) -> Result<gst::Buffer, SnapshotError> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, pool)) = pool.filter(|(agreed, _)| agreed == picture) {
            let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
            if let Ok(buffer) = pool.acquire_buffer(Some(&params)) {
                return Ok(buffer);
            }
        }
        // The first frame of a picture, or a pool that is being replaced or that downstream holds all buffers of.
        gst::Buffer::with_size(info.size()).map_err(|_| no_memory("no memory for a frame"))
    }
}

fn no_memory(what: &'static str) -> SnapshotError {
    SnapshotError::Read(io::Error::other(what))
}
