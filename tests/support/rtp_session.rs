//! One RTP session, heard by a socket.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Hears an RTP stream, and checks what a session is: one source, numbers that follow each other, time that never goes
/// back.
pub struct Session {
    pub port: u16,
    ended: Arc<AtomicBool>,
    heard: JoinHandle<u64>,
}

impl Session {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let heard = thread::spawn(move || {
            let mut last = None;
            let mut frames = 0;
            let mut packet = [0; 2048];
            loop {
                match socket.recv(&mut packet) {
                    Ok(12..) => {}
                    Ok(length) => panic!("{length} bytes are no RTP packet"),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                        if until.load(Ordering::Relaxed) {
                            return frames;
                        }
                        continue;
                    }
                }
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                let [time, source] = [4, 8].map(|at| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap()));
                if let Some((last_sequence, last_time, last_source)) = last.replace((sequence, time, source)) {
                    assert_eq!(source, last_source, "another SSRC");
                    assert_eq!(sequence.wrapping_sub(last_sequence), 1, "{sequence} after {last_sequence}");
                    assert!(time.wrapping_sub(last_time).cast_signed() >= 0, "time went back");
                }
                frames += u64::from(packet[1] >> 7);
            }
        });
        Self { port, ended, heard }
    }

    /// Frames that came.
    pub fn frames(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.heard.join().unwrap()
    }
}
