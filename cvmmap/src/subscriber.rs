//! Waiting for a producer's frame-sync messages.

use std::{
    io,
    os::fd::BorrowedFd,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    address::Address,
    lookout::{Lookout, Seen, Waker},
    sync::{SyncError, SyncMessage},
};

/// Largest message a peer may send before ZeroMQ hangs up on it; a sync message has 48 bytes.
const MESSAGE_MAX: i64 = 4096;
/// Time between two tries to reach a producer.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);
/// Silence after which the connection is made anew: ZeroMQ does not come back by itself to a peer that once broke its
/// protocol. It doubles with every try, up to [`SILENCE_MAX`], for a producer may as well have nothing to say.
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// Longest such silence.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// Messages taken off the socket before the newest of them is acted on; a flood must not keep the subscriber from it.
const MESSAGES_AT_ONCE: usize = 1024;

/// One for the process: a context of its own for each subscriber would cost two threads each.
static CONTEXT: LazyLock<zmq::Context> = LazyLock::new(zmq::Context::new);

/// Receives the sync messages of one producer, whether it is there yet, or comes and goes.
///
/// One thread [waits](Self::wait) with it. Or several do without it, each at a [`Lookout`] of its own, and whoever is woken
/// [takes](Self::take_newest) what came, deals with it, and asks whether that was [all](Self::is_caught_up).
pub struct Subscriber {
    socket: zmq::Socket,
    endpoint: String,
    /// When to connect anew, if nothing comes until then.
    renew_at: Instant,
    renew_after: Duration,
    label: Option<Vec<u8>>,
    /// The first one.
    lookout: Arc<Lookout>,
    arrival: Arrival,
    /// Whether nothing was left when the last announcement had been dealt with, so that the next one finds somebody
    /// waiting.
    caught_up: bool,
    /// Whether messages were left that no change of the socket will tell of.
    left: bool,
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
}

impl Subscriber {
    /// Subscribes to the endpoint of an address.
    ///
    /// # Errors
    /// When ZeroMQ cannot take the endpoint. A producer that is not there is no error.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let socket = CONTEXT.socket(zmq::SUB)?;
        socket.set_linger(0)?;
        socket.set_reconnect_ivl(RECONNECT_INTERVAL.as_millis() as i32)?;
        socket.set_maxmsgsize(MESSAGE_MAX)?;
        socket.set_subscribe(b"")?;
        socket.connect(address.zmq_endpoint())?;
        let lookout = Arc::new(Lookout::new(descriptor(&socket)?)?);
        Ok(Self {
            socket,
            endpoint: address.zmq_endpoint().to_owned(),
            renew_at: Instant::now() + SILENCE_MIN,
            renew_after: SILENCE_MIN,
            label: address.label().map(|label| label.as_bytes().to_vec()),
            lookout,
            arrival: Arrival { at: Instant::now(), waited: false },
            caught_up: false,
            left: false,
        })
    }

    /// What ends a [wait](Self::wait) early.
    pub fn waker(&self) -> Waker {
        self.lookout.waker()
    }

    /// The lookout at which [`wait`](Self::wait) waits, the first one.
    pub fn lookout(&self) -> Arc<Lookout> {
        Arc::clone(&self.lookout)
    }

    /// Another lookout, behind those there are.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn another_lookout(&self) -> io::Result<Lookout> {
        Lookout::new(descriptor(&self.socket)?)
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
            // ZeroMQ's descriptor tells of changes, not of messages that are there. So it is waited for only after the
            // socket was found empty: what comes from then on changes it.
            if let Some(event) = self.take_newest()? {
                return Ok(event);
            }
            let until = deadline.map_or(self.renew_at, |deadline| deadline.min(self.renew_at));
            match self.lookout.wait(Some(until.saturating_duration_since(Instant::now())))? {
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
    /// may mean that the connection has to be made anew.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn take_newest(&mut self) -> io::Result<Option<Event>> {
        let mut event = self.newest()?;
        let now = Instant::now();
        if event.is_none() && self.renew_at <= now {
            self.renew(now)?;
            // That may have made a change, and no other need come.
            event = self.newest()?;
        }
        let waited = std::mem::replace(&mut self.caught_up, event.is_none());
        if event.is_some() {
            self.arrival = Arrival { at: Instant::now(), waited };
        }
        Ok(event)
    }

    /// Whether nothing came while the announcement that was [taken](Self::take_newest) last was dealt with. Otherwise there
    /// is more to take, and it may be that no lookout is told of it.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn is_caught_up(&mut self) -> io::Result<bool> {
        // The socket was found empty, or it is known that it was not: what came since has changed it.
        let mut polled = [PollFd::from_borrowed_fd(descriptor(&self.socket)?, PollFlags::IN)];
        self.caught_up = match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(changed) => changed == 0 && !self.left,
            Err(Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(self.caught_up)
    }

    /// When to look again although nothing has come.
    pub fn look_again_at(&self) -> Instant {
        self.renew_at
    }

    /// How the last announcement that [`wait`](Self::wait) or [`take_newest`](Self::take_newest) gave was received.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Connects anew.
    fn renew(&mut self, now: Instant) -> io::Result<()> {
        self.renew_after = (self.renew_after * 2).min(SILENCE_MAX);
        self.renew_at = now + self.renew_after;
        // Fails when ZeroMQ has given the connection up already.
        let _ = self.socket.disconnect(&self.endpoint);
        Ok(self.socket.connect(&self.endpoint)?)
    }

    fn newest(&mut self) -> io::Result<Option<Event>> {
        let mut newest = None;
        self.left = true;
        for _ in 0..MESSAGES_AT_ONCE {
            match self.socket.recv_bytes(zmq::DONTWAIT) {
                Ok(bytes) => match self.parse(&bytes) {
                    Ok(message) => newest = Some(Event::Frame(message)),
                    // Told at once, unless a frame waits: that one is in more of a hurry.
                    Err(foreign) => newest = newest.or(Some(Event::Foreign(foreign))),
                },
                Err(zmq::Error::EAGAIN) => {
                    self.left = false;
                    break;
                }
                Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if newest.is_some() {
            self.renew_after = SILENCE_MIN;
            self.renew_at = Instant::now() + SILENCE_MIN;
        }
        Ok(newest)
    }

    fn parse(&self, bytes: &[u8]) -> Result<SyncMessage, Foreign> {
        let message = SyncMessage::parse(bytes)?;
        match &self.label {
            Some(label) if label != message.label() => {
                Err(Foreign::Label(String::from_utf8_lossy(message.label()).into_owned()))
            }
            _ => Ok(message),
        }
    }
}

/// ZeroMQ's descriptor of a socket.
#[allow(unsafe_code)]
fn descriptor(socket: &zmq::Socket) -> io::Result<BorrowedFd<'_>> {
    // SAFETY: the socket has this descriptor for as long as it lives, and it outlives the loan.
    Ok(unsafe { BorrowedFd::borrow_raw(socket.get_fd()?) })
}
