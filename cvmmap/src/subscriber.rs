//! Waiting for a producer's frame-sync messages.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    connection::Endpoint,
    contact::{Contact, Limits, Standing},
    lookout::{Lookout, Seen, Waker},
    sync::{SyncError, SyncMessage},
    zmtp::Breach,
};

/// Receives the sync messages of one producer, whether it is there yet, or comes and goes.
///
/// It is a ZeroMQ subscriber on one descriptor, and has no thread: an announcement wakes whoever waits for it and nobody
/// else. One thread [waits](Self::wait) with it. Or several do without it, each at a [`Lookout`] of its own, and whoever is
/// woken [takes](Self::take_newest) what came, deals with it, and asks whether that was [all](Self::is_caught_up).
pub struct Subscriber {
    contact: Contact,
    label: Option<Vec<u8>>,
    /// In the order in which they are woken.
    lookouts: Vec<Arc<Lookout>>,
    arrival: Arrival,
    /// Whether nothing was left when the last announcement had been dealt with, so that the next one finds somebody
    /// waiting.
    caught_up: bool,
}

/// How an announcement was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Whether the reader was waiting for it. One that was busy knows only that it came before.
    pub waited: bool,
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Frames were announced; this is the newest of them.
    Frame(SyncMessage),
    /// A message that is no announcement of this producer's was dropped.
    Foreign(Foreign),
    /// Nothing came in time.
    TimedOut,
    /// [`Waker::wake`] was called.
    Woken,
}

/// A message on the endpoint that is not the producer's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Not a sync message.
    #[error(transparent)]
    Malformed(#[from] SyncError),
    /// A sync message of another label.
    #[error("sync message of '{0}'")]
    Label(String),
    /// Whoever is at the endpoint is no ZeroMQ publisher.
    #[error("no producer at the frame-sync endpoint: {0}")]
    Peer(#[from] Breach),
}

impl Subscriber {
    /// Subscribes to the endpoint of an address.
    ///
    /// # Errors
    /// When the endpoint is none that can be connected to. A producer that is not there is no error.
    pub fn connect(address: &Address) -> io::Result<Self> {
        Self::with_limits(address, Limits::default())
    }

    pub(crate) fn with_limits(address: &Address, limits: Limits) -> io::Result<Self> {
        let mut subscriber = Self {
            contact: Contact::new(Endpoint::new(address.zmq_endpoint())?, limits),
            label: address.label().map(|label| label.as_bytes().to_vec()),
            lookouts: vec![Arc::new(Lookout::new()?)],
            arrival: Arrival { at: Instant::now(), waited: false },
            caught_up: false,
        };
        subscriber.contact.tend(&subscriber.lookouts)?;
        Ok(subscriber)
    }

    /// What ends a [wait](Self::wait) early.
    pub fn waker(&self) -> Waker {
        self.lookouts[0].waker()
    }

    /// The lookout at which [`wait`](Self::wait) waits, the first one.
    pub fn lookout(&self) -> Arc<Lookout> {
        Arc::clone(&self.lookouts[0])
    }

    /// Another lookout, behind those there are.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn another_lookout(&mut self) -> io::Result<Arc<Lookout>> {
        let lookout = Arc::new(Lookout::new()?);
        for connection in self.contact.connections() {
            lookout.watch(connection)?;
        }
        self.lookouts.push(Arc::clone(&lookout));
        Ok(lookout)
    }

    /// Waits for the next announcement, for as long as `timeout` says or for ever. Of several that came meanwhile the
    /// newest counts: the segment holds no other frame.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Event> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        self.caught_up = false;
        loop {
            if let Some(event) = self.take_newest()? {
                return Ok(event);
            }
            let due_at = self.contact.due_at();
            let until = deadline.map_or(due_at, |deadline| deadline.min(due_at));
            match self.lookouts[0].wait(Some(until.saturating_duration_since(Instant::now())))? {
                Seen::Woken => return Ok(Event::Woken),
                Seen::Nothing if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Ok(Event::TimedOut);
                }
                Seen::Nothing | Seen::Change => {}
            }
        }
    }

    /// The newest announcement that came, or else what came instead of one, without waiting. To be called whenever a
    /// lookout has seen a [change](Seen::Change), and by [`look_again_at`](Self::look_again_at) even if none has: a silence
    /// may mean that the producer is not there any more.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn take_newest(&mut self) -> io::Result<Option<Event>> {
        let event = self.newest();
        let now = Instant::now();
        self.contact.tend(&self.lookouts)?;
        let waited = std::mem::replace(&mut self.caught_up, event.is_none());
        if event.is_some() {
            self.arrival = Arrival { at: now, waited };
        }
        Ok(event)
    }

    /// Whether nothing came while the announcement that was [taken](Self::take_newest) last was dealt with. Otherwise there
    /// is more to take, and it may be that no lookout is told of it.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn is_caught_up(&mut self) -> io::Result<bool> {
        self.caught_up = !self.contact.has_more()?;
        Ok(self.caught_up)
    }

    /// When to look again although nothing has come.
    pub fn look_again_at(&self) -> Instant {
        self.contact.due_at()
    }

    /// How it stands with the producer's endpoint.
    pub fn standing(&self) -> Standing {
        self.contact.standing()
    }

    /// How the last announcement that [`wait`](Self::wait) or [`take_newest`](Self::take_newest) gave was received.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    fn newest(&mut self) -> Option<Event> {
        let mut newest = None;
        let label = self.label.as_deref();
        let breach = self.contact.receive(&mut |bytes| match parse(bytes, label) {
            Ok(message) => newest = Some(Event::Frame(message)),
            // Told at once, unless a frame waits: that one is in more of a hurry.
            Err(foreign) => newest = newest.take().or(Some(Event::Foreign(foreign))),
        });
        newest.or_else(|| breach.map(|breach| Event::Foreign(breach.into())))
    }
}

fn parse(bytes: &[u8], label: Option<&[u8]>) -> Result<SyncMessage, Foreign> {
    let message = SyncMessage::parse(bytes)?;
    match label {
        Some(label) if label != message.label() => {
            Err(Foreign::Label(String::from_utf8_lossy(message.label()).into_owned()))
        }
        _ => Ok(message),
    }
}

#[cfg(test)]
mod tests;
