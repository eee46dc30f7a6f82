//! A producer's announcements, as they come to whoever listens.

use std::{io, sync::Arc, time::Instant};

use crate::{
    address::Address,
    connection::Endpoint,
    contact::{Contact, Limits, Standing},
    event::{Arrival, Event, Foreign},
    lookout::Lookout,
    sync::SyncMessage,
};

/// What every subscriber has, however many threads wait with it.
pub(crate) struct Announcements {
    contact: Contact,
    label: Option<Vec<u8>>,
    arrival: Arrival,
    /// Whether nothing was left when the last announcement had been dealt with, so that the next one finds somebody
    /// waiting.
    caught_up: bool,
}

impl Announcements {
    /// Listens at the endpoint of an address. Each of `lookouts` is told of what comes, in this order.
    ///
    /// # Errors
    /// When the endpoint is none that can be connected to.
    pub(crate) fn new(address: &Address, limits: Limits, lookouts: &[Arc<Lookout>]) -> io::Result<Self> {
        let mut announcements = Self {
            contact: Contact::new(Endpoint::new(address.zmq_endpoint())?, limits),
            label: address.label().map(|label| label.as_bytes().to_vec()),
            arrival: Arrival { at: Instant::now(), waited: false },
            caught_up: false,
        };
        announcements.contact.tend(lookouts)?;
        Ok(announcements)
    }

    /// The newest announcement that came, or else what came instead of one, without waiting. Does what is due on the
    /// connection as well.
    ///
    /// # Errors
    /// When the system has no more to watch with.
    pub(crate) fn take(&mut self, lookouts: &[Arc<Lookout>]) -> io::Result<Option<Event>> {
        let event = self.newest();
        let now = Instant::now();
        self.contact.tend(lookouts)?;
        let waited = std::mem::replace(&mut self.caught_up, event.is_none());
        if event.is_some() {
            self.arrival = Arrival { at: now, waited };
        }
        Ok(event)
    }

    /// Whether something came that was not [taken](Self::take).
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) fn has_more(&self) -> io::Result<bool> {
        self.contact.has_more()
    }

    /// Whether somebody waits for what comes next.
    pub(crate) fn set_caught_up(&mut self, caught_up: bool) {
        self.caught_up = caught_up;
    }

    /// When to [take](Self::take) although nothing has come.
    pub(crate) fn due_at(&self) -> Instant {
        self.contact.due_at()
    }

    pub(crate) fn standing(&self) -> Standing {
        self.contact.standing()
    }

    /// How what was taken last was received.
    pub(crate) fn arrival(&self) -> Arrival {
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
