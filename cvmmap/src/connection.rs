//! A connection to a publisher's endpoint, on which nothing waits.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
        send, socket_with,
    },
};

use crate::zmtp::{Breach, Conversation, Said, greeting, ping};

/// Times that a full buffer is read before what came is acted on; a flood must not keep the subscriber from it.
const READS_AT_ONCE: usize = 16;

/// Where a publisher listens.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// A host can have several; they are tried in turns.
    addresses: Vec<(AddressFamily, SocketAddrAny)>,
    tried: usize,
    /// Path of the socket, when it has one.
    path: Option<PathBuf>,
}

/// Identity of a socket's file: whoever binds a path anew makes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketFile {
    device: u64,
    inode: u64,
}

/// What came at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// A message.
    pub(crate) has_message: bool,
    /// A command: that the peer is ready, or a heartbeat, or the answer to one.
    pub(crate) has_command: bool,
}

impl Heard {
    /// Whether the peer has said anything at all.
    pub(crate) fn is_sign(self) -> bool {
        self.has_message || self.has_command
    }
}

impl Endpoint {
    /// The place that ZeroMQ calls so. A host's name is looked up once, here.
    ///
    /// # Errors
    /// When it is none that can be connected to, or there is no such host.
    pub(crate) fn new(endpoint: &str) -> io::Result<Self> {
        let refused =
            |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("frame-sync endpoint '{endpoint}': {why}"));
        let mut file = None;
        let addresses = if let Some(path) = endpoint.strip_prefix("ipc://") {
            file = Some(path).filter(|path| !path.starts_with('@')).map(PathBuf::from);
            let address = match path.strip_prefix('@') {
                Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
                None => SocketAddrUnix::new(path),
            };
            vec![(AddressFamily::UNIX, SocketAddrAny::from(address?))]
        } else if let Some(host) = endpoint.strip_prefix("tcp://") {
            let found = host.to_socket_addrs().map_err(|error| refused(&error.to_string()))?;
            let family =
                |address| if let SocketAddr::V4(_) = address { AddressFamily::INET } else { AddressFamily::INET6 };
            found.map(|address| (family(address), SocketAddrAny::from(address))).collect()
        } else {
            return Err(refused("it is neither ipc:// nor tcp://"));
        };
        if addresses.is_empty() {
            Err(refused("the host has no address"))
        } else {
            Ok(Self { addresses, tried: 0, path: file })
        }
    }

    /// The file by which a connection would be made now, if there is one.
    pub(crate) fn socket_file(&self) -> Option<SocketFile> {
        let stat = rustix::fs::stat(self.path.as_ref()?).ok()?;
        Some(SocketFile { device: stat.st_dev, inode: stat.st_ino })
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// When nobody listens, and what else the system says.
    pub(crate) fn connect(&mut self) -> io::Result<Connection> {
        let (family, address) = &self.addresses[self.tried % self.addresses.len()];
        self.tried = self.tried.wrapping_add(1);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(*family, SocketType::STREAM, flags, None)?;
        match connect(&socket, address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut connection = Connection { socket, has_greeted: false, conversation: Conversation::new() };
        connection.greet()?;
        Ok(connection)
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// The publisher left, or the system ended it and says why.
    Closed(Option<Errno>),
    /// The peer is to blame.
    Breach(Breach),
}

impl From<Errno> for Over {
    fn from(error: Errno) -> Self {
        Self::Closed(Some(error))
    }
}

/// A connection that is being made or stands.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// Whether the greeting has been sent.
    has_greeted: bool,
    conversation: Conversation,
}

impl Connection {
    /// Sends the greeting, if the system has connected already. If not: the peer speaks first as well, and this is called
    /// again when it has.
    fn greet(&mut self) -> Result<(), Errno> {
        if !self.has_greeted {
            match self.say(&greeting()) {
                Ok(()) => self.has_greeted = true,
                Err(Errno::AGAIN | Errno::NOTCONN) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a few bytes, for which there is always room: hardly any are ever sent.
    fn say(&self, bytes: &[u8]) -> Result<(), Errno> {
        // A peer that is gone is an error and no signal.
        let sent = send(&self.socket, bytes, SendFlags::NOSIGNAL)?;
        if sent == bytes.len() { Ok(()) } else { Err(Errno::NOBUFS) }
    }

    /// Gives each message that came.
    pub(crate) fn receive(&mut self, give: &mut dyn FnMut(&[u8])) -> Result<Heard, Over> {
        let mut heard = Heard::default();
        for _ in 0..READS_AT_ONCE {
            let room = self.conversation.room();
            let size = room.len();
            let count = match recv(&self.socket, room, RecvFlags::empty()) {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Ok((0, _)) => return Err(self.ended(None)),
                Err(error) => return Err(self.ended(Some(error))),
                Ok((count, _)) => count,
            };
            self.conversation.received(count);
            self.greet()?;
            while let Some(said) = self.conversation.next().map_err(Over::Breach)? {
                match said {
                    Said::Message(message) => {
                        heard.has_message = true;
                        give(message);
                    }
                    Said::Command => heard.has_command = true,
                }
            }
            if !self.conversation.answer.is_empty() {
                self.say(&self.conversation.answer)?;
                self.conversation.answer.clear();
            }
            if count < size {
                break;
            }
        }
        Ok(heard)
    }

    fn ended(&self, error: Option<Errno>) -> Over {
        self.conversation.ended().map_or(Over::Closed(error), Over::Breach)
    }

    /// Whether the peer is a publisher that knows what is wanted.
    pub(crate) fn stands(&self) -> bool {
        self.conversation.stands()
    }

    /// Asks the peer for a sign.
    pub(crate) fn ping(&self) -> Result<(), Errno> {
        self.say(&ping())
    }

    /// Whether something came that was not [received](Self::receive).
    pub(crate) fn has_more(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(changed) => Ok(changed > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
