//! Waiting for a producer's frame-sync messages.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    alarm::Alarm,
    announcements::Announcements,
    contact::{Limits, Standing},
    event::{Arrival, Event},
    lookout::{Lookout, Seen},
    waker::Waker,
};

/// Rounds in which what comes is read before a call that does not wait returns: a peer that never stops talking must not keep
/// it.
const ROUNDS_MAX: u32 = 16;

/// Receives the announcements of one producer, whether it is there yet, or comes and goes.
///
/// It is a ZeroMQ subscriber on one socket and has no thread of its own: an announcement wakes whoever waits for it and nobody
/// else. It connects by itself, finds out when a producer died without a word, and connects again.
///
/// There are two ways to wait. [`wait`](Self::wait) blocks a thread, and is the way to choose where a thread can be had.
/// In an event loop, wait until the descriptor ([`AsFd`], [`AsRawFd`]) is readable, then call
/// [`note_readable`](Self::note_readable), and [`try_recv`](Self::try_recv) until it gives `None`. The descriptor is an
/// epoll instance: it goes into `poll`, another epoll set (level- or edge-triggered), tokio's `AsyncFd`, or what else there is. It is readable
/// whenever `try_recv` has something to do, heartbeats and reconnections included: no timer is needed beside it. Nothing else
/// may be done with it than to wait until it is readable.
///
/// # Threads
/// A subscriber is `Send`, and for one thread at a time: whatever receives takes `&mut self`. [`wait`](Self::wait) is the one
/// call that blocks; a [`Waker`] ends it from any thread.
pub struct Subscriber {
    announcements: Announcements,
    lookout: Arc<Lookout>,
    /// Goes off when something is due on the connection.
    alarm: Alarm,
    /// Whether the last [`Subscriber::try_recv`] has left nothing.
    has_all: bool,
    /// Whether the descriptor was said to be readable since.
    is_noted: bool,
}

impl Subscriber {
    /// Subscribes to the endpoint of an address. A `tcp://` endpoint's host is looked up here, which may block; nothing else
    /// does.
    ///
    /// # Errors
    /// When the endpoint is none that can be connected to, its host has no address, or the process has no more descriptors. A
    /// producer that is not there is no error.
    pub fn connect(address: &Address) -> io::Result<Self> {
        Self::with_limits(address, Limits::default())
    }

    pub(crate) fn with_limits(address: &Address, limits: Limits) -> io::Result<Self> {
        let lookout = Arc::new(Lookout::new()?);
        let announcements = Announcements::new(address, limits, slice::from_ref(&lookout))?;
        let mut alarm = Alarm::new()?;
        lookout.heed(&alarm)?;
        alarm.keep(announcements.due_at())?;
        Ok(Self { announcements, lookout, alarm, has_all: false, is_noted: false })
    }

    /// What ends a [wait](Self::wait) early, and makes the descriptor readable.
    pub fn waker(&self) -> Waker {
        self.lookout.waker()
    }

    /// Waits for the next announcement, for as long as `timeout` says (in whole milliseconds) or for ever. Of several that
    /// came meanwhile the newest counts: the segment holds no other frame.
    ///
    /// # Errors
    /// When the process has no more descriptors, or the system cannot wait. A producer that leaves is no error.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Event> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // What is there already came while nobody waited.
        (self.has_all, self.is_noted) = (false, false);
        self.announcements.set_caught_up(false);
        let mut longest = Some(Duration::ZERO);
        loop {
            match self.lookout.wait(longest)? {
                Seen::Change => {
                    if let Some(event) = self.take()? {
                        return Ok(event);
                    }
                }
                Seen::Woken => return Ok(Event::Woken),
                Seen::Nothing => self.announcements.set_caught_up(true),
            }
            longest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if longest == Some(Duration::ZERO) {
                return Ok(Event::TimedOut);
            }
        }
    }

    /// What came, without waiting: the newest announcement, or else what came instead of one. Does what is due on the
    /// connection as well. `None` says that there is nothing more to do until the descriptor is readable; it may be readable
    /// and this gives `None`, when only the connection had to be looked after.
    ///
    /// Under [`Coherence::Cadence`](crate::Coherence::Cadence) it matters when an announcement came. This call cannot know
    /// that: it is told by [`note_readable`](Self::note_readable). Whoever calls this by a clock instead hears of frames late,
    /// and [`arrival`](Self::arrival) says that nobody waited. Then the frames of a producer that overwrites its payload
    /// first are left out ([`SnapshotError::NeverWaited`](crate::SnapshotError::NeverWaited)); those of a
    /// [`Publisher`](crate::Publisher) are taken all the same.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_recv(&mut self) -> io::Result<Option<Event>> {
        let waited = mem::take(&mut self.is_noted);
        self.has_all = false;
        self.announcements.set_caught_up(waited);
        for _ in 0..ROUNDS_MAX {
            match self.lookout.wait(Some(Duration::ZERO))? {
                Seen::Change => {
                    let event = self.take()?;
                    if event.is_some() {
                        return Ok(event);
                    }
                    self.announcements.set_caught_up(waited);
                }
                Seen::Woken => return Ok(Some(Event::Woken)),
                Seen::Nothing => {
                    self.has_all = true;
                    return Ok(None);
                }
            }
        }
        // There is more. Who waits for the descriptor to become readable is told at once.
        self.alarm.ring()?;
        Ok(None)
    }

    /// Says that the descriptor has become readable right now, behind a wait that lasted until then. What the next
    /// [`try_recv`](Self::try_recv) gives is taken for [waited for](Arrival::waited), if the one before has given `None`.
    ///
    /// Do not call it when the descriptor was only looked at, or something else was done since it became readable: frames
    /// that are mixed of two could be taken for whole then.
    pub fn note_readable(&mut self) {
        self.is_noted = self.has_all;
    }

    /// How it stands with the producer's endpoint.
    pub fn standing(&self) -> Standing {
        self.announcements.standing()
    }

    /// How the last announcement that [`wait`](Self::wait) or [`try_recv`](Self::try_recv) gave was received, for
    /// [`SnapshotReader::begin`](crate::SnapshotReader::begin).
    pub fn arrival(&self) -> Arrival {
        self.announcements.arrival()
    }

    fn take(&mut self) -> io::Result<Option<Event>> {
        let event = self.announcements.take(slice::from_ref(&self.lookout))?;
        self.alarm.keep(self.announcements.due_at())?;
        Ok(event)
    }
}

/// Readable whenever [`Subscriber::try_recv`] has something to do.
impl AsFd for Subscriber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lookout.as_fd()
    }
}

/// As [`AsFd`], for event loops that take a number. It is the same one for as long as the subscriber lives.
impl AsRawFd for Subscriber {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
