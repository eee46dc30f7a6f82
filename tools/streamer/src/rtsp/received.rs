//! What has come over a connection.

use std::{mem, net::TcpStream, os::fd::AsRawFd as _};

/// Bytes so far, by the kernel's account. `None` when it has none.
pub fn received(socket: &TcpStream) -> Option<u64> {
    // SAFETY: numbers alone, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let size = mem::size_of_val(&info);
    let mut length = libc::socklen_t::try_from(size).ok()?;
    // SAFETY: the kernel writes `length` bytes at most, which `info` has, and the descriptor is open.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length)
    };
    (result == 0 && length as usize == size).then_some(info.tcpi_bytes_received)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn bytes_are_counted_whether_they_were_read_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        sender.write_all(&[0; 1000]).unwrap();
        receiver.read_exact(&mut [0; 600]).unwrap();
        // Loopback delivers before the call is over.
        assert_eq!(received(&receiver), Some(1000));
    }
}
