//! The way of a frame from its announcement to `create()`.
//!
//! Two threads follow the producer by turns, with one [`Follower`]. The streaming thread does it while it waits in
//! `create()`, so that as a rule no other thread wakes for a frame. While it is away downstream the ingest thread, which
//! does nothing else, is the only one that waits, and queues what comes. So somebody waits for each announcement, as the
//! coherence rule wants it, and what may wait for a slow downstream does.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cvmmap::{Address, Coherence, Lookout, Seen};

use super::{
    canvas::Canvases,
    follower::{Captured, Failure, Follower, Shared},
    frame_queue::{FrameQueue, Next},
    plane::PlaneSettings,
    stats::Stats,
};
use crate::lock::{lock, try_lock};

/// What a wait for a frame ended with.
#[derive(Debug)]
pub(super) enum Popped<T> {
    Frame(T),
    TimedOut,
    Flushing,
    Paused,
    Failed(Failure),
}

/// A producer that is followed; dropping it ends that.
pub(super) struct Ingest {
    turns: Arc<Turns>,
    thread: Option<JoinHandle<()>>,
}

/// Who follows while `create()` waits.
enum Turn {
    Mine,
    /// The ingest thread was at it. It goes on until there is a frame.
    Theirs,
}

/// What both threads have.
struct Turns {
    shared: Arc<Shared>,
    follower: Mutex<Follower>,
    /// Where `create()` waits: the first to be woken.
    create: Arc<Lookout>,
    /// Where the ingest thread waits: woken by what comes while nobody waits in `create()`.
    behind: Arc<Lookout>,
    /// Nobody follows any more.
    is_over: AtomicBool,
}

impl Ingest {
    /// Connects to the producer and starts to follow it, paused.
    pub(super) fn start(
        address: &Address,
        coherence: Coherence,
        queue_size: u32,
        planes: PlaneSettings,
        stall_timeout: Option<Duration>,
        stats: Arc<Stats>,
        element: &gst::Element,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(stats));
        let told = Arc::clone(&shared);
        let mut follower = Follower::start(address, coherence, queue_size, planes, stall_timeout, told, element)?;
        let turns = Arc::new(Turns {
            shared,
            create: follower.subscriber.lookout(),
            behind: follower.subscriber.another_lookout()?,
            follower: Mutex::new(follower),
            is_over: AtomicBool::new(false),
        });
        let behind = Arc::clone(&turns);
        let thread = thread::Builder::new().name("cvmmap-ingest".to_owned()).spawn(move || behind.run())?;
        Ok(Self { turns, thread: Some(thread) })
    }

    /// The next frame. It is waited for as long as `timeout` says, or for ever, but not while paused.
    pub(super) fn pop(&self, timeout: Option<Duration>) -> Popped<Captured> {
        self.wait(timeout, FrameQueue::pop)
    }

    /// Like [`Ingest::pop`], and looks at the frame only.
    pub(super) fn peek<R>(&self, timeout: Option<Duration>, look: impl Fn(&Captured) -> R) -> Popped<R> {
        self.wait(timeout, |queue| queue.peek(&look))
    }

    fn wait<R>(
        &self,
        timeout: Option<Duration>,
        take: impl Fn(&FrameQueue<Captured, Failure>) -> Next<R, Failure>,
    ) -> Popped<R> {
        let since = Instant::now();
        let mut turn = Turn::Mine;
        loop {
            match take(&self.turns.shared.queue) {
                Next::Frame(taken) => return Popped::Frame(taken),
                Next::Flushing => return Popped::Flushing,
                Next::Paused => return Popped::Paused,
                Next::Failed(why) => return Popped::Failed(why),
                Next::Nothing => {}
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Popped::TimedOut;
            }
            turn = self.turns.wait(turn, left);
        }
    }

    /// Whether a frame is of the session that plays now.
    pub(super) fn is_current(&self, frame: &Captured) -> bool {
        self.turns.shared.queue.session() == Some(frame.session)
    }

    /// Where pictures are put.
    pub(super) fn canvases(&self) -> &Canvases {
        &self.turns.shared.canvases
    }

    /// While flushing, [`Ingest::pop`] does not wait.
    pub(super) fn set_flushing(&self, flushing: bool) {
        self.turns.shared.queue.set_flushing(flushing);
        self.turns.create.waker().wake();
    }

    /// Ends the stream behind the frames that wait.
    pub(super) fn end(&self) {
        self.turns.shared.queue.fail(Failure::Left);
        self.turns.create.waker().wake();
    }

    /// Frames are copied only while playing; see [`FrameQueue::set_playing`].
    pub(super) fn set_playing(&self, playing: bool) {
        self.turns.shared.queue.set_playing(playing);
        self.turns.create.waker().wake();
        // It is the one that looks whether nothing comes.
        self.turns.behind.waker().wake();
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.turns.is_over.store(true, Ordering::Relaxed);
        self.turns.behind.waker().wake();
        if let Some(thread) = self.thread.take() {
            // Its panic was caught and reported already.
            let _ = thread.join();
        }
    }
}

impl Turns {
    /// `create()` waits until something comes or until woken, and follows unless the ingest thread does; whose turn it is
    /// next.
    fn wait(&self, turn: Turn, longest: Option<Duration>) -> Turn {
        let seen = match turn {
            Turn::Mine => self.create.wait(longest),
            Turn::Theirs => self.create.stand_aside(longest),
        };
        match seen {
            Ok(Seen::Change) => {}
            Ok(Seen::Woken | Seen::Nothing) => return Turn::Mine,
            Err(error) => {
                self.fail(Failure::waiting(error));
                return Turn::Mine;
            }
        }
        let follower = try_lock(&self.follower);
        let turn = if follower.is_some() { Turn::Mine } else { Turn::Theirs };
        // A frame that the ingest thread has queued meanwhile is to be taken before it is replaced by the next.
        let mine = follower.filter(|_| !self.shared.queue.has_frames());
        let all = mine.is_some_and(|mut follower| {
            let again_at = follower.look_again_at();
            !self.follow(&mut follower) && follower.look_again_at() >= again_at
        });
        if !all {
            // Nobody else was told of the change, or looks again as early as it takes now.
            self.behind.waker().wake();
        }
        turn
    }

    /// The ingest thread: takes its turn whenever there is something left to take.
    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let (more, again_at) = {
                let mut follower = lock(&self.follower);
                (self.follow(&mut follower), follower.look_again_at())
            };
            if self.shared.queue.has_frames() {
                self.create.waker().wake();
            }
            if more {
                continue;
            }
            if let Err(error) = self.behind.wait(Some(again_at.saturating_duration_since(Instant::now()))) {
                self.fail(Failure::waiting(error));
            }
        }
    }

    /// Deals with what came, and gives whether there is more to take.
    fn follow(&self, follower: &mut Follower) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        self.guarded(|| follower.follow())
    }

    /// Ends the following when this fails or panics.
    fn guarded(&self, follow: impl FnOnce() -> Result<bool, Failure>) -> bool {
        let followed = catch_unwind(AssertUnwindSafe(follow));
        let followed = followed.unwrap_or_else(|_| Err(Failure::Ingest("following the producer panicked".to_owned())));
        followed.unwrap_or_else(|why| {
            self.fail(why);
            false
        })
    }

    fn fail(&self, why: Failure) {
        self.is_over.store(true, Ordering::Relaxed);
        self.shared.queue.fail(why);
        self.create.waker().wake();
        self.behind.waker().wake();
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    /// Follows a producer that does not come.
    fn waiting(playing: bool) -> Ingest {
        gst::init().unwrap();
        let address = Address::new("nobody", "ipc://@nobody", None).unwrap();
        let element = gst::Pipeline::new().upcast::<gst::Element>();
        let planes = PlaneSettings::default();
        let ingest = Ingest::start(&address, Coherence::Metadata, 1, planes, None, Arc::default(), &element).unwrap();
        ingest.set_playing(playing);
        ingest
    }

    /// What a wait gives, when something is done while it lasts or right before.
    fn popped(ingest: &Ingest, timeout: Option<Duration>, meanwhile: impl FnOnce()) -> Popped<Captured> {
        thread::scope(|scope| {
            let (starting, started) = std::sync::mpsc::channel();
            let waiter = scope.spawn(move || {
                starting.send(()).unwrap();
                ingest.pop(timeout)
            });
            started.recv().unwrap();
            thread::yield_now();
            meanwhile();
            waiter.join().unwrap()
        })
    }

    #[test]
    fn flushing_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.set_flushing(true)), Popped::Flushing));
        assert!(matches!(ingest.pop(None), Popped::Flushing), "until it is taken back");
        ingest.set_flushing(false);
        assert!(matches!(ingest.pop(Some(Duration::from_millis(1))), Popped::TimedOut));
    }

    #[test]
    fn the_end_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.end()), Popped::Failed(Failure::Left)));
    }

    #[test]
    fn a_pause_ends_a_wait() {
        let ingest = waiting(true);
        assert!(matches!(popped(&ingest, None, || ingest.set_playing(false)), Popped::Paused));
        assert!(matches!(ingest.pop(Some(Duration::ZERO)), Popped::Paused), "and does not count as one");
    }

    #[test]
    fn a_panic_is_told_as_a_failure_and_ends_the_following() {
        let ingest = waiting(true);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let caught = ingest.turns.guarded(|| panic!("in the middle of a frame"));
        std::panic::set_hook(hook);
        assert!(!caught);
        let Popped::Failed(Failure::Ingest(why)) = ingest.pop(None) else { panic!("not told") };
        assert!(why.contains("panicked"), "{why}");
    }
}
