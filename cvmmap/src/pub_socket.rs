//! The socket on which a producer announces its frames.

use std::path::PathBuf;

use rustix::{
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use crate::{address::Address, permissions::set_socket_mode, publish_error::PublishError, sync::SyncMessage};

/// How long a closed endpoint may still deliver the last announcements, milliseconds.
const LINGER: i32 = 50;
/// Announcements kept for a consumer that does not read; it wants the newest anyway.
const QUEUED_MAX: i32 = 64;

/// The PUB socket. It has a context of its own: ending that waits until the socket is closed.
pub(crate) struct PubSocket {
    socket: Option<zmq::Socket>,
    context: zmq::Context,
    name: String,
    socket_path: Option<PathBuf>,
}

impl PubSocket {
    pub(crate) fn bind(address: &Address) -> Result<Self, PublishError> {
        let name = address.zmq_endpoint();
        let context = zmq::Context::new();
        let bound = context.socket(zmq::PUB).and_then(|socket| {
            socket.set_linger(LINGER)?;
            socket.set_sndhwm(QUEUED_MAX)?;
            socket.bind(name)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => Ok(Self {
                socket: Some(socket),
                context,
                name: name.to_owned(),
                socket_path: address.socket_path().map(PathBuf::from),
            }),
            Err(zmq::Error::EADDRINUSE) => Err(PublishError::Busy(name.to_owned())),
            Err(source) => Err(PublishError::Endpoint { endpoint: name.to_owned(), source: source.into() }),
        }
    }

    /// Lets others connect, where the endpoint has a file. ZeroMQ makes it by the umask, and then only its owner may.
    pub(crate) fn open_to(&self, mode: Mode) -> Result<(), PublishError> {
        let Some(path) = &self.socket_path else {
            return Ok(());
        };
        set_socket_mode(path, mode)
            .map_err(|source| PublishError::Endpoint { endpoint: self.name.clone(), source: source.into() })
    }

    pub(crate) fn send(&self, message: &SyncMessage) -> Result<(), PublishError> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        // A PUB socket drops for a slow consumer instead of waiting.
        socket
            .send(message.to_bytes().as_slice(), zmq::DONTWAIT)
            .map_err(|source| PublishError::Endpoint { endpoint: self.name.clone(), source: source.into() })
    }
}

impl Drop for PubSocket {
    fn drop(&mut self) {
        self.socket = None;
        // Waits for the socket to be gone, at most LINGER.
        let _ = self.context.destroy();
        // ZeroMQ leaves the file. The segment's lock is still held: no successor of ours can have made its own yet.
        if let Some(path) = &self.socket_path {
            let _ = rustix::fs::unlink(path);
        }
    }
}

/// Whether a live process has the Unix socket; what a dead one left refuses.
pub(crate) fn is_listened_on(path: &str) -> bool {
    let connect = || {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
    };
    // AGAIN: its queue of connections is full, so there is somebody to fill it.
    matches!(connect(), Ok(()) | Err(Errno::AGAIN))
}
