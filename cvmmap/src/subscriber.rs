//! Waiting for a producer's frame-sync messages.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use crate::{
    address::Address,
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
pub struct Subscriber {
    socket: zmq::Socket,
    endpoint: String,
    /// When to connect anew, if nothing comes until then.
    renew_at: Instant,
    renew_after: Duration,
    label: Option<Vec<u8>>,
    waker: Waker,
    arrival: Arrival,
}

/// How an announcement was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Whether the reader was waiting for it. One that was busy knows only that it came before.
    pub waited: bool,
}

/// Wakes a [`Subscriber`] out of [`Subscriber::wait`], from any thread, without waiting.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

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

/// What ended a poll.
enum Polled {
    Nothing,
    Changed,
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
        Ok(Self {
            socket,
            endpoint: address.zmq_endpoint().to_owned(),
            renew_at: Instant::now() + SILENCE_MIN,
            renew_after: SILENCE_MIN,
            label: address.label().map(|label| label.as_bytes().to_vec()),
            waker: Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)),
            arrival: Arrival { at: Instant::now(), waited: false },
        })
    }

    /// What ends a wait early.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits for the next announcement, for as long as `timeout` says or for ever. Of several that came meanwhile the
    /// newest counts: the segment holds no other frame.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Event> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut waited = false;
        loop {
            // ZeroMQ's descriptor tells of changes, not of messages that are there. So it is waited for only after the
            // socket was found empty: what comes from then on changes it.
            if let Some(event) = self.newest()? {
                self.arrival = Arrival { at: Instant::now(), waited };
                return Ok(event);
            }
            let now = Instant::now();
            if self.renew_at <= now {
                self.renew(now)?;
                // That may have made a change, and no other need come.
                continue;
            }
            let until = deadline.map_or(self.renew_at, |deadline| deadline.min(self.renew_at));
            match self.poll(until.saturating_duration_since(now))? {
                Polled::Woken => {
                    self.waker.drain();
                    return Ok(Event::Woken);
                }
                Polled::Nothing if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Ok(Event::TimedOut);
                }
                Polled::Nothing | Polled::Changed => waited = true,
            }
        }
    }

    /// How the last announcement that [`wait`](Self::wait) gave was received.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Waits for a change of the socket, or to be woken.
    #[allow(unsafe_code)]
    fn poll(&self, longest: Duration) -> io::Result<Polled> {
        // SAFETY: the socket has this descriptor for as long as it lives, and it outlives the call.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket.get_fd()?) };
        let mut polled = [PollFd::new(&socket, PollFlags::IN), PollFd::new(&self.waker.0, PollFlags::IN)];
        let longest = Timespec::try_from(longest).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut polled, Some(&longest)) {
            Ok(0) | Err(Errno::INTR) => Ok(Polled::Nothing),
            Ok(_) if polled[1].revents().is_empty() => Ok(Polled::Changed),
            Ok(_) => Ok(Polled::Woken),
            Err(error) => Err(error.into()),
        }
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
        for _ in 0..MESSAGES_AT_ONCE {
            match self.socket.recv_bytes(zmq::DONTWAIT) {
                Ok(bytes) => match self.parse(&bytes) {
                    Ok(message) => newest = Some(Event::Frame(message)),
                    // Told at once, unless a frame waits: that one is in more of a hurry.
                    Err(foreign) => newest = newest.or(Some(Event::Foreign(foreign))),
                },
                Err(zmq::Error::EAGAIN) => break,
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

impl Waker {
    /// Ends the wait that is under way, or the next one.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then the subscriber is awake anyway.
        let _ = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
    }

    fn drain(&self) {
        let _ = rustix::io::read(self.0.as_fd(), &mut [0; 8]);
    }
}
