//! A TCP connection, with or without TLS, on which nothing waits.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use socket2::{Domain, SockRef, Socket, Type};

/// Plaintext that goes into one record.
const RECORD: usize = 16 << 10;
/// Least that may wait in the kernel. With less, a system call is made for every packet.
const UNSENT_MIN: usize = 4 << 10;

/// A connection that stands, or is being made.
#[derive(Debug)]
pub struct Transport {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// How much may wait in the kernel for the network.
    unsent_max: usize,
}

impl Transport {
    /// Begins a connection.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        socket.set_tcp_nodelay(true)?;
        let mut transport = Self { tcp: socket.into(), tls: None, unsent_max: 0 };
        transport.set_unsent_max(UNSENT_MIN);
        Ok(transport)
    }

    /// Whether the connection stands; an error when there is none.
    pub fn is_connected(&self) -> io::Result<bool> {
        if !self.is_ready(PollFlags::OUT) {
            return Ok(false);
        }
        match self.tcp.take_error()? {
            Some(error) => Err(error),
            None => Ok(true),
        }
    }

    /// Begins TLS with the server `host`.
    pub fn secure(&mut self, configuration: Arc<ClientConfig>, host: &str) -> Result<(), String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "the host is no name that TLS can check")?;
        let tls = ClientConnection::new(configuration, name).map_err(|error| super::tls::sentence(&error))?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Whether TLS is being agreed on.
    pub fn is_securing(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Goes on agreeing on TLS.
    pub fn agree(&mut self) -> io::Result<()> {
        loop {
            match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_handshaking()) else {
                return Ok(());
            };
            match tls.read_tls(&mut self.tcp) {
                Ok(0) => return Err(io::Error::other("the server hangs up instead of answering TLS")),
                Ok(_) => process(tls, &mut self.tcp)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::Error::other("the server hangs up instead of answering TLS"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether TLS has something to send by itself.
    pub fn has_own_output(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Lets so many bytes wait in the kernel: what waits there cannot be taken back when the network stalls.
    pub fn set_unsent_max(&mut self, bytes: usize) {
        let bytes = bytes.max(UNSENT_MIN);
        // Small changes are not worth a system call.
        if bytes.abs_diff(self.unsent_max) * 8 > self.unsent_max {
            self.unsent_max = bytes;
            // Without it a stall is noticed later.
            let _ = SockRef::from(&self.tcp).set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// What has come. 0 is the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.read(into);
        };
        loop {
            match tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Servers hang up without the farewell of TLS, and RTMP has its own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            process(tls, &mut self.tcp)?;
        }
    }

    /// Sends the begin of `bytes`; how many. At most what may wait in the kernel.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        // The kernel takes more than it is allowed to keep when it has room in a packet: it is asked first.
        if !self.is_ready(PollFlags::OUT) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = &bytes[..bytes.len().min(self.unsent_max / 2)];
        let Some(tls) = &mut self.tls else {
            return self.tcp.write(bytes);
        };
        if tls.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = tls.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends what TLS has ready.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.tcp)?;
            }
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub fn shut_down(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Whoever does not listen misses it.
            let _ = self.flush();
        }
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    fn is_ready(&self, flags: PollFlags) -> bool {
        let mut polled = [PollFd::new(&self.tcp, flags)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }
}

fn process(tls: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<()> {
    tls.process_new_packets().map(|_| ()).map_err(|error| {
        // The alert that says why.
        let _ = tls.write_tls(tcp);
        io::Error::other(super::tls::sentence(&error))
    })
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
