//! Keeping in contact with whoever publishes at an endpoint.
//!
//! A publisher that says nothing for a while is asked whether it is there (ZMTP's PING). Whoever answers, with anything, is
//! left alone. Behind one that does not, a second connection is made, and the first goes only when the second has stood for
//! a while or has given a message: an announcement that comes meanwhile comes by one of them. So nothing is lost, whether
//! the publisher knows no PING, was only slow to answer, or died without a word and another one has its place.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, Endpoint, Heard, Over, SocketFile},
    lookout::Lookout,
    zmtp::Breach,
};

/// Hang-ups in a row, each right behind a PING, after which no more are sent: the peer does not take them.
const HANG_UPS_MAX: u32 = 2;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From one try to reach a publisher to the next.
    pub(crate) reconnect: Duration,
    /// Silence after which a publisher is asked whether it is there, and time to greet in. Behind one that does neither it
    /// doubles with every new connection, up to `silence_max`.
    pub(crate) silence: Duration,
    pub(crate) silence_max: Duration,
    /// Time to answer in, and for a new connection to stand beside an old one.
    pub(crate) answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reconnect: Duration::from_millis(50),
            silence: Duration::from_secs(1),
            silence_max: Duration::from_secs(8),
            answer: Duration::from_secs(2),
        }
    }
}

/// How it stands with the publisher's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A publisher is there and knows what is wanted.
    Connected,
    /// Somebody took the connection, and has not said what it is.
    Connecting,
    /// There is no connection; what the system says, when it says anything.
    Apart(Option<io::ErrorKind>),
}

/// A connection, and what is known of the other end.
struct Line {
    connection: Connection,
    /// The file that it was made by, if there is one.
    file: Option<SocketFile>,
    begun_at: Instant,
    /// When the last message or command came, once it stands.
    heard_at: Instant,
    /// Since when a sign is missing.
    missing_since: Option<Instant>,
    /// Whether it was asked for one.
    is_asked: bool,
}

/// The line that is to take the place of another.
struct Successor {
    line: Line,
    /// Whether somebody else has the endpoint's file: signs of the old line do not count then.
    is_elsewhere: bool,
    /// Since when it stands.
    stands_since: Option<Instant>,
}

pub(crate) struct Contact {
    endpoint: Endpoint,
    limits: Limits,
    line: Option<Line>,
    successor: Option<Successor>,
    /// When to try to connect, when there is nothing to wait for.
    try_at: Instant,
    /// As long as a silent peer is waited for now.
    patience: Duration,
    hang_ups: u32,
    /// What the last connection that came to nothing ended with.
    refusal: Option<io::ErrorKind>,
}

impl Contact {
    /// Connects.
    pub(crate) fn new(endpoint: Endpoint, limits: Limits) -> Self {
        Self {
            endpoint,
            limits,
            line: None,
            successor: None,
            try_at: Instant::now(),
            patience: limits.silence,
            hang_ups: 0,
            refusal: None,
        }
    }

    /// Gives each message that came, and tells who did not keep to the protocol.
    pub(crate) fn receive(&mut self, give: &mut dyn FnMut(&[u8])) -> Option<Breach> {
        let now = Instant::now();
        let Some(line) = &mut self.line else { return None };
        let was_asked = line.is_asked;
        let heard = match line.receive(now, give) {
            Ok(heard) => heard,
            Err(over) => {
                self.lose_line();
                let breach = self.note_end(over, now);
                return breach.or(self.receive(give));
            }
        };
        if heard.is_sign() {
            self.patience = self.limits.silence;
            self.hang_ups = if was_asked { 0 } else { self.hang_ups };
        }
        let successor = self.successor.as_mut()?;
        if heard.has_message || heard.is_sign() && !successor.is_elsewhere {
            // It was only slow, and what the other one has to give came here.
            self.successor = None;
            return None;
        }
        match successor.line.receive(now, give) {
            Ok(heard) => {
                if heard.has_message {
                    self.patience = self.limits.silence;
                    self.succeed();
                }
                None
            }
            Err(over) => {
                self.successor = None;
                self.note_end(over, now)
            }
        }
    }

    /// Whether something came that was not [received](Self::receive).
    pub(crate) fn has_more(&self) -> io::Result<bool> {
        for connection in self.connections() {
            if connection.has_more()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is to be watched.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        let successor = self.successor.as_ref().map(|successor| &successor.line);
        self.line.as_ref().into_iter().chain(successor).map(|line| &line.connection)
    }

    pub(crate) fn standing(&self) -> Standing {
        match &self.line {
            Some(line) if line.connection.stands() => Standing::Connected,
            Some(_) => Standing::Connecting,
            None => Standing::Apart(self.refusal),
        }
    }

    /// When to [tend](Self::tend) to it again, even if nothing comes.
    pub(crate) fn due_at(&self) -> Instant {
        let Some(line) = &self.line else {
            return self.try_at;
        };
        match (&self.successor, line.missing_since) {
            (Some(Successor { stands_since: Some(since), .. }), _) => *since + self.limits.answer,
            (Some(Successor { line, .. }), _) => line.begun_at + self.patience,
            (None, Some(since)) => self.try_at.max(since + self.limits.answer),
            (None, None) if line.connection.stands() => line.heard_at + self.patience,
            (None, None) => line.begun_at + self.patience,
        }
    }

    /// Does what is due. What came has to be [received](Self::receive) before: whoever was away may have it.
    ///
    /// # Errors
    /// When the system has no more to watch with.
    pub(crate) fn tend(&mut self, lookouts: &[Arc<Lookout>]) -> io::Result<()> {
        let now = Instant::now();
        if let Some(successor) = &mut self.successor
            && successor.stands_since.is_none()
            && successor.line.connection.stands()
        {
            successor.stands_since = Some(now);
        }
        if now < self.due_at() {
            return Ok(());
        }
        let Some(line) = &mut self.line else {
            self.line = self.connect(lookouts, now)?;
            return Ok(());
        };
        match &self.successor {
            Some(Successor { stands_since: Some(_), .. }) => {
                // Neither has anything to say, and the publisher knows the new one by now.
                self.lengthen_patience();
                self.succeed();
            }
            Some(_) => {
                self.lengthen_patience();
                self.successor = None;
                self.try_at = now;
            }
            None if !line.connection.stands() => {
                // It has no subscription that could be lost.
                self.line = None;
                self.lengthen_patience();
                self.line = self.connect(lookouts, now)?;
            }
            None => {
                let file = self.endpoint.socket_file();
                let is_elsewhere = file.is_some() && file != line.file;
                let is_to_be_asked = line.missing_since.is_none() && !is_elsewhere && self.hang_ups < HANG_UPS_MAX;
                line.missing_since.get_or_insert(now);
                if is_to_be_asked && line.ask() {
                    return Ok(());
                }
                let line = self.connect(lookouts, now)?;
                self.successor = line.map(|line| Successor { line, is_elsewhere, stands_since: None });
            }
        }
        Ok(())
    }

    /// Begins a connection. One that does not come about is tried again later.
    fn connect(&mut self, lookouts: &[Arc<Lookout>], now: Instant) -> io::Result<Option<Line>> {
        self.try_at = now + self.limits.reconnect;
        let file = self.endpoint.socket_file();
        match self.endpoint.connect() {
            Ok(connection) => {
                for lookout in lookouts {
                    lookout.watch(&connection)?;
                }
                let (begun_at, heard_at) = (now, now);
                Ok(Some(Line { connection, file, begun_at, heard_at, missing_since: None, is_asked: false }))
            }
            Err(error) => {
                self.refusal = Some(error.kind());
                Ok(None)
            }
        }
    }

    fn lengthen_patience(&mut self) {
        self.patience = (self.patience * 2).min(self.limits.silence_max);
    }

    /// The successor takes over.
    fn succeed(&mut self) {
        if let Some(successor) = self.successor.take() {
            self.line = Some(successor.line);
        }
    }

    /// The line is over; the successor, if there is one, takes over.
    fn lose_line(&mut self) {
        let was_asked = self.line.take().is_some_and(|line| line.is_asked);
        self.hang_ups = if was_asked { self.hang_ups + 1 } else { 0 };
        self.succeed();
    }

    /// A connection is over: when to try again, and whose fault it is.
    fn note_end(&mut self, over: Over, now: Instant) -> Option<Breach> {
        match over {
            Over::Closed(error) => {
                self.refusal = error.map(|error| io::Error::from(error).kind());
                self.try_at = now + self.limits.reconnect;
                None
            }
            Over::Breach(breach) => {
                // It would do so again at once.
                self.try_at = now + self.patience;
                self.lengthen_patience();
                Some(breach)
            }
        }
    }
}

impl Line {
    /// Gives each message that came.
    fn receive(&mut self, now: Instant, give: &mut dyn FnMut(&[u8])) -> Result<Heard, Over> {
        let heard = self.connection.receive(give)?;
        if heard.is_sign() {
            self.heard_at = now;
            self.missing_since = None;
            self.is_asked = false;
        }
        Ok(heard)
    }

    /// Asks for a sign. False when there is no saying anything.
    fn ask(&mut self) -> bool {
        self.is_asked = self.connection.ping().is_ok();
        self.is_asked
    }
}
