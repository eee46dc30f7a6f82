//! The queue between the ingest thread and `create()`: bounded, and the newest frame wins.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A bounded queue that drops its oldest entry for a new one. It starts paused.
pub(super) struct FrameQueue<T, E> {
    inner: Mutex<Inner<T, E>>,
    changed: Condvar,
}

struct Inner<T, E> {
    frames: VecDeque<T>,
    capacity: usize,
    playing: bool,
    session: Session,
    flushing: bool,
    failure: Option<E>,
}

/// One stretch of playing between two pauses: what was captured in another one is not the newest any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Session(u64);

/// What [`FrameQueue::pop`] and [`FrameQueue::peek`] ended with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Popped<T, E> {
    Frame(T),
    TimedOut,
    Flushing,
    Failed(E),
}

impl<T, E: Clone> FrameQueue<T, E> {
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner {
            frames: VecDeque::with_capacity(capacity),
            capacity,
            playing: false,
            session: Session::default(),
            flushing: false,
            failure: None,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that a frame would be of now; none while paused.
    pub(super) fn session(&self) -> Option<Session> {
        let inner = self.lock();
        inner.playing.then_some(inner.session)
    }

    /// Adds a frame of a session, unless that is over; gives back the one that had to go for it.
    pub(super) fn push(&self, frame: T, session: Session) -> Option<T> {
        let mut inner = self.lock();
        if !inner.playing || inner.session != session {
            return None;
        }
        let dropped = if inner.frames.len() == inner.capacity { inner.frames.pop_front() } else { None };
        inner.frames.push_back(frame);
        self.changed.notify_one();
        dropped
    }

    /// Takes the oldest frame, waiting for one as long as `timeout` says, or for ever. Paused time does not count.
    pub(super) fn pop(&self, timeout: Option<Duration>) -> Popped<T, E> {
        self.wait(timeout, VecDeque::pop_front)
    }

    /// Like [`FrameQueue::pop`], and looks at the frame only.
    pub(super) fn peek<R>(&self, timeout: Option<Duration>, look: impl Fn(&T) -> R) -> Popped<R, E> {
        self.wait(timeout, |frames| frames.front().map(&look))
    }

    fn wait<R>(&self, timeout: Option<Duration>, take: impl Fn(&mut VecDeque<T>) -> Option<R>) -> Popped<R, E> {
        let mut since = Instant::now();
        let mut inner = self.lock();
        loop {
            if inner.flushing {
                return Popped::Flushing;
            }
            if let Some(taken) = take(&mut inner.frames) {
                return Popped::Frame(taken);
            }
            if let Some(failure) = &inner.failure {
                return Popped::Failed(failure.clone());
            }
            inner = match timeout.filter(|_| inner.playing) {
                None => {
                    let inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                    since = Instant::now();
                    inner
                }
                Some(timeout) => {
                    let left = timeout.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return Popped::TimedOut;
                    }
                    self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Starts or ends a session. What waits is thrown away, and while paused nothing is taken in.
    pub(super) fn set_playing(&self, playing: bool) {
        let mut inner = self.lock();
        inner.playing = playing;
        inner.session.0 += u64::from(playing);
        inner.frames.clear();
        self.changed.notify_all();
    }

    /// While flushing, nothing waits.
    pub(super) fn set_flushing(&self, flushing: bool) {
        self.lock().flushing = flushing;
        self.changed.notify_all();
    }

    /// Ends the queue behind the frames in it.
    pub(super) fn fail(&self, why: E) {
        self.lock().failure.get_or_insert(why);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playing(capacity: usize) -> (FrameQueue<u32, &'static str>, Session) {
        let queue = FrameQueue::new(capacity);
        queue.set_playing(true);
        let session = queue.session().unwrap();
        (queue, session)
    }

    #[test]
    fn the_newest_frames_win() {
        let (queue, session) = playing(2);
        assert_eq!(queue.push(1, session), None);
        assert_eq!(queue.push(2, session), None);
        assert_eq!(queue.push(3, session), Some(1));
        assert_eq!(queue.peek(None, |frame| frame * 10), Popped::Frame(20));
        assert_eq!(queue.pop(None), Popped::Frame(2));
        assert_eq!(queue.pop(None), Popped::Frame(3));
        assert_eq!(queue.pop(Some(Duration::ZERO)), Popped::TimedOut);
    }

    #[test]
    fn a_failure_comes_behind_the_frames() {
        let (queue, session) = playing(1);
        queue.push(1, session);
        queue.fail("gone");
        assert_eq!(queue.pop(None), Popped::Frame(1));
        assert_eq!(queue.pop(None), Popped::Failed("gone"));
    }

    #[test]
    fn flushing_ends_a_wait_and_holds_until_it_is_taken_back() {
        let (queue, session) = playing(1);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.pop(None));
            queue.set_flushing(true);
            assert_eq!(waiter.join().unwrap(), Popped::Flushing);
        });
        queue.push(1, session);
        assert_eq!(queue.pop(None), Popped::Flushing);
        queue.set_flushing(false);
        assert_eq!(queue.pop(None), Popped::Frame(1));
    }

    #[test]
    fn a_pause_throws_away_what_waits_and_what_comes_of_before_it() {
        let (queue, before) = playing(2);
        queue.push(1, before);
        queue.set_playing(false);
        assert_eq!(queue.session(), None);
        queue.push(2, before);
        queue.set_playing(true);
        queue.push(3, before);
        assert_eq!(queue.pop(Some(Duration::ZERO)), Popped::TimedOut);
        queue.push(4, queue.session().unwrap());
        assert_eq!(queue.pop(None), Popped::Frame(4));
    }

    #[test]
    fn no_wait_times_out_while_paused() {
        let (queue, _) = &playing(1);
        queue.set_playing(false);
        std::thread::scope(|scope| {
            let (starting, started) = std::sync::mpsc::channel();
            let waiter = scope.spawn(move || {
                starting.send(()).unwrap();
                queue.pop(Some(Duration::ZERO))
            });
            started.recv().unwrap();
            std::thread::yield_now();
            queue.fail("gone");
            assert_eq!(waiter.join().unwrap(), Popped::Failed("gone"));
        });
    }
}
