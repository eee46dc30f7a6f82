//! Waiting for what comes to a socket, without having it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, epoll, poll},
    io::Errno,
};

use crate::{
    alarm::{Alarm, timespec},
    waker::Waker,
};

const CHANGE: u64 = 0;
const WAKER: u64 = 1;

/// A place at which one thread waits for what comes to a [`SharedSubscriber`](crate::SharedSubscriber), which other threads
/// may have meanwhile.
///
/// What comes wakes one lookout: the first one made at which a thread waits. So of two threads that share a subscriber,
/// one at each of two lookouts, the second is left alone for as long as the first is there, and no announcement finds
/// nobody waiting while one of them does nothing else. On kernels that do not keep this order both may be woken.
#[derive(Debug)]
pub struct Lookout {
    epoll: OwnedFd,
    waker: Waker,
}

/// What ended a wait at a [`Lookout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Something came. Nobody else may have been told: it has to be [taken](crate::SharedSubscriber::take_newest).
    Change,
    /// [`Waker::wake`] was called.
    Woken,
    /// Nothing came in time, or a signal ended the wait.
    Nothing,
}

impl Lookout {
    /// A lookout that watches nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waker = Waker::new()?;
        epoll::add(&epoll, &waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        Ok(Self { epoll, waker })
    }

    /// Watches a socket, behind those that watch it already, until it is closed.
    pub(crate) fn watch(&self, socket: impl AsFd) -> io::Result<()> {
        // Exclusive: of those that wait for a descriptor this way the kernel wakes one, in the order in which they came.
        let exclusive = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(CHANGE), exclusive)?)
    }

    /// Watches an alarm: that it goes off is a [change](Seen::Change), too.
    pub(crate) fn heed(&self, alarm: &Alarm) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, alarm, epoll::EventData::new_u64(CHANGE), epoll::EventFlags::IN)?)
    }

    /// What ends a wait early.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits as long as `longest` says, in whole milliseconds and for an hour at most, or for ever.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, longest: Option<Duration>) -> io::Result<Seen> {
        let longest = longest.map(timespec);
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(WAKER) }; 2];
        let count = match epoll::wait(&self.epoll, &mut events, longest.as_ref()) {
            Err(Errno::INTR) => 0,
            other => other?,
        };
        let came = |what: u64| events[..count].iter().any(|event| event.data.u64() == what);
        // The other one is told by the next wait.
        if came(CHANGE) {
            return Ok(Seen::Change);
        }
        if came(WAKER) {
            self.waker.drain();
            return Ok(Seen::Woken);
        }
        Ok(Seen::Nothing)
    }

    /// Waits to be woken, and leaves what comes to those behind.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn stand_aside(&self, longest: Option<Duration>) -> io::Result<Seen> {
        let longest = longest.map(timespec);
        match poll(&mut [PollFd::new(&self.waker, PollFlags::IN)], longest.as_ref()) {
            Ok(0) | Err(Errno::INTR) => Ok(Seen::Nothing),
            Ok(_) => {
                self.waker.drain();
                Ok(Seen::Woken)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Readable while a wait would end at once.
impl AsFd for Lookout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
