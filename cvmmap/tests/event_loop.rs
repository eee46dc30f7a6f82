//! The subscriber in event loops: its descriptor alone says when there is something to do.

use std::{
    hint,
    os::fd::AsFd,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use cvmmap::{
    Abi, Address, Coherence, Depth, DepthUnit, Event, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher,
    SnapshotReader, Standing, Subscriber, SyncMessage,
};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

const PATIENCE: Duration = Duration::from_secs(20);

fn endpoint(folder: &tempfile::TempDir) -> String {
    format!("ipc://{}/sync", folder.path().display())
}

fn subscriber(endpoint: &str) -> Subscriber {
    Subscriber::connect(&Address::new("none", endpoint, None).unwrap()).unwrap()
}

fn producer(endpoint: &str) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.set_linger(0).unwrap();
    socket.bind(endpoint).unwrap();
    socket
}

fn announce(socket: &zmq::Socket, frame_id: u32) -> SyncMessage {
    let message = SyncMessage::new(frame_id, 1, "mine");
    socket.send(&message.to_bytes()[..], 0).unwrap();
    message
}

fn is_readable(descriptor: impl AsFd, within: Duration) -> bool {
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&within)).unwrap() > 0
}

/// Waits for the descriptor alone until something comes.
fn next(subscriber: &mut Subscriber) -> Event {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(is_readable(&*subscriber, deadline.saturating_duration_since(Instant::now())), "nothing comes");
        subscriber.note_readable();
        if let Some(event) = subscriber.try_recv().unwrap() {
            return event;
        }
    }
}

/// Waits for the descriptor alone until the producer has the subscription.
fn subscribe(subscriber: &mut Subscriber, socket: &zmq::Socket) {
    let deadline = Instant::now() + PATIENCE;
    while socket.recv_bytes(zmq::DONTWAIT) != Ok(vec![1]) {
        assert!(Instant::now() < deadline, "nobody subscribes");
        if is_readable(&*subscriber, Duration::from_millis(1)) {
            assert_eq!(subscriber.try_recv().unwrap(), None);
        }
    }
}

#[test]
fn the_descriptor_is_readable_while_there_is_something_to_take() {
    let folder = tempfile::tempdir().unwrap();
    let socket = producer(&endpoint(&folder));
    let mut subscriber = subscriber(&endpoint(&folder));
    subscribe(&mut subscriber, &socket);
    announce(&socket, 0);
    while next(&mut subscriber) != Event::Frame(SyncMessage::new(0, 1, "mine")) {}
    assert_eq!(subscriber.try_recv().unwrap(), None);
    assert!(!is_readable(&subscriber, Duration::ZERO));

    let message = announce(&socket, 1);
    assert_eq!(next(&mut subscriber), Event::Frame(message));
    assert!(subscriber.arrival().waited);
    // What is there when it comes back may have come long ago.
    let message = announce(&socket, 2);
    assert!(is_readable(&subscriber, PATIENCE));
    assert_eq!(next(&mut subscriber), Event::Frame(message));
    assert!(!subscriber.arrival().waited);
    assert_eq!(subscriber.try_recv().unwrap(), None);
    // Nobody has said that the descriptor was waited for.
    let message = announce(&socket, 3);
    assert!(is_readable(&subscriber, PATIENCE));
    assert_eq!(subscriber.try_recv().unwrap(), Some(Event::Frame(message)));
    assert!(!subscriber.arrival().waited);
    assert_eq!(subscriber.try_recv().unwrap(), None);

    subscriber.waker().wake();
    assert_eq!(next(&mut subscriber), Event::Woken);
    assert_eq!(subscriber.try_recv().unwrap(), None);
    assert!(!is_readable(&subscriber, Duration::ZERO));
}

/// A producer that comes late, leaves and comes again: the descriptor says when it is time to connect.
#[test]
fn nobody_needs_a_timer_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut subscriber = subscriber(&endpoint(&folder));
    assert!(matches!(subscriber.standing(), Standing::Apart(_)));
    let begin = Instant::now();
    for _ in 0..3 {
        assert!(is_readable(&subscriber, PATIENCE), "it never tries again");
        assert_eq!(subscriber.try_recv().unwrap(), None);
    }
    assert!(begin.elapsed() >= Duration::from_millis(100), "it is readable all the time");
    for frame_id in 0..3 {
        let socket = producer(&endpoint(&folder));
        subscribe(&mut subscriber, &socket);
        let message = announce(&socket, frame_id);
        assert_eq!(next(&mut subscriber), Event::Frame(message));
        assert_eq!(subscriber.standing(), Standing::Connected);
    }
}

/// The descriptor in an edge-triggered set, as tokio has it: what is told is told once.
#[test]
fn no_announcement_is_slept_through_at_an_edge() {
    const ROUNDS: u32 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let socket = producer(&endpoint(&folder));
    let mut subscriber = subscriber(&endpoint(&folder));
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&set, &subscriber, epoll::EventData::new_u64(0), edge).unwrap();
    subscribe(&mut subscriber, &socket);
    let waker = subscriber.waker();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 1];
        let mut away = 0;
        loop {
            // No timeout: what nobody is told of is never taken.
            while !matches!(epoll::wait(&set, &mut events, None), Ok(1)) {}
            while let Some(event) = subscriber.try_recv().unwrap() {
                match event {
                    Event::Frame(message) => tell.send(message.frame_id).unwrap(),
                    Event::Woken => return,
                    other => panic!("{other:?}"),
                }
                away = (away + 53) % 2_000;
                (0..away).for_each(|_| hint::spin_loop());
            }
        }
    });
    let mut frame_id = 0;
    for round in 0..ROUNDS {
        // One, two or three at once, at any moment.
        (0..round * 37 % 1_000).for_each(|_| hint::spin_loop());
        for _ in 0..=round % 3 {
            frame_id += 1;
            announce(&socket, frame_id);
        }
        while told.recv_timeout(PATIENCE).expect("an announcement was slept through") != frame_id {}
    }
    waker.wake();
    reader.join().unwrap();
}

/// Whoever asks by a clock reads a producer all the same that says when it changes its frames.
#[test]
fn a_publishers_frames_need_nobody_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("cvmmap_clock_{}", std::process::id());
    let address = Address::new(&name, &endpoint(&folder), Some("clock")).unwrap();
    let mut publisher = Publisher::create(&address, Abi::V2 { minor: 0 }).unwrap();
    let mut subscriber = Subscriber::connect(&address).unwrap();
    let mut reader = SnapshotReader::new(&address, Coherence::Cadence);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "nothing is announced");
        let left = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width: 2,
            height: 2,
            stride: 2,
            data: &[1, 2, 3, 4],
        };
        let frame = Frame { timestamp_ns: 1, planes: &[left], depth_unit: DepthUnit::Unknown, encoded: None };
        let published = publisher.publish(&frame).unwrap();
        thread::sleep(Duration::from_millis(1));
        let Some(Event::Frame(announced)) = subscriber.try_recv().unwrap() else { continue };
        if announced.frame_id != published {
            continue;
        }
        assert!(!subscriber.arrival().waited);
        let mut snapshot = reader.begin(&announced, subscriber.arrival()).unwrap();
        let mut picture = [0; 4];
        snapshot.read(PlaneKind::Left, &mut picture, 2).unwrap();
        snapshot.finish().unwrap();
        assert_eq!(picture, [1, 2, 3, 4]);
        return;
    }
}
