//! A receiver of RTP that counts what comes.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

/// A keyframe is many packets at once.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What has come so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    pub units: u64,
    /// Of RTP packets, with their headers.
    pub bytes: u64,
    pub packets_lost: u64,
}

#[derive(Default)]
struct Counters {
    units: AtomicU64,
    bytes: AtomicU64,
    packets_lost: AtomicU64,
}

pub struct Receiver {
    pub port: u16,
    counters: Arc<Counters>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let port = socket.local_addr()?.port();
        let (counters, ended) = <(Arc<Counters>, Arc<AtomicBool>)>::default();
        let thread = {
            let (counters, ended) = (Arc::clone(&counters), Arc::clone(&ended));
            thread::spawn(move || count(&socket, &counters, &ended))
        };
        Ok(Self { port, counters, ended, thread: Some(thread) })
    }

    pub fn received(&self) -> Received {
        let Counters { units, bytes, packets_lost } = &*self.counters;
        let [units, bytes, packets_lost] = [units, bytes, packets_lost].map(|count| count.load(Ordering::Relaxed));
        Received { units, bytes, packets_lost }
    }
}

fn count(socket: &UdpSocket, counters: &Counters, ended: &AtomicBool) {
    let (mut packet, mut last) = ([0; 2048], None::<u16>);
    while !ended.load(Ordering::Relaxed) {
        let Ok(length @ 12..) = socket.recv(&mut packet) else {
            continue;
        };
        // RFC 3550 section 5.1; the marker ends an access unit, RFC 6184 section 5.1 and RFC 7798 section 4.1.
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        if let Some(last) = last.replace(sequence) {
            counters.packets_lost.fetch_add(sequence.wrapping_sub(last).wrapping_sub(1).into(), Ordering::Relaxed);
        }
        counters.units.fetch_add(u64::from(packet[1] >> 7), Ordering::Relaxed);
        counters.bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It counts and cannot panic.
            let _ = thread.join();
        }
    }
}
