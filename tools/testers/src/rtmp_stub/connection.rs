//! One publisher's connection: its bytes, the handshake, and the messages that come.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use tools_cli::failure::Failure;

use super::{
    chunk::{ChunkReader, Message},
    handshake::{Handshake, Progress},
    session::{Manner, Session, Step},
};

/// How long a publisher that takes no answers is waited for.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a publisher that has ended, or was refused, gets to hang up by itself.
const HANGUP_GRACE: Duration = Duration::from_secs(2);

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    Came,
    Closed,
}

pub struct Connection {
    pub number: u64,
    pub stream: TcpStream,
    pub session: Session,
    /// Until it is done.
    handshake: Option<Handshake>,
    /// C2 had not what S1 had.
    pub repeats_badly: bool,
    chunks: ChunkReader,
    buffer: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// The stream cannot be set up.
    pub fn new(stream: TcpStream, number: u64, manner: Manner, seed: u64) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self {
            number,
            stream,
            session: Session::new(manner),
            handshake: Some(Handshake::new(seed)),
            repeats_badly: false,
            chunks: ChunkReader::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Whether the bytes so far end within a message.
    pub fn is_mid_message(&self) -> bool {
        self.chunks.is_mid_message()
    }

    /// Reads once. Waits when there is nothing.
    ///
    /// # Errors
    /// [`Failure::Protocol`]: what came is no handshake.
    pub fn read(&mut self) -> Result<Input, Failure> {
        let count = match self.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(Input::Closed),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Input::Came),
            Err(_) => return Ok(Input::Closed),
        };
        let bytes = &self.buffer[..count];
        let Some(handshake) = &mut self.handshake else {
            self.session.received(count);
            self.chunks.push(bytes);
            return Ok(self.answer());
        };
        let mut out = Vec::new();
        let progress = handshake.receive(bytes, &mut out).map_err(Failure::Protocol)?;
        if let Progress::Done { rest, repeats } = progress {
            self.repeats_badly = !repeats;
            self.handshake = None;
            self.chunks.push(&rest);
        }
        Ok(if self.stream.write_all(&out).is_ok() { Input::Came } else { Input::Closed })
    }

    /// The next whole message of those that were read, and what it means. Its answer is sent.
    ///
    /// # Errors
    /// [`Failure::Protocol`]: what came breaks a rule.
    pub fn next(&mut self) -> Result<Option<(Message, Step)>, Failure> {
        let Some(message) = self.chunks.next_message().map_err(Failure::Protocol)? else {
            return Ok(None);
        };
        let step = self.session.message(&message).map_err(Failure::Protocol)?;
        // A publisher that takes no answers is seen at the next read.
        let _ = self.answer();
        Ok(Some((message, step)))
    }

    /// Sends what the session has to say.
    pub fn answer(&mut self) -> Input {
        let output = self.session.take_output();
        if output.is_empty() || self.stream.write_all(&output).is_ok() { Input::Came } else { Input::Closed }
    }

    /// A close with unread bytes would reset the connection: a refusal might never be seen, and a good end would look
    /// like an error to the publisher.
    pub fn wait_for_hangup(&mut self) {
        let deadline = Instant::now() + HANGUP_GRACE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    }
}
