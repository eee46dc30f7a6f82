//! One publisher's connection: waiting for it, the handshake, and its messages, never longer than is allowed.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tools_cli::failure::Failure;

use super::{
    args::Args,
    chunk::ChunkReader,
    intake::Intake,
    session::{Publisher, Session, Step},
};
use crate::{
    flv::{mode::Mode, stream_check::Tag},
    report::talk,
};

/// How long a publisher that takes no answers is waited for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a publisher that has ended, or was refused, gets to hang up by itself.
const HANGUP_GRACE: Duration = Duration::from_secs(2);

pub fn listen(host: &str, port: u16) -> Result<TcpListener, Failure> {
    let unusable = |error: io::Error| {
        Failure::Configuration(format!(
            "{host}:{port} cannot be listened on: {error} (another --listen-port, or 0 for a free one?)"
        ))
    };
    let listener = TcpListener::bind((host, port)).map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    talk(format_args!("listening on rtmp://{address}/"));
    Ok(listener)
}

/// How a connection ended, when no rule was broken.
#[derive(Debug, PartialEq, Eq)]
enum End {
    ThresholdMet,
    Refused,
    /// The publisher ended or hung up.
    Closed,
    TimedOut,
}

/// Takes publishers until one has published something, or time is up.
pub fn serve(
    args: &Args,
    listener: &TcpListener,
    intake: &mut Intake,
    publisher: &mut Publisher,
) -> Result<(), Failure> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let deadline = Instant::now() + timeout;
    while let Some(stream) = accept(listener, deadline)? {
        let mut connection = Connection {
            stream,
            chunks: ChunkReader::new(),
            session: Session::new(args.refuse, (args.mode == Mode::H265Enhanced).then_some("hvc1")),
            timeout,
            deadline,
            until_end: args.until_end,
        };
        let end = connection.run(intake);
        publisher.clone_from(connection.session.publisher());
        match end? {
            End::ThresholdMet | End::Refused => return Ok(()),
            End::TimedOut => break,
            End::Closed if intake.counts().tags > 0 => return intake.judge_count(),
            End::Closed => talk("a client hung up before it published anything; waiting for another"),
        }
    }
    let waited = args.timeout_ms;
    if intake.is_threshold_met() && intake.counts().frames > 0 {
        return Err(Failure::Timeout(format!(
            "the publisher stalled: nothing came for {waited} ms after {} frames",
            intake.counts().frames
        )));
    }
    if intake.counts().video_tags == 0 {
        let asked = if args.refuse { "publisher" } else { "video" };
        return Err(Failure::Timeout(format!("no {asked} came within {waited} ms")));
    }
    intake.judge_count().map_err(|failure| match failure {
        Failure::Threshold(text) => Failure::Threshold(format!("{text} within {waited} ms")),
        other => other,
    })
}

fn accept(listener: &TcpListener, deadline: Instant) -> Result<Option<TcpStream>, Failure> {
    let broken = |error: io::Error| Failure::Configuration(format!("no publisher can be taken: {error}"));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(listener, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(broken(error.into())),
        }
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(broken)?;
                stream.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(broken)?;
                return Ok(Some(stream));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

enum Input {
    Bytes(usize),
    Closed,
    TimedOut,
}

struct Connection {
    stream: TcpStream,
    chunks: ChunkReader,
    session: Session,
    timeout: Duration,
    /// For the threshold; afterwards for the next whole message.
    deadline: Instant,
    until_end: bool,
}

impl Connection {
    fn run(&mut self, intake: &mut Intake) -> Result<End, Failure> {
        let mut buffer = vec![0; 64 * 1024];
        match self.handshake(&mut buffer)? {
            Ok(rest) => self.chunks.push(&rest),
            Err(end) => return Ok(end),
        }
        loop {
            while let Some(message) = self.chunks.next_message().map_err(Failure::Protocol)? {
                let step = self.session.message(&message).map_err(Failure::Protocol)?;
                if !self.answer() {
                    return Ok(End::Closed);
                }
                match step {
                    Step::Continue => {}
                    Step::Refused => {
                        self.wait_for_hangup(&mut buffer);
                        return Ok(End::Refused);
                    }
                    Step::Finished => {
                        self.wait_for_hangup(&mut buffer);
                        return Ok(End::Closed);
                    }
                    Step::Tag { kind, body_offset } => {
                        intake.tag(&Tag { kind, timestamp: message.timestamp, body: &message.body[body_offset..] })?;
                        if intake.is_threshold_met() {
                            if !self.until_end {
                                return Ok(End::ThresholdMet);
                            }
                            self.deadline = Instant::now() + self.timeout;
                        }
                    }
                }
            }
            match self.read(&mut buffer) {
                Input::Bytes(count) => {
                    self.session.received(count).map_err(Failure::Protocol)?;
                    self.chunks.push(&buffer[..count]);
                    if !self.answer() {
                        return Ok(End::Closed);
                    }
                }
                Input::Closed => {
                    if self.session.is_publishing() && self.chunks.is_mid_message() {
                        intake.warn("cut-short", "the connection ended in the middle of the next message");
                    }
                    return Ok(End::Closed);
                }
                Input::TimedOut => return Ok(End::TimedOut),
            }
        }
    }

    /// The bytes that came behind the handshake; or how the connection ended before.
    fn handshake(&mut self, buffer: &mut [u8]) -> Result<Result<Vec<u8>, End>, Failure> {
        let mut handshake = Handshake::new(PeerType::Server);
        loop {
            let count = match self.read(buffer) {
                Input::Bytes(count) => count,
                Input::Closed => return Ok(Err(End::Closed)),
                Input::TimedOut => return Ok(Err(End::TimedOut)),
            };
            let progress = handshake
                .process_bytes(&buffer[..count])
                .map_err(|error| Failure::Protocol(format!("the RTMP handshake: {error}")))?;
            let (response, rest) = match progress {
                HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, None),
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    (response_bytes, Some(remaining_bytes))
                }
            };
            if self.stream.write_all(&response).is_err() {
                return Ok(Err(End::Closed));
            }
            if let Some(rest) = rest {
                return Ok(Ok(rest));
            }
        }
    }

    /// Sends what the session has to say. False when the publisher is gone, or takes nothing.
    fn answer(&mut self) -> bool {
        let output = self.session.take_output();
        output.is_empty() || self.stream.write_all(&output).is_ok()
    }

    fn read(&mut self, buffer: &mut [u8]) -> Input {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return Input::TimedOut;
            }
            match self.stream.read(buffer) {
                Ok(0) => return Input::Closed,
                Ok(count) => return Input::Bytes(count),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Input::Closed,
            }
        }
    }

    /// A close with unread bytes would reset the connection: a refusal might never be seen, and a good end would look
    /// like an error to the publisher.
    fn wait_for_hangup(&mut self, buffer: &mut [u8]) {
        self.deadline = Instant::now() + HANGUP_GRACE;
        while let Input::Bytes(_) = self.read(buffer) {}
    }
}
