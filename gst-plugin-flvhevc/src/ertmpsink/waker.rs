//! Wakes a thread that polls.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::{read, write},
};

/// A descriptor that is readable once somebody [wakes](Self::wake) it.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub fn wake(&self) {
        // It fails when it is full, and then is readable.
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it wait for the next wake.
    pub fn rest(&self) {
        // Nothing to take is as good.
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
