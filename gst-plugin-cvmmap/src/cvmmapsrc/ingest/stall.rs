//! Notices that no frame comes, and says when that is to be told.

use std::time::{Duration, Instant};

use cvmmap::Symptoms;

use super::frame_queue::Session;

/// Longest pause between two warnings, unless the first one comes later than that.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Since when no frame came while playing, and what came instead.
pub(crate) struct Stall {
    /// None: it is never told.
    timeout: Option<Duration>,
    /// None while paused.
    playing: Option<Playing>,
    pub(crate) symptoms: Symptoms,
}

struct Playing {
    session: Session,
    since: Instant,
    due_at: Instant,
    /// From the next warning to the one behind it.
    pause: Duration,
    is_told: bool,
}

impl Stall {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, playing: None, symptoms: Symptoms::default() }
    }

    /// Follows the sessions of playing; each begins to wait anew.
    pub(crate) fn follow_session(&mut self, session: Option<Session>, now: Instant) {
        if self.playing.as_ref().map(|playing| playing.session) != session {
            self.begin(session, now);
        }
    }

    /// A frame came. Whether it was told that none did.
    pub(crate) fn note_frame(&mut self, session: Session, now: Instant) -> bool {
        let was_told = self.playing.as_ref().is_some_and(|playing| playing.is_told);
        self.begin(Some(session), now);
        was_told
    }

    fn begin(&mut self, session: Option<Session>, now: Instant) {
        self.symptoms = Symptoms::default();
        self.playing = session.zip(self.timeout).map(|(session, timeout)| Playing {
            session,
            since: now,
            due_at: now + timeout,
            pause: timeout * 2,
            is_told: false,
        });
    }

    /// When there may be something to tell.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.playing.as_ref().map(|playing| playing.due_at)
    }

    /// How long no frame has come, if that is to be told now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Duration> {
        let timeout = self.timeout?;
        let playing = self.playing.as_mut().filter(|playing| playing.due_at <= now)?;
        playing.due_at = now + playing.pause;
        playing.pause = (playing.pause * 2).min(PAUSE_MAX.max(timeout));
        playing.is_told = true;
        Some(now - playing.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds at which it is told within an hour, when a frame comes at none of them.
    fn told(stall: &mut Stall, began: Instant) -> Vec<u64> {
        let times = (0..3600).filter(|at| stall.take_due(began + SECOND * *at as u32).is_some());
        times.collect()
    }

    #[test]
    fn it_is_told_with_growing_pauses() {
        let began = Instant::now();
        let mut stall = Stall::new(Some(5 * SECOND));
        assert_eq!(told(&mut stall, began), [] as [u64; 0], "nothing is to come before it plays");
        stall.follow_session(Some(Session::default()), began);
        assert_eq!(told(&mut stall, began)[..8], [5, 15, 35, 75, 155, 315, 615, 915]);
    }

    #[test]
    fn a_frame_or_a_pause_begins_it_anew() {
        let began = Instant::now();
        let session = Session::default();
        let mut stall = Stall::new(Some(5 * SECOND));
        stall.follow_session(Some(session), began);
        assert_eq!(stall.take_due(began + 4 * SECOND), None);
        assert!(!stall.note_frame(session, began + 4 * SECOND), "none was told");
        assert_eq!(stall.take_due(began + 8 * SECOND), None);
        assert_eq!(stall.take_due(began + 9 * SECOND), Some(5 * SECOND));
        assert!(stall.note_frame(session, began + 10 * SECOND));
        assert_eq!(stall.due_at(), Some(began + 15 * SECOND));
        stall.follow_session(None, began + 14 * SECOND);
        assert_eq!(stall.due_at(), None);
        stall.follow_session(Some(session), began + 60 * SECOND);
        assert_eq!(stall.take_due(began + 64 * SECOND), None);
        assert_eq!(stall.take_due(began + 65 * SECOND), Some(5 * SECOND));
    }

    #[test]
    fn without_a_timeout_it_is_never_told() {
        let mut stall = Stall::new(None);
        stall.follow_session(Some(Session::default()), Instant::now());
        assert_eq!((told(&mut stall, Instant::now()), stall.due_at()), (Vec::new(), None));
    }
}
