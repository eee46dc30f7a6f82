//! Two threads follow the producer by turns, with one [`Follower`].
//!
//! The streaming thread does it while it waits in `create()`, so that as a rule no other thread wakes for a frame. While it
//! is away downstream the ingest thread, which does nothing else, is the only one that waits, and queues what comes. So
//! somebody waits for each announcement, as the coherence rule wants it, and what may wait for a slow downstream does.
//!
//! `turns_model.rs` runs this file in the orders that two threads, a producer and somebody who ends a wait can come in. For
//! that, everything the threads meet at comes from the modules beside it. `turns_states.rs` has these steps once more, and goes
//! through every order.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    follower::{Captured, Failure, Follower, Shared},
    frame_queue::{FrameQueue, Next},
    meeting::{AtomicBool, Lookout, Mutex, Ordering, Seen, lock, try_lock},
};

/// What a wait for a frame ended with.
#[derive(Debug)]
pub(crate) enum Popped<T> {
    Frame(T),
    TimedOut,
    Flushing,
    Paused,
    Failed(Failure),
}

/// Who follows while `create()` waits.
enum Turn {
    Mine,
    /// The ingest thread was at it. It goes on until there is a frame.
    Theirs,
}

/// What both threads have.
pub(crate) struct Turns {
    shared: Arc<Shared>,
    follower: Mutex<Follower>,
    /// Where `create()` waits: the first to be woken.
    create: Arc<Lookout>,
    /// Where the ingest thread waits: woken by what comes while nobody waits in `create()`.
    behind: Arc<Lookout>,
    /// Nobody follows any more.
    is_over: AtomicBool,
}

impl Turns {
    /// `behind` is the later one of the follower's two lookouts.
    pub(crate) fn new(shared: Arc<Shared>, follower: Follower, create: Arc<Lookout>, behind: Arc<Lookout>) -> Self {
        Self { shared, follower: Mutex::new(follower), create, behind, is_over: AtomicBool::new(false) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Has `create()` look at the queue again.
    pub(crate) fn wake_create(&self) {
        self.create.waker().wake();
    }

    /// Has [`Turns::run`] look again when it is to follow.
    pub(crate) fn wake_behind(&self) {
        self.behind.waker().wake();
    }

    /// Has [`Turns::run`] return.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake_behind();
    }

    /// In `create()`: takes something from the queue, and follows until there is something.
    pub(crate) fn wait<R>(
        &self,
        timeout: Option<Duration>,
        take: impl Fn(&FrameQueue<Captured, Failure>) -> Next<R, Failure>,
    ) -> Popped<R> {
        let since = Instant::now();
        let mut turn = Turn::Mine;
        loop {
            match take(&self.shared.queue) {
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
            turn = self.wait_once(turn, left);
        }
    }

    /// `create()` waits until something comes or until woken, and follows unless the ingest thread does; whose turn it is
    /// next.
    fn wait_once(&self, turn: Turn, longest: Option<Duration>) -> Turn {
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
    pub(crate) fn run(&self) {
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
    pub(crate) fn guarded(&self, follow: impl FnOnce() -> Result<bool, Failure>) -> bool {
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
