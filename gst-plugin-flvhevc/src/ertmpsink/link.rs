//! One connection to a server, from the lookup of its name to its farewell. Nothing in it waits, everything has a deadline.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::PollFlags;

use super::{
    failure::{Failure, Kind},
    resolver::Lookup,
    tls,
    transport::Transport,
    waker::Waker,
};
use crate::rtmp::{
    authentication::Answer,
    location::Location,
    refusal::Step,
    session::{Event, Session},
};

/// What is read at once. Acted on before more is read.
const READ: usize = 16 << 10;
/// Reads of a full buffer before other things have their turn: a flood must not keep the stream from going out.
const READS_AT_ONCE: usize = 8;
/// How long a server may take to take a farewell.
const FAREWELL: Duration = Duration::from_millis(300);

#[derive(Debug)]
enum Stage {
    Lookup(Lookup),
    Connecting {
        transport: Transport,
        others: Vec<SocketAddr>,
    },
    Securing(Transport),
    Talking(Transport),
    /// The farewell is being sent, and then waited for to be read.
    Leaving {
        transport: Transport,
        is_said: bool,
    },
    Gone,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    pub location: Location,
    pub session: Session,
    ca_file: Option<PathBuf>,
    limit: Duration,
    stage: Stage,
    deadline: Option<Instant>,
    awaited: Step,
    /// Bytes of the session's output that are sent.
    sent: usize,
    pub bytes_sent: u64,
    /// Output waits for the network.
    is_blocked: bool,
    /// When the network took something last.
    pub progress: Instant,
}

impl Link {
    /// Begins. Each step has `limit` to be done.
    pub fn new(
        location: Location,
        authentication: Option<Answer>,
        ca_file: Option<PathBuf>,
        limit: Duration,
        waker: &Arc<Waker>,
    ) -> Self {
        let lookup = Lookup::new(&location.host, location.port, waker);
        Self {
            session: Session::new(location.clone(), authentication, random()),
            location,
            ca_file,
            limit,
            stage: Stage::Lookup(lookup),
            deadline: Some(Instant::now() + limit),
            awaited: Step::Handshake,
            sent: 0,
            bytes_sent: 0,
            is_blocked: false,
            progress: Instant::now(),
        }
    }

    pub fn is_publishing(&self) -> bool {
        matches!(self.stage, Stage::Talking(_)) && self.session.awaits() == Step::Publishing
    }

    /// Publishes what was held.
    pub fn publish(&mut self, now: Instant) {
        self.session.publish();
        self.deadline = Some(now + self.limit);
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Whether all that a farewell consists of is in the kernel's hands.
    pub fn has_said_goodbye(&self) -> bool {
        matches!(self.stage, Stage::Leaving { is_said: true, .. } | Stage::Gone)
    }

    /// Whether something waits for the network to take it.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Until when [`work`](Self::work) has to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            // An address needs no lookup, and nobody is woken for it.
            Stage::Lookup(lookup) if lookup.found().is_some() => Some(self.progress),
            _ => self.deadline,
        }
    }

    /// What to wait for.
    pub fn transport(&self) -> Option<(&Transport, PollFlags)> {
        let out = |yes| if yes { PollFlags::OUT } else { PollFlags::empty() };
        match &self.stage {
            Stage::Connecting { transport, .. } => Some((transport, PollFlags::OUT)),
            Stage::Securing(transport) => Some((transport, PollFlags::IN | out(transport.has_own_output()))),
            Stage::Talking(transport) | Stage::Leaving { transport, .. } => {
                Some((transport, PollFlags::IN | out(self.is_blocked || transport.has_own_output())))
            }
            Stage::Lookup(_) | Stage::Gone => None,
        }
    }

    /// How many bytes may wait in the kernel.
    pub fn set_unsent_max(&mut self, bytes: usize) {
        if let Stage::Talking(transport) = &mut self.stage {
            transport.set_unsent_max(bytes);
        }
    }

    /// Does what can be done now. What the server said.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn work(&mut self, now: Instant) -> Result<Vec<Event>, Failure> {
        self.advance(now)?;
        let events = match &self.stage {
            Stage::Talking(_) => self.listen()?,
            Stage::Leaving { .. } => {
                self.leave(now);
                return Ok(Vec::new());
            }
            _ => Vec::new(),
        };
        self.send(|_| false)?;
        let awaited = self.session.awaits();
        if matches!(self.stage, Stage::Talking(_)) && awaited != self.awaited {
            self.awaited = awaited;
            self.deadline = (awaited != Step::Publishing && !self.session.is_held()).then(|| now + self.limit);
            self.progress = now;
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(self.too_late());
        }
        Ok(events)
    }

    /// Sends what there is, and what `more` adds to the session's output, until the network takes no more or `more` has
    /// nothing.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn send(&mut self, mut more: impl FnMut(&mut Session) -> bool) -> Result<(), Failure> {
        let (Stage::Talking(transport) | Stage::Leaving { transport, .. }) = &mut self.stage else {
            return Ok(());
        };
        let was_blocked = std::mem::replace(&mut self.is_blocked, false);
        loop {
            let output = self.session.output();
            if self.sent == output.len() {
                output.clear();
                self.sent = 0;
                if !more(&mut self.session) {
                    return match transport.flush() {
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(broken(&error)),
                        _ => Ok(()),
                    };
                }
                continue;
            }
            match transport.write(&output[self.sent..]) {
                Ok(count) => {
                    self.sent += count;
                    self.bytes_sent += count as u64;
                    self.progress = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    if !was_blocked {
                        self.progress = Instant::now();
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    /// Ends the stream in order, and hangs up. A tag that is under way is cut off behind the chunk at hand.
    pub fn leave_in_order(&mut self, now: Instant) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Talking(transport) => {
                self.session.say_goodbye();
                self.deadline = Some(now + FAREWELL);
                Stage::Leaving { transport, is_said: false }
            }
            leaving @ Stage::Leaving { .. } => leaving,
            _ => Stage::Gone,
        };
        self.leave(now);
    }

    fn leave(&mut self, now: Instant) {
        let broke = self.send(|_| false).is_err();
        let is_late = self.deadline.is_none_or(|deadline| now >= deadline);
        let blocked = self.is_blocked;
        let Stage::Leaving { transport, is_said } = &mut self.stage else {
            return;
        };
        if !*is_said && !blocked && !broke {
            transport.shut_down();
            *is_said = true;
        }
        // A close with bytes unread would reset the connection, and the farewell with it.
        let hung_up = loop {
            match transport.read(&mut [0; 1024]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        if broke || is_late || hung_up {
            self.stage = Stage::Gone;
            self.deadline = None;
        }
    }

    fn advance(&mut self, now: Instant) -> Result<(), Failure> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Gone) {
                Stage::Lookup(lookup) => match lookup.found() {
                    None => {
                        self.stage = Stage::Lookup(lookup);
                        return Ok(());
                    }
                    Some(Ok(addresses)) => self.try_next(addresses, now, None)?,
                    Some(Err(why)) => {
                        let text = format!("the host {} is not found: {why}", self.location.host);
                        return Err(Failure::new(Kind::Open, text));
                    }
                },
                Stage::Connecting { transport, others } => match transport.is_connected() {
                    Ok(false) if self.deadline.is_some_and(|deadline| now >= deadline) && !others.is_empty() => {
                        self.try_next(others, now, None)?
                    }
                    Ok(false) => {
                        self.stage = Stage::Connecting { transport, others };
                        return Ok(());
                    }
                    Ok(true) => self.connected(transport, now)?,
                    Err(error) => self.try_next(others, now, Some(error))?,
                },
                Stage::Securing(mut transport) => {
                    transport.agree().map_err(|error| Failure::new(Kind::Open, plain(&error)))?;
                    if transport.is_securing() {
                        self.stage = Stage::Securing(transport);
                        return Ok(());
                    }
                    self.deadline = Some(now + self.limit);
                    Stage::Talking(transport)
                }
                other => {
                    self.stage = other;
                    return Ok(());
                }
            }
        }
    }

    /// Connects to the first of `addresses` that something can be tried with.
    fn try_next(
        &mut self,
        mut addresses: Vec<SocketAddr>,
        now: Instant,
        mut last: Option<io::Error>,
    ) -> Result<Stage, Failure> {
        while !addresses.is_empty() {
            let address = addresses.remove(0);
            match Transport::connect(address) {
                Ok(transport) => {
                    // What is left is shared by those that are left.
                    let share = self.limit / (addresses.len() as u32 + 1);
                    self.deadline = Some(now + share);
                    return Ok(Stage::Connecting { transport, others: addresses });
                }
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or("the host has no address".into(), |error| plain(&error));
        Err(Failure::new(Kind::Open, format!("cannot connect to {}: {why}", self.place())))
    }

    fn connected(&mut self, mut transport: Transport, now: Instant) -> Result<Stage, Failure> {
        self.deadline = Some(now + self.limit);
        if !self.location.is_tls {
            return Ok(Stage::Talking(transport));
        }
        tls::configuration(self.ca_file.as_deref())
            .and_then(|configuration| transport.secure(configuration, &self.location.host))
            .map_err(|why| Failure::new(Kind::Open, why))?;
        Ok(Stage::Securing(transport))
    }

    fn listen(&mut self) -> Result<Vec<Event>, Failure> {
        let Stage::Talking(transport) = &mut self.stage else {
            return Ok(Vec::new());
        };
        let mut events = Vec::new();
        let mut bytes = [0; READ];
        for _ in 0..READS_AT_ONCE {
            match transport.read(&mut bytes) {
                // What it said before counts first; the next read tells the end again.
                Ok(0) | Err(_) if !events.is_empty() => break,
                Ok(0) => return Err(hung_up(self.session.awaits(), None)),
                Ok(count) => events.extend(self.session.receive(&bytes[..count])?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(hung_up(self.session.awaits(), Some(&error))),
            }
        }
        Ok(events)
    }

    fn too_late(&self) -> Failure {
        let seconds = self.limit.as_secs_f64();
        let text = match &self.stage {
            Stage::Lookup(_) => format!("the host {} is not found within {seconds} s", self.location.host),
            Stage::Connecting { .. } => format!("cannot connect to {}: no answer within {seconds} s", self.place()),
            Stage::Securing(_) => format!("no answer to TLS within {seconds} s"),
            _ => format!("no answer to {} within {seconds} s", self.session.awaits().name()),
        };
        Failure::new(Kind::Open, text)
    }

    fn place(&self) -> String {
        let Location { host, port, .. } = &self.location;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

fn hung_up(step: Step, error: Option<&io::Error>) -> Failure {
    let why = error.map(|error| format!(" ({})", plain(error))).unwrap_or_default();
    match step {
        Step::Publishing => Failure::new(Kind::Write, format!("the server has hung up{why}")),
        step => Failure::new(Kind::Open, format!("the server hangs up instead of answering {}{why}", step.name())),
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(Kind::Write, format!("the connection broke: {}", plain(error)))
}

/// Without the number that Rust adds.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Not secret, just different each time.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
