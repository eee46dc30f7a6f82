//! The thread that sends to all viewers, from one socket. It never waits for one of them.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use str0m::{Candidate, net::DatagramRecv};
use tokio::{sync::mpsc, time};

use super::{
    limits::{KeyframeLimit, RateLimit},
    picture::Pictures,
    signalling::{Answer, Question, Refusal},
    viewer::{Picture, Terms, Viewer, Wish},
};
use crate::{
    log::tell_again,
    outlet::{
        feed::{AskForKeyframe, Unit},
        meter::Meter,
    },
};

/// Keyframe requests that are passed on: two a second.
const KEYFRAME_SPACING: Duration = Duration::from_millis(500);
/// Offers a second: each costs a few milliseconds.
const OFFERS_A_SECOND: u32 = 20;
/// Datagrams read at once before something else gets its turn.
const DATAGRAMS_AT_ONCE: usize = 64;
/// Largest datagram that a session sends or takes.
const DATAGRAM_MAX: usize = 2048;
/// Without anything to do, it looks so often whether there is.
const IDLE: Duration = Duration::from_secs(1);

/// What the thread shares with the outlet.
#[derive(Debug, Default)]
pub struct Counts {
    /// Viewers that connected, ever.
    pub connects: AtomicU64,
    /// Viewers that are connected.
    pub viewers: AtomicU64,
    /// Packets that the system did not take.
    pub unsent: AtomicU64,
    /// Access units were lost on the way to the thread.
    pub overflow: AtomicBool,
}

/// What the thread works with.
pub struct Engine {
    /// The one socket.
    pub socket: UdpSocket,
    /// What all viewers share.
    pub terms: Terms,
    /// Viewers at most.
    pub viewers_max: usize,
    /// Whether the encoder is known to make B-frames.
    pub reordered: bool,
    /// Access units; the end of them ends the thread.
    pub units: mpsc::Receiver<Unit>,
    /// Questions of viewers.
    pub questions: mpsc::Receiver<Question>,
    /// Asks the encoder for a keyframe.
    pub ask_for_keyframe: AskForKeyframe,
    /// Counts access units.
    pub meter: Arc<Meter>,
    /// Counts everything else.
    pub counts: Arc<Counts>,
}

/// The same at work.
struct Running {
    engine: Engine,
    socket: tokio::net::UdpSocket,
    viewers: HashMap<String, Viewer>,
    /// Sessions by the address that their datagrams come from.
    addresses: HashMap<SocketAddr, String>,
    keyframes: KeyframeLimit,
    offers: RateLimit,
    pictures: Pictures,
}

impl Engine {
    /// Sends until there are no more access units.
    ///
    /// # Errors
    /// When the system gives no runtime or socket for it.
    pub fn run(self) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            self.socket.set_nonblocking(true)?;
            let socket = tokio::net::UdpSocket::from_std(self.socket.try_clone()?)?;
            let now = Instant::now();
            let mut running = Running {
                pictures: Pictures::new(self.reordered),
                engine: self,
                socket,
                viewers: HashMap::new(),
                addresses: HashMap::new(),
                keyframes: KeyframeLimit::new(KEYFRAME_SPACING),
                offers: RateLimit::new(OFFERS_A_SECOND, now),
            };
            running.serve().await;
            Ok(())
        })
    }
}

impl Running {
    async fn serve(&mut self) {
        let mut datagram = [0; DATAGRAM_MAX];
        loop {
            let deadline = self.deadline();
            tokio::select! {
                unit = self.engine.units.recv() => match unit {
                    Some(unit) => self.show(&unit),
                    None => break,
                },
                Some(question) = self.engine.questions.recv() => self.answer(question),
                readable = self.socket.readable() => {
                    if readable.is_ok() {
                        self.read(&mut datagram);
                    }
                }
                () = time::sleep_until(deadline.into()) => {}
            }
            self.look();
        }
        let (now, socket, counts) = (Instant::now(), &self.socket, &self.engine.counts);
        for viewer in self.viewers.values_mut() {
            viewer.close(now, &mut |packet, to| send(socket, counts, packet, to));
        }
        counts.viewers.store(0, Ordering::Relaxed);
    }

    fn deadline(&self) -> Instant {
        let idle = Instant::now() + IDLE;
        self.viewers
            .values()
            .map(Viewer::deadline)
            .chain(self.keyframes.deadline())
            .min()
            .map_or(idle, |due| due.min(idle))
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let (socket, counts) = (&self.socket, &self.engine.counts);
        let due = self.viewers.iter_mut().filter(|(_, viewer)| viewer.deadline() <= now);
        let wishes = due
            .map(|(session, viewer)| {
                (session.clone(), viewer.look(now, &mut |packet, to| send(socket, counts, packet, to)))
            })
            .collect::<Vec<_>>();
        for (session, wish) in wishes {
            self.grant(&session, wish);
        }
        if self.keyframes.look(now) {
            (self.engine.ask_for_keyframe)();
        }
        let connected = self.viewers.values().filter(|viewer| viewer.is_connected()).count() as u64;
        self.engine.counts.viewers.store(connected, Ordering::Relaxed);
    }

    fn grant(&mut self, session: &str, wish: Wish) {
        match wish {
            Wish::None => {}
            Wish::Keyframe => {
                if self.keyframes.ask(Instant::now()) {
                    (self.engine.ask_for_keyframe)();
                }
            }
            Wish::Leave(why) => {
                if let Some(mut viewer) = self.viewers.remove(session) {
                    let (socket, counts) = (&self.socket, &self.engine.counts);
                    viewer.close(Instant::now(), &mut |packet, to| send(socket, counts, packet, to));
                    tell_again(why, &format!("WebRTC: a viewer is gone: {why}; {} are left", self.viewers.len()));
                }
                self.addresses.retain(|_, known| known != session);
            }
        }
    }

    fn show(&mut self, unit: &Unit) {
        if self.engine.counts.overflow.swap(false, Ordering::Relaxed) {
            self.viewers.values_mut().for_each(Viewer::skip);
            if !self.viewers.is_empty() && self.keyframes.ask(Instant::now()) {
                (self.engine.ask_for_keyframe)();
            }
        }
        let picture = self.pictures.read(unit, !self.viewers.is_empty());
        if self.pictures.are_reordered() && !self.viewers.is_empty() {
            for session in self.viewers.keys().cloned().collect::<Vec<_>>() {
                self.grant(&session, Wish::Leave("the stream has B-frames now; take them out (--b-frames 0)"));
            }
        }
        let Some(picture) = picture else {
            return;
        };
        if picture.is_keyframe {
            self.keyframes.served();
        }
        self.send_to_all(&picture, unit.captured);
    }

    fn send_to_all(&mut self, picture: &Picture, captured: Option<Instant>) {
        let now = Instant::now();
        let (socket, counts, meter) = (&self.socket, &self.engine.counts, &self.engine.meter);
        let mut wishes = Vec::new();
        for (session, viewer) in self.viewers.iter_mut().filter(|(_, viewer)| viewer.is_connected()) {
            let (sent, wish) = viewer.show(picture, now, &mut |packet, to| send(socket, counts, packet, to));
            if sent {
                meter.pass(captured, picture.data.len());
            } else {
                meter.offer();
            }
            if wish != Wish::None {
                wishes.push((session.clone(), wish));
            }
        }
        for (session, wish) in wishes {
            self.grant(&session, wish);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let (size, from) = match self.socket.try_recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // Linux tells here that an earlier packet was refused.
                Err(_) => continue,
            };
            let now = Instant::now();
            let Ok(datagram) = DatagramRecv::try_from(&buffer[..size]) else {
                continue;
            };
            let Some(session) = self.session_of(from, &buffer[..size], now) else {
                continue;
            };
            let (socket, counts) = (&self.socket, &self.engine.counts);
            let Some(viewer) = self.viewers.get_mut(&session) else {
                continue;
            };
            let was_connected = viewer.is_connected();
            let wish = viewer.hear(from, datagram, now, &mut |packet, to| send(socket, counts, packet, to));
            if viewer.is_connected() && !was_connected {
                counts.connects.fetch_add(1, Ordering::Relaxed);
            }
            self.grant(&session, wish);
        }
    }

    fn session_of(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Option<String> {
        let accepts =
            |viewer: &Viewer| DatagramRecv::try_from(bytes).is_ok_and(|datagram| viewer.accepts(from, datagram, now));
        if let Some(session) = self.addresses.get(&from)
            && self.viewers.get(session).is_some_and(accepts)
        {
            return Some(session.clone());
        }
        let (session, _) = self.viewers.iter().find(|(_, viewer)| accepts(viewer))?;
        let session = session.clone();
        self.addresses.insert(from, session.clone());
        Some(session)
    }

    fn answer(&mut self, question: Question) {
        let now = Instant::now();
        match question {
            Question::Offer(sdp, reply) => {
                let answer = self.accept(&sdp, now);
                if let Err(Ok(answer)) = reply.send(answer) {
                    // Whoever asked did not wait.
                    self.viewers.remove(&answer.session);
                }
            }
            Question::Candidates(session, candidates, reply) => {
                let (socket, counts) = (&self.socket, &self.engine.counts);
                let mut wish = Wish::None;
                let known = self.viewers.get_mut(&session);
                // Whoever asked may not wait.
                let _ = reply.send(known.is_some());
                if let Some(viewer) = known {
                    // Names that only the viewer's own network resolves are no addresses: its checks tell where it is.
                    let candidates = candidates.iter().filter_map(|text| Candidate::from_sdp_string(text).ok());
                    for candidate in candidates {
                        wish = viewer.add_candidate(candidate, now, &mut |packet, to| send(socket, counts, packet, to));
                    }
                }
                self.grant(&session, wish);
            }
            Question::Leave(session, reply) => {
                let _ = reply.send(self.viewers.contains_key(&session));
                self.grant(&session, Wish::Leave("it left"));
            }
        }
    }

    fn accept(&mut self, sdp: &str, now: Instant) -> Result<Answer, Refusal> {
        if self.pictures.are_reordered() {
            return Err(Refusal::Reordered);
        }
        if self.viewers.len() >= self.engine.viewers_max {
            return Err(Refusal::Full(self.engine.viewers_max));
        }
        if !self.offers.pass(now) {
            return Err(Refusal::TooFast);
        }
        let (viewer, sdp) = Viewer::new(sdp, &self.engine.terms, now)?;
        let session = session_name();
        self.viewers.insert(session.clone(), viewer);
        Ok(Answer { session, sdp })
    }
}

/// A packet that the system does not take is lost, as on any network: the viewer asks for it again.
fn send(socket: &tokio::net::UdpSocket, counts: &Counts, packet: &[u8], to: SocketAddr) {
    if socket.try_send_to(packet, to).is_err() {
        counts.unsent.fetch_add(1, Ordering::Relaxed);
    }
}

/// A name of 128 random bits: whoever knows it may end the session.
fn session_name() -> String {
    let mut bytes = [0; 16];
    // Linux has random bytes from its start on.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).expect("the kernel has random bytes");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
