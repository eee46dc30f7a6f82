//! The queue between the ingest thread and `create()`: bounded, and the newest frame wins.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A bounded queue that drops its oldest entry for a new one.
pub(super) struct FrameQueue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

struct Inner<T> {
    frames: VecDeque<T>,
    capacity: usize,
    flushing: bool,
    failure: Option<String>,
}

/// What [`FrameQueue::pop`] ended with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Popped<T> {
    Frame(T),
    TimedOut,
    Flushing,
    Failed(String),
}

impl<T> FrameQueue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let frames = VecDeque::with_capacity(capacity);
        Self { inner: Mutex::new(Inner { frames, capacity, flushing: false, failure: None }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame; gives back the one that had to go for it.
    pub(super) fn push(&self, frame: T) -> Option<T> {
        let mut inner = self.lock();
        let dropped = if inner.frames.len() == inner.capacity { inner.frames.pop_front() } else { None };
        inner.frames.push_back(frame);
        self.changed.notify_one();
        dropped
    }

    /// Takes the oldest frame, waiting for one as long as `timeout` says, or for ever.
    pub(super) fn pop(&self, timeout: Option<Duration>) -> Popped<T> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut inner = self.lock();
        loop {
            if inner.flushing {
                return Popped::Flushing;
            }
            if let Some(frame) = inner.frames.pop_front() {
                return Popped::Frame(frame);
            }
            if let Some(failure) = &inner.failure {
                return Popped::Failed(failure.clone());
            }
            inner = match deadline {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Popped::TimedOut;
                    }
                    self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// While flushing, nothing waits.
    pub(super) fn set_flushing(&self, flushing: bool) {
        self.lock().flushing = flushing;
        self.changed.notify_all();
    }

    /// Ends the queue behind the frames in it.
    pub(super) fn fail(&self, why: String) {
        self.lock().failure.get_or_insert(why);
        self.changed.notify_all();
    }

    /// Throws away what waits.
    pub(super) fn clear(&self) {
        self.lock().frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frames_win() {
        let queue = FrameQueue::new(2);
        assert_eq!(queue.push(1), None);
        assert_eq!(queue.push(2), None);
        assert_eq!(queue.push(3), Some(1));
        assert_eq!(queue.pop(None), Popped::Frame(2));
        assert_eq!(queue.pop(None), Popped::Frame(3));
        assert_eq!(queue.pop(Some(Duration::ZERO)), Popped::TimedOut);
    }

    #[test]
    fn a_failure_comes_behind_the_frames() {
        let queue = FrameQueue::new(1);
        queue.push(1);
        queue.fail("gone".into());
        assert_eq!(queue.pop(None), Popped::Frame(1));
        assert_eq!(queue.pop(None), Popped::Failed("gone".into()));
    }

    #[test]
    fn flushing_ends_a_wait_and_holds_until_it_is_taken_back() {
        let queue = FrameQueue::new(1);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.pop(None));
            queue.set_flushing(true);
            assert_eq!(waiter.join().unwrap(), Popped::Flushing);
        });
        queue.push(1);
        assert_eq!(queue.pop(None), Popped::Flushing);
        queue.set_flushing(false);
        assert_eq!(queue.pop(None), Popped::Frame(1));
    }
}
