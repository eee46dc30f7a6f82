//! A subscriber that two threads have.

use std::{io, sync::Arc, time::Instant};

use crate::{
    address::Address,
    announcements::Announcements,
    contact::{Limits, Standing},
    event::{Arrival, Event},
    lookout::Lookout,
};

/// A subscriber of which two threads take turns. Each waits at a [`Lookout`] of its own without having it, and whoever is woken
/// [takes](Self::take_newest) what came, deals with it, and asks whether that was [all](Self::is_caught_up).
///
/// It is how `cvmmapsrc` reads, and no part of what this crate promises. [`Subscriber`](crate::Subscriber) is for everybody
/// else.
pub struct SharedSubscriber {
    announcements: Announcements,
    /// In the order in which they are woken.
    lookouts: [Arc<Lookout>; 2],
}

impl SharedSubscriber {
    /// Subscribes to the endpoint of an address.
    ///
    /// # Errors
    /// When the endpoint is none that can be connected to. A producer that is not there is no error.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let lookouts = [Arc::new(Lookout::new()?), Arc::new(Lookout::new()?)];
        Ok(Self { announcements: Announcements::new(address, Limits::default(), &lookouts)?, lookouts })
    }

    /// Where the thread waits that is the first to be woken.
    pub fn front(&self) -> Arc<Lookout> {
        Arc::clone(&self.lookouts[0])
    }

    /// Where the thread waits that is woken while nobody waits in [front](Self::front).
    pub fn behind(&self) -> Arc<Lookout> {
        Arc::clone(&self.lookouts[1])
    }

    /// The newest announcement that came, or else what came instead of one, without waiting. To be called whenever a
    /// lookout has seen a [change](crate::Seen::Change), and by [`look_again_at`](Self::look_again_at) even if none has: a
    /// silence may mean that the producer is not there any more.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn take_newest(&mut self) -> io::Result<Option<Event>> {
        self.announcements.take(&self.lookouts)
    }

    /// Whether nothing came while the announcement that was [taken](Self::take_newest) last was dealt with. Otherwise there
    /// is more to take, and it may be that no lookout is told of it.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn is_caught_up(&mut self) -> io::Result<bool> {
        let caught_up = !self.announcements.has_more()?;
        self.announcements.set_caught_up(caught_up);
        Ok(caught_up)
    }

    /// When to look again although nothing has come.
    pub fn look_again_at(&self) -> Instant {
        self.announcements.due_at()
    }

    /// How it stands with the producer's endpoint.
    pub fn standing(&self) -> Standing {
        self.announcements.standing()
    }

    /// How the last announcement that [`take_newest`](Self::take_newest) gave was received.
    pub fn arrival(&self) -> Arrival {
        self.announcements.arrival()
    }
}
