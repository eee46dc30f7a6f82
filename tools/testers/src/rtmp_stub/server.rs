//! The server: waits for a publisher, never longer than is allowed, and plays the part that it is told.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::TcpListener,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tools_cli::failure::Failure;

use super::{
    args::Args,
    connection::{Connection, Input},
    intake::Intake,
    session::{Manner, Publisher, Step},
};
use crate::{
    flv::{mode::Mode, stream_check::Tag},
    report::talk,
};

/// What may wait at a server that stalls. A stall is to be felt soon.
const STALL_BUFFER: u32 = 16 * 1024;

/// # Errors
/// [`Failure::Configuration`]: the address cannot be listened on.
pub fn listen(args: &Args) -> Result<TcpListener, Failure> {
    let (host, port) = (&args.listen_host, args.listen_port);
    let unusable = |error: io::Error| {
        Failure::Configuration(format!(
            "{host}:{port} cannot be listened on: {error} (another --listen-port, or 0 for a free one?)"
        ))
    };
    let listener = TcpListener::bind((host.as_str(), port)).map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    if let Some(bytes) = args.receive_buffer.or(args.stall_after.map(|_| STALL_BUFFER)) {
        // Connections have what their listener has.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, bytes as usize)
            .map_err(|error| unusable(error.into()))?;
    }
    let address = listener.local_addr().map_err(unusable)?;
    talk(format_args!("listening on rtmp://{address}/"));
    Ok(listener)
}

/// What was seen of a publisher beside its tags.
#[derive(Debug, Default)]
pub struct Conduct {
    pub publisher: Publisher,
    pub reconnects: u64,
    /// From the last timestamp before the reconnect to the first one behind it.
    pub reconnect_step_ms: Option<i64>,
    /// How long a server that stalled was held on to, and whether it was left then.
    pub stall: Option<(Duration, bool)>,
}

/// How a run ended, when no rule was broken.
#[derive(Debug, PartialEq, Eq)]
enum End {
    ThresholdMet,
    Refused,
    Stalled,
    /// The publisher ended or hung up.
    Closed,
    TimedOut,
}

/// Takes publishers until one has published something, or time is up.
///
/// # Errors
/// What breaks a rule, or did not come.
pub fn serve(args: &Args, listener: &TcpListener, intake: &mut Intake, conduct: &mut Conduct) -> Result<(), Failure> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let manner = Manner {
        refuse: args.refuse,
        four_cc: (args.mode == Mode::H265Enhanced).then_some("hvc1"),
        caps_ex: args.caps_ex,
    };
    let connections = VecDeque::new();
    let deadline = Instant::now() + timeout;
    let mut server = Server {
        args,
        listener,
        intake,
        conduct,
        manner,
        timeout,
        deadline,
        connections,
        asked: false,
        accepted: 0,
        tags_from: None,
        moved_at: 0,
        moved_at_ms: None,
    };
    let end = server.run();
    if let Some(connection) = server.connections.front() {
        server.conduct.publisher.clone_from(connection.session.publisher());
    }
    server.judge(&end?)
}

struct Server<'a> {
    args: &'a Args,
    listener: &'a TcpListener,
    intake: &'a mut Intake,
    conduct: &'a mut Conduct,
    manner: Manner,
    timeout: Duration,
    /// For the threshold and for the reconnect; afterwards for the next whole message.
    deadline: Instant,
    /// The publisher's, and the one that it was asked to make. Tags of the second wait for the end of the first.
    connections: VecDeque<Connection>,
    /// For a reconnect.
    asked: bool,
    accepted: u64,
    /// The connection that tags came on last.
    tags_from: Option<u64>,
    /// Frames that had come at the reconnect, and the last timestamp.
    moved_at: u64,
    moved_at_ms: Option<u32>,
}

impl Server<'_> {
    fn run(&mut self) -> Result<End, Failure> {
        loop {
            let Some(ready) = self.wait()? else {
                return Ok(End::TimedOut);
            };
            let end = match ready {
                Ready::Publisher => {
                    self.accept()?;
                    None
                }
                Ready::Connection(index) => match self.connections[index].read()? {
                    Input::Came => self.work(index)?,
                    Input::Closed => {
                        let connection = &self.connections[index];
                        if connection.session.is_publishing() && connection.is_mid_message() {
                            self.intake.warn("cut-short", "the connection ended in the middle of the next message");
                        }
                        self.closed(index)?
                    }
                },
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Waits for something to do. None when time is up.
    fn wait(&self) -> Result<Option<Ready>, Failure> {
        let mut polled = Vec::new();
        let mut what = Vec::new();
        if self.connections.is_empty() || self.connections.len() == 1 && self.awaits_reconnect() {
            polled.push(PollFd::new(self.listener, PollFlags::IN));
            what.push(Ready::Publisher);
        }
        for (index, connection) in self.connections.iter().enumerate() {
            if index == 0 || !connection.session.is_publishing() {
                polled.push(PollFd::new(&connection.stream, PollFlags::IN));
                what.push(Ready::Connection(index));
            }
        }
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            match poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(unacceptable(error.into())),
            }
            if let Some(at) = polled.iter().position(|polled| !polled.revents().is_empty()) {
                return Ok(Some(what[at]));
            }
        }
    }

    fn awaits_reconnect(&self) -> bool {
        self.asked && self.conduct.reconnects == 0
    }

    fn accept(&mut self) -> Result<(), Failure> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                // Each hasher has keys of its own.
                let seed = RandomState::new().build_hasher().finish();
                let connection =
                    Connection::new(stream, self.accepted, self.manner.clone(), seed).map_err(unacceptable)?;
                self.accepted += 1;
                self.connections.push_back(connection);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(unacceptable(error)),
        }
    }

    /// Acts on what was read.
    fn work(&mut self, index: usize) -> Result<Option<End>, Failure> {
        loop {
            let connection = &mut self.connections[index];
            if index > 0 && connection.session.is_publishing() {
                return Ok(None);
            }
            let Some((message, step)) = connection.next()? else {
                return Ok(None);
            };
            match step {
                Step::Continue => {}
                Step::Refused => {
                    connection.wait_for_hangup();
                    return Ok(Some(End::Refused));
                }
                Step::Finished => {
                    connection.wait_for_hangup();
                    return self.closed(index);
                }
                Step::Tag { kind, body_offset } => {
                    let body = &message.body[body_offset..];
                    if let Some(end) = self.tag(&Tag { kind, timestamp: message.timestamp, body })? {
                        return Ok(Some(end));
                    }
                }
            }
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) -> Result<Option<End>, Failure> {
        let number = self.connections[0].number;
        if self.tags_from.replace(number).is_some_and(|last| last != number) {
            self.begin_anew();
        }
        if self.connections[0].repeats_badly {
            self.intake.warn("handshake", "C2 does not repeat what S1 had: some servers hang up");
        }
        self.intake.tag(tag)?;
        let frames = self.intake.counts().frames;
        if self.conduct.reconnects > 0 && frames > self.moved_at && self.conduct.reconnect_step_ms.is_none() {
            self.conduct.reconnect_step_ms = self.moved_at_ms.map(|last| i64::from(tag.timestamp) - i64::from(last));
        }
        if self.args.stall_after.is_some_and(|after| frames >= after) {
            return self.stall().map(Some);
        }
        if self.args.reconnect_after.is_some_and(|after| frames >= after) && !self.asked {
            self.asked = true;
            self.deadline = Instant::now() + self.timeout;
            let connection = &mut self.connections[0];
            connection.session.ask_to_reconnect();
            let _ = connection.answer();
        }
        if self.is_satisfied() {
            if !self.args.until_end {
                return Ok(Some(End::ThresholdMet));
            }
            self.deadline = Instant::now() + self.timeout;
        }
        Ok(None)
    }

    /// Whether all came that was asked for.
    fn is_satisfied(&self) -> bool {
        let frames = self.intake.counts().frames;
        let has_moved = self.args.reconnect_after.is_none() || self.conduct.reconnects > 0 && frames > self.moved_at;
        self.args.stall_after.is_none() && self.intake.is_threshold_met() && has_moved
    }

    /// Takes nothing more, until the publisher hangs up or time is up.
    fn stall(&mut self) -> Result<End, Failure> {
        let began = Instant::now();
        self.deadline = began + self.timeout;
        let mut left = false;
        talk("stalling: nothing more is read");
        while !left && Instant::now() < self.deadline {
            let timeout = self.deadline.saturating_duration_since(Instant::now());
            // An end is told although bytes in front of it are unread.
            let mut polled = [PollFd::new(&self.connections[0].stream, PollFlags::RDHUP)];
            match poll(&mut polled, Timespec::try_from(timeout).ok().as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => left = !polled[0].revents().is_empty(),
                Err(error) => return Err(unacceptable(error.into())),
            }
        }
        self.conduct.stall = Some((began.elapsed(), left));
        Ok(End::Stalled)
    }

    /// The publisher has ended or hung up on a connection.
    fn closed(&mut self, index: usize) -> Result<Option<End>, Failure> {
        let Some(connection) = self.connections.remove(index) else {
            return Ok(None);
        };
        if index > 0 {
            return Ok(None);
        }
        self.conduct.publisher.clone_from(connection.session.publisher());
        if self.intake.counts().tags == 0 {
            talk("a client hung up before it published anything; waiting for another");
            return Ok(None);
        }
        if !self.awaits_reconnect() {
            return Ok(Some(End::Closed));
        }
        // The other connection may have sent more already, or is yet to come.
        if self.connections.is_empty() { Ok(None) } else { self.work(0) }
    }

    fn begin_anew(&mut self) {
        self.conduct.reconnects += 1;
        self.moved_at = self.intake.counts().frames;
        self.moved_at_ms = self.intake.counts().last_timestamp;
        self.deadline = Instant::now() + self.timeout;
        self.intake.begin_anew();
    }

    fn judge(&mut self, end: &End) -> Result<(), Failure> {
        let waited = self.args.timeout_ms;
        let late = |text: String| Err(Failure::Timeout(text));
        match end {
            End::ThresholdMet | End::Refused | End::Stalled => return Ok(()),
            End::Closed => return self.intake.judge_count(),
            End::TimedOut => {}
        }
        let counts = self.intake.counts();
        if self.awaits_reconnect() || self.asked && counts.frames == self.moved_at {
            return late(format!("the publisher was asked to reconnect, and did not publish anew within {waited} ms"));
        }
        if self.intake.is_threshold_met() && counts.frames > 0 {
            return late(format!("the publisher stalled: nothing came for {waited} ms after {} frames", counts.frames));
        }
        if counts.video_tags == 0 {
            let asked = if self.args.refuse.is_some() { "publisher" } else { "video" };
            return late(format!("no {asked} came within {waited} ms"));
        }
        self.intake.judge_count().map_err(|failure| match failure {
            Failure::Threshold(text) => Failure::Threshold(format!("{text} within {waited} ms")),
            other => other,
        })
    }
}

#[derive(Clone, Copy)]
enum Ready {
    Publisher,
    Connection(usize),
}

fn unacceptable(error: io::Error) -> Failure {
    Failure::Configuration(format!("no publisher can be taken: {error}"))
}
