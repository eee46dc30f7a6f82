//! Waiting for a producer's frame-sync messages.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};

use crate::{
    address::Address,
    sync::{SyncError, SyncMessage},
};

/// Largest message a peer may send before ZeroMQ hangs up on it; a sync message has 48 bytes.
const MESSAGE_MAX: i64 = 4096;
/// Time between two tries to reach a producer.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);
/// Messages taken off the socket before the newest of them is acted on; a flood must not keep the subscriber from it.
const MESSAGES_AT_ONCE: usize = 1024;

/// One for the process: a context of its own for each subscriber would cost two threads each.
static CONTEXT: LazyLock<zmq::Context> = LazyLock::new(zmq::Context::new);

/// Makes the names of the monitors in it differ.
static MONITORS: AtomicU64 = AtomicU64::new(0);

/// Receives the sync messages of one producer, whether it is there yet, or comes and goes.
pub struct Subscriber {
    socket: zmq::Socket,
    /// Tells of lost connections. ZeroMQ does not come back by itself to a peer that broke its protocol.
    monitor: zmq::Socket,
    reconnect_at: Option<Instant>,
    endpoint: String,
    label: Option<Vec<u8>>,
    waker: Waker,
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
        let events = format!("inproc://cvmmap-monitor-{}", MONITORS.fetch_add(1, Ordering::Relaxed));
        socket.monitor(&events, zmq::SocketEvent::DISCONNECTED.to_raw().into())?;
        let monitor = CONTEXT.socket(zmq::PAIR)?;
        monitor.set_linger(0)?;
        monitor.connect(&events)?;
        socket.connect(address.zmq_endpoint())?;
        Ok(Self {
            socket,
            monitor,
            reconnect_at: None,
            endpoint: address.zmq_endpoint().to_owned(),
            label: address.label().map(|label| label.as_bytes().to_vec()),
            waker: Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)),
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
        loop {
            // The socket first: polling it costs more than asking it.
            if let Some(event) = self.newest()? {
                return Ok(event);
            }
            self.reconnect_if_due()?;
            let left = match deadline.into_iter().chain(self.reconnect_at).min() {
                None => -1,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    // Rounded up, or the last millisecond would be spent spinning.
                    i64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
                }
            };
            let mut items = [
                self.socket.as_poll_item(zmq::POLLIN),
                zmq::PollItem::from_fd(self.waker.0.as_raw_fd(), zmq::POLLIN),
                self.monitor.as_poll_item(zmq::POLLIN),
            ];
            match zmq::poll(&mut items, left) {
                Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if items[1].is_readable() => {
                    self.waker.drain();
                    return Ok(Event::Woken);
                }
                Ok(_) if items[2].is_readable() => self.note_disconnection()?,
                Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return Ok(Event::TimedOut),
                Ok(_) => {}
            }
        }
    }

    fn note_disconnection(&mut self) -> io::Result<()> {
        // Two parts: the event, the only one asked for, and the endpoint.
        self.monitor.recv_multipart(zmq::DONTWAIT)?;
        self.reconnect_at.get_or_insert_with(|| Instant::now() + RECONNECT_INTERVAL);
        Ok(())
    }

    fn reconnect_if_due(&mut self) -> io::Result<()> {
        if self.reconnect_at.is_some_and(|due| due <= Instant::now()) {
            self.reconnect_at = None;
            // Fails when ZeroMQ has given the connection up already.
            let _ = self.socket.disconnect(&self.endpoint);
            self.socket.connect(&self.endpoint)?;
        }
        Ok(())
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
