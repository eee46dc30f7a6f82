//! Work that may never come back, as a broken driver's may: in a thread of its own, with a limit.

use std::{
    sync::mpsc::{self, RecvTimeoutError, TryRecvError},
    thread,
    time::{Duration, Instant},
};

/// Opening an encoder takes longer for none that works.
pub const OPEN_MAX: Duration = Duration::from_secs(3);

/// The limit is over, or the work panicked. What hangs goes with the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hangs;

/// Work under way.
#[derive(Debug)]
pub struct Aside<T> {
    told: mpsc::Receiver<T>,
    until: Instant,
}

impl<T: Send + 'static> Aside<T> {
    /// Begins it.
    pub fn begin(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        // Nobody listens to one that answers too late.
        thread::spawn(move || drop(tell.send(work())));
        Self { told, until: Instant::now() + limit }
    }

    /// What it came to, as far as can be told now.
    pub fn look(&self) -> Option<Result<T, Hangs>> {
        match self.told.try_recv() {
            Ok(done) => Some(Ok(done)),
            Err(TryRecvError::Empty) if Instant::now() < self.until => None,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Some(Err(Hangs)),
        }
    }

    /// Waits for what it comes to, `patience` at most.
    pub fn wait(&self, patience: Duration) -> Option<Result<T, Hangs>> {
        let left = self.until.saturating_duration_since(Instant::now());
        match self.told.recv_timeout(left.min(patience)) {
            Ok(done) => Some(Ok(done)),
            Err(RecvTimeoutError::Timeout) if Instant::now() < self.until => None,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Some(Err(Hangs)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_comes_back_or_hangs() {
        let done = Aside::begin(Duration::from_secs(600), || 7);
        assert_eq!(done.wait(Duration::from_secs(60)), Some(Ok(7)));
        let hanging = Aside::begin(Duration::ZERO, || thread::sleep(Duration::from_secs(600)));
        assert_eq!(hanging.look(), Some(Err(Hangs)));
        let slow = Aside::begin(Duration::from_secs(600), || thread::sleep(Duration::from_secs(600)));
        assert_eq!((slow.look(), slow.wait(Duration::from_millis(1))), (None, None));
    }
}
