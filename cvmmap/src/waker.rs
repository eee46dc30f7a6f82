//! Ending somebody's wait from any thread.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::event::{EventfdFlags, eventfd};

/// Ends a wait of a [`Subscriber`](crate::Subscriber): [`wait`](crate::Subscriber::wait) and
/// [`try_recv`](crate::Subscriber::try_recv) give [`Event::Woken`](crate::Event::Woken), and its descriptor becomes readable.
///
/// Clones wake the same subscriber, and any thread may have one. It stays valid when the subscriber is gone, and does nothing
/// then.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Ends the wait that is under way, or the next one. It never blocks. Several calls before the wait ends count as one.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then the wait ends anyway.
        let _ = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
    }

    /// Takes back every call so far.
    pub(crate) fn drain(&self) {
        let _ = rustix::io::read(self.0.as_fd(), &mut [0; 8]);
    }
}

/// Readable when somebody is to be woken.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
