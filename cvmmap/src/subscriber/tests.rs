//! Silence at the endpoint, with limits made small: producers that are slow, do not know ZMTP's PING, or are dead.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use super::*;
use crate::sync::SyncMessage;

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits {
    reconnect: Duration::from_millis(5),
    silence: Duration::from_millis(10),
    silence_max: Duration::from_millis(40),
    answer: Duration::from_millis(20),
};

/// An endpoint of this test's own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> String {
        self.folder.path().join("sync").display().to_string()
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.path())
    }
}

/// A subscriber in a thread of its own, which ends with it.
struct Ear {
    waker: Waker,
    heard: mpsc::Receiver<u32>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Ear {
    fn new(endpoint: &str, limits: Limits) -> Self {
        let mut subscriber = Subscriber::with_limits(&Address::new("none", endpoint, None).unwrap(), limits).unwrap();
        let waker = subscriber.waker();
        let (tell, heard) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                match subscriber.wait(None).unwrap() {
                    Event::Frame(message) => tell.send(message.frame_id).unwrap(),
                    Event::Woken => return,
                    Event::Foreign(_) | Event::TimedOut => {}
                }
            }
        });
        Self { waker, heard, thread: Some(thread) }
    }

    /// Whether a frame comes; the newest one that has.
    fn hears(&self, frame_id: u32, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(heard) if heard == frame_id => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.waker.wake();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn announcement(frame_id: u32) -> [u8; 48] {
    SyncMessage::new(frame_id, 1, "any").to_bytes()
}

/// A libzmq publisher that somebody has subscribed to.
fn publisher(endpoint: &str) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.set_xpub_verbose(true).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
    socket.bind(endpoint).unwrap();
    socket
}

fn subscriptions(socket: &zmq::Socket) -> usize {
    std::iter::from_fn(|| socket.recv_bytes(zmq::DONTWAIT).ok()).filter(|told| *told == [1]).count()
}

/// Pauses between frames, in tenths of the silence after which a producer is asked: from none to long ones.
fn pauses() -> impl Iterator<Item = Duration> {
    (0..60u32).map(|step| LIMITS.silence * (step * 7 % 61) / 10)
}

#[test]
fn a_slow_libzmq_producer_loses_nothing() {
    let place = Place::new();
    let socket = publisher(&place.endpoint());
    let ear = Ear::new(&place.endpoint(), LIMITS);
    assert_eq!(socket.recv_bytes(0).unwrap(), [1]);
    for (frame_id, pause) in (0..).zip(pauses()) {
        thread::sleep(pause);
        socket.send(&announcement(frame_id)[..], 0).unwrap();
        assert!(ear.hears(frame_id, PATIENCE), "frame {frame_id}, after {pause:?}");
    }
}

#[test]
fn whoever_answers_is_left_alone() {
    let place = Place::new();
    let socket = publisher(&place.endpoint());
    // Nobody is suspected because the machine was busy.
    let ear = Ear::new(&place.endpoint(), Limits { answer: PATIENCE, ..LIMITS });
    assert_eq!(socket.recv_bytes(0).unwrap(), [1]);
    thread::sleep(LIMITS.silence * 30);
    assert_eq!(subscriptions(&socket), 0);
    socket.send(&announcement(1)[..], 0).unwrap();
    assert!(ear.hears(1, PATIENCE));
}

/// Two producers of one name: the first one is alive, and answers, and has nothing to say.
#[test]
fn another_producer_at_the_same_path_is_heard() {
    let place = Place::new();
    let first = publisher(&place.endpoint());
    let ear = Ear::new(&place.endpoint(), Limits { answer: PATIENCE / 10, ..LIMITS });
    assert_eq!(first.recv_bytes(0).unwrap(), [1]);
    std::fs::remove_file(place.path()).unwrap();
    let second = publisher(&place.endpoint());
    assert_eq!(second.recv_bytes(0).unwrap(), [1]);
    second.send(&announcement(2)[..], 0).unwrap();
    assert!(ear.hears(2, PATIENCE));
    // The first one is left.
    assert_eq!(first.recv_bytes(0).unwrap(), [0]);
}

/// A publisher's side of the handshake; false when the subscriber has left.
fn shake_hands(peer: &mut (impl Read + Write)) -> bool {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xFF, 0x7F, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    let ready = b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03PUB";
    let mut said = [0; 64 + 27 + 3];
    if peer.write_all(&[&greeting[..], ready].concat()).is_err() || peer.read_exact(&mut said).is_err() {
        return false;
    }
    assert_eq!(said[64 + 27..], [0, 1, 1], "a subscription");
    true
}

/// What a publisher does with PING.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manners {
    Ignores,
    HangsUp,
}

/// A publisher by hand. It takes note of subscriptions only when it publishes, as libzmq does.
struct Publisher {
    listener: UnixListener,
    manners: Manners,
    peers: Vec<UnixStream>,
    hung_up: u32,
}

impl Publisher {
    /// Sends a message to each that has subscribed; how many.
    fn publish(&mut self, frame_id: u32) -> usize {
        self.serve();
        let message = [&[0, 48][..], &announcement(frame_id)].concat();
        self.peers.retain_mut(|peer| peer.write_all(&message).is_ok());
        self.peers.len()
    }

    /// Takes what came.
    fn serve(&mut self) {
        while let Ok((mut peer, _)) = self.listener.accept() {
            // A subscriber says all of this by itself; its subscription comes last.
            peer.set_nonblocking(false).unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            // Whoever lost patience meanwhile comes again.
            if shake_hands(&mut peer) {
                peer.set_nonblocking(true).unwrap();
                self.peers.push(peer);
            }
        }
        let mut hung_up = 0;
        self.peers.retain_mut(|peer| match peer.read(&mut [0; 64]) {
            Ok(0) => false,
            Ok(_) if self.manners == Manners::HangsUp => {
                hung_up += 1;
                false
            }
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        self.hung_up += hung_up;
    }
}

/// Frames that a publisher sends to at least one subscriber, with pauses in between; those that did not come.
fn lost(manners: Manners) -> (u32, u32) {
    let place = Place::new();
    let listener = UnixListener::bind(place.path()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut publisher = Publisher { listener, manners, peers: Vec::new(), hung_up: 0 };
    let ear = Ear::new(&place.endpoint(), LIMITS);
    let deadline = Instant::now() + PATIENCE;
    while publisher.publish(u32::MAX) == 0 {
        assert!(Instant::now() < deadline, "nobody subscribes");
    }
    assert!(ear.hears(u32::MAX, PATIENCE));
    let mut lost = 0;
    for (frame_id, pause) in (0..).zip(pauses()) {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            publisher.serve();
            thread::sleep(LIMITS.silence / 20);
        }
        let sent = publisher.publish(frame_id);
        lost += u32::from(sent == 0 || !ear.hears(frame_id, PATIENCE / 4));
    }
    (lost, publisher.hung_up)
}

#[test]
fn a_producer_that_knows_no_ping_loses_nothing() {
    assert_eq!(lost(Manners::Ignores).0, 0);
}

#[test]
fn a_producer_that_takes_no_ping_is_spared_it() {
    let (lost, hung_up) = lost(Manners::HangsUp);
    assert_eq!(hung_up, 2);
    assert!(lost <= hung_up, "{lost} lost");
}

/// Passes connections on to a publisher. When it gets another one it stops passing on what comes by the old connections, and
/// closes none, as a cut cable does.
struct Cable {
    endpoint: String,
    target: Arc<Mutex<u16>>,
}

impl Cable {
    fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let target = Arc::new(Mutex::new(target));
        let aim = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let port = *aim.lock().unwrap();
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                for (mut from, mut to) in [(&client, &server), (&server, &client)]
                    .map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
                {
                    let aim = Arc::clone(&aim);
                    thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if *aim.lock().unwrap() == port && to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                    });
                }
            }
        });
        Self { endpoint, target }
    }
}

fn tcp_publisher() -> (zmq::Socket, u16) {
    let socket = publisher("tcp://127.0.0.1:*");
    let endpoint = socket.get_last_endpoint().unwrap().unwrap();
    (socket, endpoint.rsplit(':').next().unwrap().parse().unwrap())
}

#[test]
fn a_producer_that_died_without_a_word_is_noticed() {
    let (first, port) = tcp_publisher();
    let cable = Cable::new(port);
    let ear = Ear::new(&cable.endpoint, Limits { answer: Duration::from_millis(200), ..LIMITS });
    assert_eq!(first.recv_bytes(0).unwrap(), [1]);
    first.send(&announcement(1)[..], 0).unwrap();
    assert!(ear.hears(1, PATIENCE));

    // The machine of the first one is gone; a second one has its address.
    let (second, port) = tcp_publisher();
    *cable.target.lock().unwrap() = port;
    assert_eq!(second.recv_bytes(0).unwrap(), [1]);
    second.send(&announcement(2)[..], 0).unwrap();
    assert!(ear.hears(2, PATIENCE));
}

#[test]
fn the_old_connection_goes_last() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let limits = Limits { silence_max: PATIENCE, ..LIMITS };
    let _ear = Ear::new(&endpoint, limits);
    // Tries that nobody had the time for are over.
    let mut old = loop {
        let (mut peer, _) = listener.accept().unwrap();
        if shake_hands(&mut peer) {
            break peer;
        }
    };
    // It does not answer, and is left for nobody that has not shaken hands.
    for _ in 0..3 {
        let (_silent, _) = listener.accept().unwrap();
        old.set_nonblocking(true).unwrap();
        while let Ok(count) = old.read(&mut [0; 64]) {
            assert_ne!(count, 0, "closed before there is another one");
        }
    }
    let mut new = loop {
        let (mut peer, _) = listener.accept().unwrap();
        if shake_hands(&mut peer) {
            break peer;
        }
    };
    old.set_nonblocking(false).unwrap();
    old.set_read_timeout(Some(PATIENCE)).unwrap();
    while old.read(&mut [0; 64]).unwrap() > 0 {}
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    // The new one is asked in its turn.
    assert_ne!(new.read(&mut [0; 64]).unwrap(), 0);
}
