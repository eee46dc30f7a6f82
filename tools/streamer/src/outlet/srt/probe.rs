//! Whether somebody listens where a caller got no connection: SRT's library does not tell a wrong passphrase from nobody. The
//! first packet of a handshake is asked of the same address; a listener answers it whoever asks, and remembers nothing of it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Size of a handshake packet without extensions. Source: draft-sharabayko-srt, 3 and 3.2.1.
const HANDSHAKE: usize = 64;

/// A question that was asked.
#[derive(Debug)]
pub struct Probe(UdpSocket);

impl Probe {
    /// Asks; waits for nothing. `None` when the machine has no socket.
    pub fn ask(address: SocketAddr) -> Option<Self> {
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect(address).ok()?;
        socket.send(&induction()).ok()?;
        Some(Self(socket))
    }

    /// Whether the answer of a listener has come.
    pub fn is_answered(&self) -> bool {
        let mut answer = [0; 2 * HANDSHAKE];
        // Nobody else's packets come to a socket that is connected.
        self.0.recv(&mut answer).is_ok_and(|size| size >= HANDSHAKE && answer[..4] == CONTROL)
    }
}

/// A control packet of type 0, the handshake.
const CONTROL: [u8; 4] = [0x80, 0, 0, 0];

/// The packet that a caller sends first. Source: draft-sharabayko-srt, 4.3.1.1.
fn induction() -> [u8; HANDSHAKE] {
    let mut packet = [0; HANDSHAKE];
    let fields: [(usize, u32); 7] = [
        // Version 4, and the extension field 2.
        (16, 4),
        (20, 2),
        // Sequence number, largest packet and window, as callers have them.
        (24, 1),
        (28, 1500),
        (32, 8192),
        // The type: induction.
        (36, 1),
        // A socket number, which nobody connects to.
        (40, 1),
    ];
    packet[..4].copy_from_slice(&CONTROL);
    for (at, value) in fields {
        packet[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handshake_is_an_answer() {
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let probe = Probe::ask(there.local_addr().unwrap()).unwrap();
        let mut asked = [0; 128];
        let (size, from) = there.recv_from(&mut asked).unwrap();
        assert_eq!((size, &asked[16..24]), (HANDSHAKE, &[0, 0, 0, 4, 0, 0, 0, 2][..]));
        assert!(!probe.is_answered());
        // Loopback delivers before the call is over.
        there.send_to(&[7; HANDSHAKE], from).unwrap();
        assert!(!probe.is_answered());
        there.send_to(&asked[..size], from).unwrap();
        assert!(probe.is_answered());
    }
}
