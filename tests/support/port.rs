//! A port for a program that has to be told one.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// Below the ports that Linux gives to those who ask for none (`ip_local_port_range`, from 32768), so that no socket of
/// anybody's takes one by chance between this look and the program that is told.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that is free for TCP and UDP, and that no other test takes while this process lives.
pub fn free_port() -> u16 {
    let span = RANGE.end - RANGE.start;
    let first = (RandomState::new().build_hasher().finish() % u64::from(span)) as u16;
    (0..span)
        .map(|step| RANGE.start + (first + step) % span)
        .find(|port| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
                && UdpSocket::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
            free && claim(*port)
        })
        .expect("a port is free")
}

/// Takes a name that belongs to one process at a time, and goes with it.
fn claim(port: u16) -> bool {
    let name = SocketAddr::from_abstract_name(format!("cvmmap-test-port-{port}")).expect("a short name");
    // Kept to the end of the process.
    UnixDatagram::bind_addr(&name).map(std::mem::forget).is_ok()
}
