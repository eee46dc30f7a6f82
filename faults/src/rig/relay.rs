//! A bad network: passes UDP packets on to a receiver, but for some.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use crate::picture::xorshift;

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;
/// How often to look whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// Packets that came and packets that were not passed on.
#[derive(Debug, Default)]
struct Counts {
    came: AtomicU32,
    dropped: AtomicU32,
    /// Of a hundred packets; whole numbers will do.
    percent: AtomicU32,
    over: AtomicBool,
}

/// A thread that relays. Ends when dropped.
pub struct Relay {
    pub port: u16,
    counts: Arc<Counts>,
}

impl Relay {
    /// Drops `percent` of all packets to `receiver` at random; the same packets for the same `seed`.
    pub fn start(receiver: u16, percent: u32, seed: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(LOOK))?;
        let port = socket.local_addr()?.port();
        let counts = Arc::new(Counts { percent: percent.into(), ..Counts::default() });
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            let mut packet = vec![0; MAX_DATAGRAM];
            let mut random = seed;
            while !shared.over.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut packet) else {
                    continue;
                };
                shared.came.fetch_add(1, Ordering::Relaxed);
                if xorshift(&mut random) % 100 < u64::from(shared.percent.load(Ordering::Relaxed)) {
                    shared.dropped.fetch_add(1, Ordering::Relaxed);
                } else {
                    // A receiver that is gone is its own affair.
                    let _ = socket.send_to(&packet[..length], (Ipv4Addr::LOCALHOST, receiver));
                }
            }
        });
        Ok(Self { port, counts })
    }

    /// From now on everything is passed on.
    pub fn heal(&self) {
        self.counts.percent.store(0, Ordering::Relaxed);
    }

    pub fn came(&self) -> u32 {
        self.counts.came.load(Ordering::Relaxed)
    }

    pub fn dropped(&self) -> u32 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.counts.over.store(true, Ordering::Relaxed);
    }
}
