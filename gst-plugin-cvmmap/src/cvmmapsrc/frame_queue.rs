//! The queue between the ingest thread and `create()`: bounded, and the newest frames win.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::lock::lock;

/// A bounded queue that drops its oldest frames for a new one, and those that are no use without them. It starts paused.
pub(super) struct FrameQueue<T, E> {
    inner: Mutex<Inner<T, E>>,
    changed: Condvar,
}

struct Inner<T, E> {
    frames: VecDeque<T>,
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

/// A frame, as far as the queue cares.
pub(super) trait Queued {
    /// Whether it is of use without the one before it.
    fn stands_alone(&self) -> bool;
    /// Memory that it holds.
    fn bytes(&self) -> usize;
}

/// How much may wait. One frame always may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

/// What a push cost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Frames that had to go.
    pub(super) dropped: u64,
    /// Whether the new frame is of no use without them, and was not taken.
    pub(super) orphaned: bool,
}

impl<T: Queued, E: Clone> FrameQueue<T, E> {
    pub(super) fn new() -> Self {
        let inner = Inner {
            frames: VecDeque::new(),
            playing: false,
            session: Session::default(),
            flushing: false,
            failure: None,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, E>> {
        lock(&self.inner)
    }

    /// The session that a frame would be of now; none while paused.
    pub(super) fn session(&self) -> Option<Session> {
        let inner = self.lock();
        inner.playing.then_some(inner.session)
    }

    /// Adds a frame of a session, unless that is over. While there is more than may wait, the oldest frame goes, and with
    /// it all that follow up to the next one that stands alone.
    pub(super) fn push(&self, frame: T, session: Session, limit: Limit) -> Pushed {
        let mut inner = self.lock();
        if !inner.playing || inner.session != session {
            return Pushed::default();
        }
        let frames = &mut inner.frames;
        let waiting = frames.len();
        let mut bytes = frames.iter().map(Queued::bytes).sum::<usize>() + frame.bytes();
        let mut broken = false;
        while let Some(oldest) = frames.front() {
            let too_much = frames.len() >= limit.frames || bytes > limit.bytes;
            if !too_much && (!broken || oldest.stands_alone()) {
                break;
            }
            bytes -= oldest.bytes();
            frames.pop_front();
            broken = true;
        }
        let dropped = (waiting - frames.len()) as u64;
        let orphaned = dropped > 0 && frames.is_empty() && !frame.stands_alone();
        if !orphaned {
            frames.push_back(frame);
            // The lock first, or the waiter would wake up only to wait for it.
            drop(inner);
            self.changed.notify_one();
        }
        Pushed { dropped, orphaned }
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

    /// A frame: its number, whether it stands alone, and its size.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Unit(u32, bool, usize);

    impl Queued for Unit {
        fn stands_alone(&self) -> bool {
            self.1
        }

        fn bytes(&self) -> usize {
            self.2
        }
    }

    impl Queued for u32 {
        fn stands_alone(&self) -> bool {
            true
        }

        fn bytes(&self) -> usize {
            0
        }
    }

    const TWO: Limit = Limit { frames: 2, bytes: usize::MAX };

    fn playing<T: Queued>() -> (FrameQueue<T, &'static str>, Session) {
        let queue = FrameQueue::new();
        queue.set_playing(true);
        let session = queue.session().unwrap();
        (queue, session)
    }

    #[test]
    fn the_newest_frames_win() {
        let (queue, session) = playing::<u32>();
        assert_eq!(queue.push(1, session, TWO), Pushed::default());
        assert_eq!(queue.push(2, session, TWO), Pushed::default());
        assert_eq!(queue.push(3, session, TWO), Pushed { dropped: 1, orphaned: false });
        assert_eq!(queue.peek(None, |frame| frame * 10), Popped::Frame(20));
        assert_eq!(queue.pop(None), Popped::Frame(2));
        assert_eq!(queue.pop(None), Popped::Frame(3));
        assert_eq!(queue.pop(Some(Duration::ZERO)), Popped::TimedOut);
    }

    /// What is left after pushes of keyframes (`K`) and of what depends on the frame before (`d`), numbered from 0.
    fn left(kinds: &str, limit: Limit) -> (Vec<u32>, Vec<u32>) {
        let (queue, session) = playing::<Unit>();
        let mut orphans = Vec::new();
        for (kind, number) in kinds.chars().zip(0..) {
            if queue.push(Unit(number, kind == 'K', 10), session, limit).orphaned {
                orphans.push(number);
            }
        }
        let mut left = Vec::new();
        while let Popped::Frame(unit) = queue.pop(Some(Duration::ZERO)) {
            left.push(unit.0);
        }
        (left, orphans)
    }

    #[test]
    fn what_depends_on_a_dropped_frame_goes_with_it() {
        let limit = Limit { frames: 4, bytes: usize::MAX };
        assert_eq!(left("KdKd", limit), (vec![0, 1, 2, 3], vec![]));
        assert_eq!(left("KdKdd", limit), (vec![2, 3, 4], vec![]));
        assert_eq!(left("ddKd", limit), (vec![0, 1, 2, 3], vec![]));
        assert_eq!(left("KKddd", limit), (vec![1, 2, 3, 4], vec![]));
        assert_eq!(left("KdddK", limit), (vec![4], vec![]));
        assert_eq!(left("Kdddd", limit), (vec![], vec![4]));
        assert_eq!(left("KdKdd", Limit { frames: 100, bytes: 40 }), (vec![2, 3, 4], vec![]));
        assert_eq!(left("K", Limit { frames: 100, bytes: 5 }), (vec![0], vec![]));
    }

    #[test]
    fn a_failure_comes_behind_the_frames() {
        let (queue, session) = playing::<u32>();
        queue.push(1, session, TWO);
        queue.fail("gone");
        assert_eq!(queue.pop(None), Popped::Frame(1));
        assert_eq!(queue.pop(None), Popped::Failed("gone"));
    }

    #[test]
    fn flushing_ends_a_wait_and_holds_until_it_is_taken_back() {
        let (queue, session) = playing::<u32>();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.pop(None));
            queue.set_flushing(true);
            assert_eq!(waiter.join().unwrap(), Popped::Flushing);
        });
        queue.push(1, session, TWO);
        assert_eq!(queue.pop(None), Popped::Flushing);
        queue.set_flushing(false);
        assert_eq!(queue.pop(None), Popped::Frame(1));
    }

    #[test]
    fn a_pause_throws_away_what_waits_and_what_comes_of_before_it() {
        let (queue, before) = playing::<u32>();
        queue.push(1, before, TWO);
        queue.set_playing(false);
        assert_eq!(queue.session(), None);
        queue.push(2, before, TWO);
        queue.set_playing(true);
        queue.push(3, before, TWO);
        assert_eq!(queue.pop(Some(Duration::ZERO)), Popped::TimedOut);
        queue.push(4, queue.session().unwrap(), TWO);
        assert_eq!(queue.pop(None), Popped::Frame(4));
    }

    #[test]
    fn no_wait_times_out_while_paused() {
        let (queue, _) = &playing::<u32>();
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
