//! A publisher, a subscriber and a reader over real shared memory and real ZeroMQ.
//!
//! Longer than other files: the cases share a publisher, a reader and what both are given.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::FileExt, net::UnixListener},
    process,
    time::{Duration, Instant},
};

use cvmmap::{
    Abi, Address, Arrival, Breach, Coherence, Depth, DepthUnit, Event, Foreign, Frame, METADATA_SIZE, Metadata,
    PixelFormat, Plane, PlaneImage, PlaneKind, PublishError, Publisher, SnapshotError, SnapshotReader, Subscriber,
    SyncMessage,
};

const PATIENCE: Duration = Duration::from_secs(10);
const V2: Abi = Abi::V2 { minor: 1 };

/// An address of this test's own, with a folder for its socket.
struct Place {
    address: Address,
    _folder: tempfile::TempDir,
}

fn place(name: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let shm_name = format!("cvmmap_test_{}_{name}", process::id());
    Place { address: Address::new(&shm_name, &endpoint, Some(name)).unwrap(), _folder: folder }
}

fn picture(width: u32, height: u32, stride: u32, data: &[u8]) -> PlaneImage<'_> {
    PlaneImage { kind: PlaneKind::Left, pixel_format: PixelFormat::Bgr, depth: Depth::U8, width, height, stride, data }
}

fn frame<'a>(timestamp_ns: u64, planes: &'a [PlaneImage<'a>]) -> Frame<'a> {
    Frame { timestamp_ns, planes, depth_unit: DepthUnit::Unknown, encoded: None }
}

/// Publishes until the subscription stands, and gives the announcement.
fn announced(publisher: &mut Publisher, subscriber: &mut Subscriber, frame: &Frame<'_>) -> SyncMessage {
    for _ in 0..500 {
        publisher.publish(frame).unwrap();
        if let Event::Frame(message) = subscriber.wait(Some(Duration::from_millis(20))).unwrap() {
            return message;
        }
    }
    panic!("no announcement came through");
}

/// Waits until the subscription has arrived. A subscriber gets there only while somebody waits with it.
fn subscribed(socket: &zmq::Socket, subscriber: &mut Subscriber) {
    let deadline = Instant::now() + PATIENCE;
    while socket.recv_bytes(zmq::DONTWAIT) != Ok(vec![1]) {
        assert!(Instant::now() < deadline, "no subscription");
        assert_eq!(subscriber.wait(Some(Duration::from_millis(5))).unwrap(), Event::TimedOut);
    }
}

fn now() -> Arrival {
    Arrival { at: Instant::now(), waited: true }
}

fn left(metadata: &Metadata) -> Plane {
    *metadata.plane(PlaneKind::Left).unwrap()
}

#[test]
fn a_frame_arrives_whole_in_any_stride() {
    let place = place("stride");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    let data = (0..7 * 24).map(|byte| byte as u8).collect::<Vec<_>>();
    for (abi, stride) in [(V2, 24), (V2, 15), (Abi::V1, 24), (Abi::V1, 15)] {
        let mut publisher = Publisher::create(&place.address, abi).unwrap();
        let planes = [picture(5, 7, stride, &data)];
        for target_stride in [15, 16, 24, 40] {
            let message = announced(&mut publisher, &mut subscriber, &frame(1_000, &planes));
            let mut snapshot = reader.begin(&message, now()).unwrap();
            let mut copy = vec![0xEE; target_stride * 6 + 15];
            snapshot.read(PlaneKind::Left, &mut copy, target_stride).unwrap();
            let mut some = vec![0xEE; target_stride + 15];
            snapshot.read_rows(PlaneKind::Left, 3..5, &mut some, target_stride).unwrap();
            assert_eq!(some[..15], copy[3 * target_stride..][..15]);
            assert_eq!(some[target_stride..], copy[4 * target_stride..][..15]);
            snapshot.read_rows(PlaneKind::Left, 5..5, &mut [], target_stride).unwrap();
            for rows in [6..8, 7..8] {
                let refused = snapshot.read_rows(PlaneKind::Left, rows, &mut some, target_stride);
                assert!(matches!(refused, Err(SnapshotError::NoRows { plane: PlaneKind::Left, height: 7, .. })));
            }
            let refused = snapshot.read(PlaneKind::Depth, &mut some, target_stride).unwrap_err();
            assert_eq!(refused.to_string(), "the frame has no depth plane");
            assert!(
                matches!(refused, SnapshotError::NoPlane(PlaneKind::Depth)) && !refused.is_torn() && !refused.is_late()
            );
            let metadata = snapshot.finish().unwrap();
            assert_eq!(metadata.abi, abi);
            assert_eq!(metadata.timestamp_ns, 1_000);
            for row in 0..7 {
                let source = &data[row * stride as usize..][..15];
                assert_eq!(
                    &copy[row * target_stride..][..15],
                    source,
                    "{abi:?} {stride} -> {target_stride}, row {row}"
                );
            }
        }
    }
}

#[test]
fn more_rows_than_one_system_call_takes() {
    let place = place("tall");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    let (height, stride) = (5_000, 8);
    let data = (0..height * stride).map(|byte| (byte % 251) as u8).collect::<Vec<_>>();
    for abi in [V2, Abi::V1] {
        let mut publisher = Publisher::create(&place.address, abi).unwrap();
        let planes = [picture(1, height, stride, &data)];
        let message = announced(&mut publisher, &mut subscriber, &frame(1, &planes));
        for target_stride in [3, 4, 9] {
            let mut snapshot = reader.begin(&message, now()).unwrap();
            let mut copy = vec![0; target_stride * height as usize];
            snapshot.read(PlaneKind::Left, &mut copy, target_stride).unwrap();
            snapshot.finish().unwrap();
            for row in 0..height as usize {
                assert_eq!(copy[row * target_stride..][..3], data[row * stride as usize..][..3], "{abi:?}, row {row}");
            }
        }
    }
}

#[test]
fn a_frame_that_is_gone_is_told_from_a_torn_one() {
    let place = place("torn");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    let mut publisher = Publisher::create(&place.address, V2).unwrap();
    let data = [7; 12];
    let planes = [picture(2, 2, 6, &data)];
    let message = announced(&mut publisher, &mut subscriber, &frame(5, &planes));

    let snapshot = reader.begin(&message, now()).unwrap();
    let next = publisher.publish(&frame(6, &planes)).unwrap();
    assert!(matches!(snapshot.finish(), Err(SnapshotError::Torn)));

    let error = reader.begin(&message, now()).err().unwrap();
    assert!(matches!(error, SnapshotError::Superseded { found, .. } if found == next), "{error}");
    assert!(error.is_torn());
}

#[test]
fn a_segment_cut_short_is_an_error() {
    let place = place("short");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    let mut publisher = Publisher::create(&place.address, V2).unwrap();
    let data = [7; 3 * 64 * 64];
    let planes = [picture(64, 64, 192, &data)];
    let message = announced(&mut publisher, &mut subscriber, &frame(5, &planes));
    let segment = fs::OpenOptions::new().write(true).open(format!("/dev/shm/{}", place.address.shm_name())).unwrap();

    let mut snapshot = reader.begin(&message, now()).unwrap();
    segment.set_len(METADATA_SIZE as u64 + 100).unwrap();
    let plane = left(snapshot.metadata());
    let mut copy = vec![0; 2 * plane.size as usize];
    for stride in [192, 193] {
        assert!(matches!(snapshot.read(PlaneKind::Left, &mut copy, stride), Err(SnapshotError::Truncated)));
    }
    drop(snapshot);
    assert!(matches!(reader.begin(&message, now()), Err(SnapshotError::Metadata(_))));
    segment.set_len(0).unwrap();
    assert!(matches!(reader.begin(&message, now()), Err(SnapshotError::Truncated)));
}

#[test]
fn a_restarted_producer_is_followed() {
    let place = place("restart");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    assert!(matches!(reader.begin(&SyncMessage::new(0, 0, ""), now()), Err(SnapshotError::Unavailable { .. })));
    for (run, size) in [(1u64, 4u32), (2, 8), (3, 2)] {
        let mut publisher = Publisher::create(&place.address, V2).unwrap();
        let data = vec![run as u8; (size * size * 3) as usize];
        let planes = [picture(size, size, size * 3, &data)];
        let message = announced(&mut publisher, &mut subscriber, &frame(run, &planes));
        let metadata = reader.begin(&message, now()).unwrap().finish().unwrap();
        assert_eq!((left(&metadata).width, metadata.timestamp_ns), (size, run));
    }
    assert!(!fs::exists(format!("/dev/shm/{}", place.address.shm_name())).unwrap(), "the segment stays behind");
    assert!(!fs::exists(place.address.socket_path().unwrap()).unwrap(), "the socket stays behind");
}

#[test]
fn a_live_producer_is_not_robbed() {
    let place = place("busy");
    let mut subscriber = Subscriber::connect(&place.address).unwrap();
    let mut publisher = Publisher::create(&place.address, V2).unwrap();
    assert!(matches!(Publisher::create(&place.address, V2), Err(PublishError::Busy(_))));

    // The same segment by way of another endpoint.
    let elsewhere = format!("{}2", place.address.zmq_endpoint());
    let other = Address::new(place.address.shm_name(), &elsewhere, Some("busy")).unwrap();
    assert!(matches!(Publisher::create(&other, V2), Err(PublishError::Busy(_))));

    let data = [1; 12];
    announced(&mut publisher, &mut subscriber, &frame(1, &[picture(2, 2, 6, &data)]));
}

#[test]
fn what_a_dead_producer_left_is_replaced() {
    let place = place("stale");
    let segment = format!("/dev/shm/{}", place.address.shm_name());
    fs::write(&segment, b"left behind").unwrap();
    drop(std::os::unix::net::UnixListener::bind(place.address.socket_path().unwrap()).unwrap());
    let mut publisher = Publisher::create(&place.address, V2).unwrap();
    publisher.publish(&frame(1, &[picture(1, 1, 3, &[1, 2, 3])])).unwrap();
    assert_eq!(fs::read(&segment).unwrap()[..8], cvmmap::MAGIC);
}

#[test]
fn foreign_messages_are_told_and_the_newest_announcement_counts() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let context = zmq::Context::new();
    let socket = context.socket(zmq::XPUB).unwrap();
    socket.bind(&endpoint).unwrap();
    let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, Some("mine")).unwrap()).unwrap();
    subscribed(&socket, &mut subscriber);

    socket.send(&b"short"[..], 0).unwrap();
    assert!(matches!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Foreign(Foreign::Malformed(_))));
    socket.send(&SyncMessage::new(1, 1, "theirs").to_bytes()[..], 0).unwrap();
    assert_eq!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Foreign(Foreign::Label("theirs".into())));

    let newest = SyncMessage::new(3, 3, "mine");
    for message in [SyncMessage::new(1, 1, "mine"), SyncMessage::new(2, 2, "mine"), newest] {
        socket.send(&message.to_bytes()[..], 0).unwrap();
    }
    while subscriber.wait(Some(PATIENCE)).unwrap() != Event::Frame(newest) {}
    assert_eq!(subscriber.wait(Some(Duration::ZERO)).unwrap(), Event::TimedOut);
    subscriber.waker().wake();
    assert_eq!(subscriber.wait(None).unwrap(), Event::Woken);
}

#[test]
fn a_message_that_is_too_large_does_not_end_the_subscription() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let context = zmq::Context::new();
    let socket = context.socket(zmq::XPUB).unwrap();
    socket.bind(&endpoint).unwrap();
    socket.set_rcvtimeo(10_000).unwrap();
    let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
    for round in 0..3 {
        subscribed(&socket, &mut subscriber);
        let message = SyncMessage::new(round, 1, "mine");
        socket.send(&message.to_bytes()[..], 0).unwrap();
        assert_eq!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Frame(message));
        socket.send(vec![0x7D; 1 << 20], 0).unwrap();
        let breach = Foreign::Peer(Breach::TooLarge(1 << 20));
        assert_eq!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Foreign(breach));
        // It is withdrawn with the connection; the next one comes when it has been silent for a while.
        assert_eq!(socket.recv_bytes(0).unwrap(), [0]);
    }
}

/// The metadata stand, the time is right, and yet the producer writes: the reader does not take its word for a while.
#[test]
fn a_write_that_is_seen_ends_the_trust_in_the_cadence() {
    const SECOND: Duration = Duration::from_secs(1);
    let place = place("seen");
    let path = format!("/dev/shm/{}", place.address.shm_name());
    let plane = Plane {
        pixel_format: PixelFormat::Gray,
        depth: Depth::U8,
        width: 100,
        height: 100,
        stride: 100,
        offset: 0,
        size: 10_000,
    };
    let mut reader = SnapshotReader::new(&place.address, Coherence::Cadence);
    let mut picture = vec![0; 10_000];
    let began = Instant::now();
    // A frame a second by their timestamps and arrivals; to the reader's clock all of them are early.
    let mut frames = 1..;
    let mut take = |written_meanwhile: &[u8]| {
        let frame_id = frames.next().unwrap();
        let timestamp_ns = u64::from(frame_id) * SECOND.as_nanos() as u64;
        let metadata = Metadata {
            abi: V2,
            frame_id,
            timestamp_ns,
            publish_seq: frame_id.into(),
            payload_size: plane.size,
            depth_unit: DepthUnit::Unknown,
            encoded: None,
            planes: [Some(plane), None, None, None],
        };
        let content = [&metadata.to_bytes()[..], &[1; 10_000]].concat();
        fs::write(&path, &content).unwrap();
        let arrival = Arrival { at: began + SECOND * frame_id, waited: true };
        let mut snapshot = reader.begin(&SyncMessage::new(frame_id, timestamp_ns, ""), arrival)?;
        snapshot.read(PlaneKind::Left, &mut picture, 100)?;
        let segment = fs::OpenOptions::new().write(true).open(&path).unwrap();
        segment.write_all_at(written_meanwhile, METADATA_SIZE as u64 + 5_000).unwrap();
        snapshot.finish()
    };
    let mut learned = |least: usize, written_meanwhile: &[u8]| {
        for _ in 0..least {
            assert!(matches!(take(&[]), Err(SnapshotError::Learning)));
        }
        take(written_meanwhile)
    };
    learned(8, &[]).unwrap();
    // A tenth of the picture, while it is copied.
    assert!(matches!(learned(0, &[2; 1_000]), Err(SnapshotError::Torn)));
    learned(31, &[]).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn padding_wider_than_memory_is_not_read() {
    let place = place("wide");
    let stride = 1 << 30;
    let metadata = Metadata {
        abi: V2,
        frame_id: 1,
        timestamp_ns: 1,
        publish_seq: 1,
        payload_size: 3 * stride,
        depth_unit: DepthUnit::Unknown,
        encoded: None,
        planes: [
            Some(Plane {
                pixel_format: PixelFormat::Gray,
                depth: Depth::U8,
                width: 2,
                height: 3,
                stride,
                offset: 0,
                size: 3 * stride,
            }),
            None,
            None,
            None,
        ],
    };
    // Sparse: it takes no memory.
    let path = format!("/dev/shm/{}", place.address.shm_name());
    fs::write(&path, metadata.to_bytes()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(256 + 3 * u64::from(stride)).unwrap();
    let mut reader = SnapshotReader::new(&place.address, Coherence::Metadata);
    let mut snapshot = reader.begin(&SyncMessage::new(1, 1, ""), now()).unwrap();
    let mut copy = [9; 6];
    snapshot.read(PlaneKind::Left, &mut copy, 2).unwrap();
    snapshot.finish().unwrap();
    assert_eq!(copy, [0; 6]);
    fs::remove_file(path).unwrap();
}

#[test]
fn a_subscription_follows_every_restart_of_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
    let waker = subscriber.waker();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || while subscriber.wait(None).unwrap() != Event::Woken {});
        for _ in 0..5 {
            let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
            socket.set_rcvtimeo(10_000).unwrap();
            socket.bind(&endpoint).unwrap();
            assert_eq!(socket.recv_bytes(0).unwrap(), [1]);
        }
        waker.wake();
        waiter.join().unwrap();
    });
}

#[test]
fn every_transport_and_every_publisher_of_zeromq_is_heard() {
    let abstract_name = format!("ipc://@cvmmap_test_{}", process::id());
    let bound = [(abstract_name.as_str(), zmq::PUB), ("tcp://127.0.0.1:*", zmq::XPUB), ("tcp://[::1]:*", zmq::PUB)];
    for (endpoint, kind) in bound {
        let socket = zmq::Context::new().socket(kind).unwrap();
        let mut lasts = Duration::from_millis(300);
        if endpoint.starts_with("ipc") {
            // It sends a heartbeat four times a second, and ends a connection that leaves one without an answer.
            socket.set_heartbeat_ivl(250).unwrap();
            socket.set_heartbeat_timeout(1_500).unwrap();
            lasts = Duration::from_millis(2_500);
        }
        socket.set_ipv6(endpoint.contains("::1")).unwrap();
        let bound = socket.bind(endpoint);
        if endpoint.contains("::1") && bound.is_err() {
            // A container may have no IPv6.
            continue;
        }
        bound.unwrap();
        let endpoint = socket.get_last_endpoint().unwrap().unwrap();
        let mut named = vec![endpoint.clone()];
        named.extend(endpoint.contains("127.0.0.1").then(|| endpoint.replace("127.0.0.1", "localhost")));
        for endpoint in named {
            let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
            let end = Instant::now() + lasts;
            let mut heard = 0;
            for frame_id in 0u32.. {
                let message = SyncMessage::new(frame_id, 1, "any");
                socket.send(&message.to_bytes()[..], 0).unwrap();
                // Not one is lost once one has come.
                let mut newest = None;
                while newest != Some(message) {
                    let patience = if heard == 0 { Duration::from_millis(20) } else { PATIENCE };
                    match subscriber.wait(Some(patience)).unwrap() {
                        Event::TimedOut if heard == 0 => break,
                        Event::Frame(came) => newest = Some(came),
                        event => panic!("{endpoint}: {event:?}"),
                    }
                    heard += 1;
                }
                std::thread::sleep(Duration::from_millis(5));
                if heard > 0 && Instant::now() > end {
                    break;
                }
            }
        }
    }
    for endpoint in ["tcp://127.0.0.1", "tcp://127.0.0.1:port", "tcp://127.0.0.1:99999"] {
        let refused = Subscriber::connect(&Address::new("none", endpoint, None).unwrap()).err().unwrap();
        assert!(refused.to_string().contains(endpoint), "{refused}");
    }
}

#[test]
fn who_is_no_publisher_is_told_and_a_producer_in_its_place_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sync");
    let endpoint = format!("ipc://{}", path.display());
    let listener = UnixListener::bind(&path).unwrap();
    let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
    listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    assert_eq!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Foreign(Foreign::Peer(Breach::Greeting)));
    // One that says nothing at all is left after a while.
    let waker = subscriber.waker();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| subscriber.wait(None));
        listener.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap();
        waker.wake();
        assert_eq!(waiter.join().unwrap().unwrap(), Event::Woken);
    });
    drop(listener);
    fs::remove_file(&path).unwrap();

    let pusher = zmq::Context::new().socket(zmq::PUSH).unwrap();
    pusher.bind(&endpoint).unwrap();
    // libzmq may hang up before it has said what it is.
    let told = subscriber.wait(Some(PATIENCE)).unwrap();
    let breaches = [Breach::SocketType("PUSH".to_owned()), Breach::HungUp];
    assert!(matches!(&told, Event::Foreign(Foreign::Peer(breach)) if breaches.contains(breach)), "{told:?}");
    pusher.unbind(&endpoint).unwrap();
    drop(pusher);

    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.bind(&endpoint).unwrap();
    subscribed(&socket, &mut subscriber);
    let message = SyncMessage::new(1, 1, "any");
    socket.send(&message.to_bytes()[..], 0).unwrap();
    assert_eq!(subscriber.wait(Some(PATIENCE)).unwrap(), Event::Frame(message));
}

/// An announcement that is missed is found a second later, when the silence has been too long.
#[test]
fn no_announcement_is_slept_through() {
    /// The machine may stand still for so long, but not that often.
    const STALL: Duration = Duration::from_millis(500);
    const STALLS_MAX: u32 = 10;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.bind(&endpoint).unwrap();
    let mut subscriber = Subscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
    let waker = subscriber.waker();
    subscribed(&socket, &mut subscriber);
    let (got, received) = std::sync::mpsc::channel();
    let stalls = std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                match subscriber.wait(None).unwrap() {
                    Event::Frame(message) => got.send(message.frame_id).unwrap(),
                    event => return assert_eq!(event, Event::Woken),
                }
            }
        });
        let send = |frame_id| socket.send(&SyncMessage::new(frame_id, 1, "mine").to_bytes()[..], 0).unwrap();
        let (mut frame_id, mut stalls) = (0, 0);
        for round in 0..3_000 {
            // One, two or three at once, at any moment of the wait.
            (0..round * 37 % 1_000).for_each(|_| std::hint::spin_loop());
            for _ in 0..=round % 3 {
                frame_id += 1;
                send(frame_id);
            }
            while stalls < STALLS_MAX {
                match received.recv_timeout(STALL) {
                    Ok(newest) if newest == frame_id => break,
                    Ok(_) => {}
                    Err(_) => stalls += 1,
                }
            }
        }
        waker.wake();
        stalls
    });
    assert!(stalls < STALLS_MAX);
}
