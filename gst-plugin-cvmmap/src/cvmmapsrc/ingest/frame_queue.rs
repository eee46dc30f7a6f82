//! The queue in front of `create()`: bounded, and the newest frames win.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use crate::lock::lock;

/// A bounded queue that drops its oldest frames for a new one, and those that are no use without them. It starts paused.
pub(crate) struct FrameQueue<T, E>(Mutex<Inner<T, E>>);

struct Inner<T, E> {
    frames: VecDeque<T>,
    playing: bool,
    session: Session,
    flushing: bool,
    failure: Option<E>,
}

/// One stretch of playing between two pauses or flushes: what was captured in another one is not the newest any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session(u64);

/// What [`FrameQueue::pop`] and [`FrameQueue::peek`] give.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T, E> {
    Frame(T),
    /// It is to be waited for.
    Nothing,
    /// There will be none before the next session.
    Paused,
    Flushing,
    Failed(E),
}

/// A frame, as far as the queue cares.
pub(crate) trait Queued {
    /// Whether it is of use without the one before it.
    fn stands_alone(&self) -> bool;
    /// Memory that it holds.
    fn bytes(&self) -> usize;
}

/// How much may wait. One frame always may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// What a push cost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Frames that had to go.
    pub(crate) dropped: u64,
    /// Whether the new frame is of no use without them, and was not taken.
    pub(crate) orphaned: bool,
}

impl<T: Queued, E: Clone> FrameQueue<T, E> {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            frames: VecDeque::new(),
            playing: false,
            session: Session::default(),
            flushing: false,
            failure: None,
        };
        Self(Mutex::new(inner))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, E>> {
        lock(&self.0)
    }

    /// The session that a frame would be of now; none while paused.
    pub(crate) fn session(&self) -> Option<Session> {
        let inner = self.lock();
        inner.playing.then_some(inner.session)
    }

    /// Adds a frame of a session, unless that is over. While there is more than may wait, the oldest frame goes, and with
    /// it all that follow up to the next one that stands alone.
    pub(crate) fn push(&self, frame: T, session: Session, limit: Limit) -> Pushed {
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
        }
        Pushed { dropped, orphaned }
    }

    /// Takes the oldest frame.
    pub(crate) fn pop(&self) -> Next<T, E> {
        self.next(VecDeque::pop_front)
    }

    /// Like [`FrameQueue::pop`], and looks at the frame only.
    pub(crate) fn peek<R>(&self, look: impl Fn(&T) -> R) -> Next<R, E> {
        self.next(|frames| frames.front().map(look))
    }

    fn next<R>(&self, take: impl FnOnce(&mut VecDeque<T>) -> Option<R>) -> Next<R, E> {
        let mut inner = self.lock();
        if inner.flushing {
            return Next::Flushing;
        }
        match (take(&mut inner.frames), &inner.failure) {
            (Some(taken), _) => Next::Frame(taken),
            (None, Some(failure)) => Next::Failed(failure.clone()),
            (None, None) if inner.playing => Next::Nothing,
            (None, None) => Next::Paused,
        }
    }

    /// Whether frames wait.
    pub(crate) fn has_frames(&self) -> bool {
        !self.lock().frames.is_empty()
    }

    /// Starts or ends a session. What waits is thrown away, and while paused nothing is taken in.
    pub(crate) fn set_playing(&self, playing: bool) {
        let mut inner = self.lock();
        inner.playing = playing;
        inner.session.0 += u64::from(playing);
        inner.frames.clear();
    }

    /// Throws away what waits, and what is on its way here.
    pub(crate) fn discard(&self) {
        let mut inner = self.lock();
        inner.session.0 += 1;
        inner.frames.clear();
    }

    /// While flushing, it gives nothing.
    pub(crate) fn set_flushing(&self, flushing: bool) {
        self.lock().flushing = flushing;
    }

    /// Ends the queue behind the frames in it.
    pub(crate) fn fail(&self, why: E) {
        self.lock().failure.get_or_insert(why);
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
        assert_eq!(queue.peek(|frame| frame * 10), Next::Frame(20));
        assert_eq!(queue.pop(), Next::Frame(2));
        assert_eq!(queue.pop(), Next::Frame(3));
        assert_eq!(queue.pop(), Next::Nothing);
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
        while let Next::Frame(unit) = queue.pop() {
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
        assert_eq!(queue.pop(), Next::Frame(1));
        assert_eq!(queue.pop(), Next::Failed("gone"));
    }

    #[test]
    fn flushing_holds_until_it_is_taken_back() {
        let (queue, session) = playing::<u32>();
        queue.set_flushing(true);
        queue.push(1, session, TWO);
        queue.fail("gone");
        assert_eq!(queue.pop(), Next::Flushing);
        queue.set_flushing(false);
        assert_eq!(queue.pop(), Next::Frame(1));
    }

    #[test]
    fn a_pause_throws_away_what_waits_and_what_comes_of_before_it() {
        let (queue, before) = playing::<u32>();
        queue.push(1, before, TWO);
        queue.set_playing(false);
        assert_eq!(queue.session(), None);
        queue.push(2, before, TWO);
        assert_eq!(queue.pop(), Next::Paused);
        queue.set_playing(true);
        queue.push(3, before, TWO);
        assert_eq!(queue.pop(), Next::Nothing);
        queue.push(4, queue.session().unwrap(), TWO);
        assert_eq!(queue.pop(), Next::Frame(4));
    }

    #[test]
    fn what_is_discarded_is_what_waits_and_what_comes_of_before_it() {
        let (queue, before) = playing::<u32>();
        queue.push(1, before, TWO);
        queue.discard();
        queue.push(2, before, TWO);
        assert_eq!(queue.pop(), Next::Nothing);
        queue.push(3, queue.session().unwrap(), TWO);
        assert_eq!(queue.pop(), Next::Frame(3));
    }
}
