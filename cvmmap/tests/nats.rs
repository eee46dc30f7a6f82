//! Producers and consumers over a real NATS server, and over ones that are missing, die or talk nonsense.
#![cfg(feature = "nats")]

#[path = "common/nats_server.rs"]
mod nats_server;

use std::{
    io::Write as _,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use cvmmap::{
    Address, Target,
    body::{Body, Packet},
    nats::{
        Client, Consumer, Control, ControlError, Identity, Notice, Options, Producer, RequestError, SERVICE_PRODUCER,
        Service, Source, SourceState, StatusCode, Subjects, discover,
        proto::{CameraControlSetting, ErrorCode, SeekTimestampResponse, SourceKind, source_flags},
    },
};
use nats_server::NatsServer;

const PATIENCE: Duration = Duration::from_secs(20);

fn client(url: &str) -> Client {
    Client::connect(&Options::parse(url).unwrap(), "test").unwrap()
}

fn connected(url: &str) -> Client {
    let client = client(url);
    client.wait_connected(PATIENCE).unwrap();
    client
}

/// A source of ten seconds.
#[derive(Default)]
struct Ten {
    position: Mutex<u64>,
    resets: AtomicU32,
}

impl Source for Ten {
    fn state(&self) -> SourceState {
        SourceState {
            source_kind: SourceKind::Finite.into(),
            flags: source_flags::CAN_SEEK,
            duration_ns: 10,
            current_timestamp_ns: *self.position.lock().unwrap(),
            ..SourceState::default()
        }
    }

    fn reset(&self) -> Result<(), ErrorCode> {
        self.resets.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn seek(&self, target: u64) -> Result<SeekTimestampResponse, ErrorCode> {
        if target > 10 {
            return Err(ErrorCode::OutOfRange);
        }
        *self.position.lock().unwrap() = target;
        Ok(SeekTimestampResponse {
            requested_timestamp_ns: target,
            landed_timestamp_ns: target,
            exact_match: true,
            ..SeekTimestampResponse::default()
        })
    }
}

fn target() -> Target {
    "cvmmap://cam.0".parse().unwrap()
}

fn identity() -> Identity {
    Identity::new(&Address::from(&target()), "test").unwrap()
}

fn listener(url: &str) -> (Consumer, mpsc::Receiver<Notice>) {
    let (sender, receiver) = mpsc::channel();
    let consumer = Consumer::start(connected(url), Subjects::from(&target()), move |notice| {
        let _ = sender.send(notice);
    });
    // The server has the subscriptions when it has what was sent after them.
    assert!(consumer.client().request("nobody", "", PATIENCE).is_err());
    (consumer, receiver)
}

fn next_status(notices: &mpsc::Receiver<Notice>) -> StatusCode {
    loop {
        if let Notice::Status(status) = notices.recv_timeout(PATIENCE).expect("a status event comes") {
            assert_eq!(status.instance, "cam.0");
            return status.code;
        }
    }
}

#[test]
fn a_producer_is_heard_from_its_first_word_to_its_last() {
    let server = NatsServer::start();
    let (_consumer, notices) = listener(&server.url());
    let producer = Producer::start(connected(&server.url()), identity(), Arc::new(Ten::default()));
    assert_eq!(next_status(&notices), StatusCode::Online);
    producer.stream_reset();
    assert_eq!(next_status(&notices), StatusCode::StreamReset);
    let mut packet = Packet::new(7, 9, "cam.0");
    packet.bodies = vec![Body { id: 3, ..Body::default() }];
    assert!(producer.publish_body(&packet));
    match notices.recv_timeout(PATIENCE).unwrap() {
        Notice::Body(body) => {
            assert_eq!(body.packet, packet);
            assert_eq!(*body.bytes, *packet.to_bytes().unwrap());
        }
        other => panic!("{other:?}"),
    }
    drop(producer);
    assert_eq!(next_status(&notices), StatusCode::Offline);
}

#[test]
fn a_producer_answers_what_it_is_asked() {
    let server = NatsServer::start();
    let source = Arc::new(Ten::default());
    let _producer = Producer::start(connected(&server.url()), identity(), source.clone());
    let client = connected(&server.url());
    let found = loop {
        let found = discover(&client, SERVICE_PRODUCER, PATIENCE).unwrap();
        if found.first().is_some_and(|service| service.endpoints.len() == 14) {
            break found;
        }
    };
    let expected = [
        ("instance_name", "cam.0"),
        ("namespace", "cvmmap"),
        ("ipc_prefix", "/tmp"),
        ("base_name", "cvmmap_cam.0"),
        ("nats_target_key", "cvmmap_cam_0"),
        ("shm_name", "cvmmap_cam.0"),
        ("zmq_addr", "ipc:///tmp/cvmmap_cam.0"),
        ("body_subject", "cvmmap.cvmmap_cam_0.body"),
        ("status_subject", "cvmmap.cvmmap_cam_0.status"),
        ("control_subject_prefix", "cvmmap.cvmmap_cam_0.producer"),
        ("backend", "test"),
    ];
    for (name, value) in expected {
        assert_eq!(found[0].metadata[name], value, "{name}");
    }
    let control = Control::new(client.clone(), Subjects::from(&target()));
    assert_eq!(control.source_info(PATIENCE).unwrap().duration_ns, 10);
    assert!(control.capabilities(PATIENCE).unwrap().can_seek);
    control.reset(PATIENCE).unwrap();
    assert_eq!(source.resets.load(Ordering::Relaxed), 1);
    assert_eq!(control.seek(4, PATIENCE).unwrap().landed_timestamp_ns, 4);
    assert_eq!(control.source_info(PATIENCE).unwrap().current_timestamp_ns, 4);
    let refused = control.seek(11, PATIENCE).unwrap_err();
    assert_eq!(refused, ControlError::Refused { code: ErrorCode::OutOfRange, message: String::new() });
    // The source has no camera and plays no recordings.
    assert_eq!(control.camera_settings(PATIENCE), Ok(Vec::new()));
    assert!(!control.playlist(PATIENCE).unwrap().has_playlist);
    let refused = control.camera_control(CameraControlSetting::Gain, PATIENCE).unwrap_err();
    assert!(matches!(refused, ControlError::Refused { code: ErrorCode::Unsupported, .. }), "{refused}");
    // Half a varint is no protobuf message.
    let answer = client.request("cvmmap.cvmmap_cam_0.control.source.seek", vec![0x08, 0xFF], PATIENCE).unwrap();
    assert_eq!(*answer, [0x08, 4], "INVALID_PAYLOAD");
}

#[test]
fn an_older_producer_is_found_without_discovery() {
    let server = NatsServer::start();
    let service = connected(&server.url());
    let _service = Service::builder("older", "0.1.0")
        .endpoint("cvmmap.cvmmap_cam_0.control.source.reset", |_| Vec::new())
        .endpoint("cvmmap.cvmmap_cam_0.control.source.info", |_| vec![0xFF])
        .start(&service);
    let client = connected(&server.url());
    let control = Control::new(client, Subjects::from(&target()));
    while matches!(control.reset(PATIENCE), Err(ControlError::Request(RequestError::NoResponders(_)))) {}
    control.reset(PATIENCE).unwrap();
    while matches!(control.source_info(PATIENCE), Err(ControlError::Request(RequestError::NoResponders(_)))) {}
    assert_eq!(control.source_info(PATIENCE), Err(ControlError::Garbage("source.info".to_owned())));
}

#[test]
fn garbage_is_told_and_ends_nothing() {
    let server = NatsServer::start();
    let (_consumer, notices) = listener(&server.url());
    let client = connected(&server.url());
    let subjects = Subjects::from(&target());
    for (subject, garbage) in [
        (subjects.status(), vec![0xFF; 3]),
        (subjects.status(), vec![]),
        (subjects.status(), vec![0x08, 99]),
        (subjects.body(), vec![]),
        (subjects.body(), vec![0x62; 4000]),
    ] {
        assert!(client.publish(&subject, garbage.clone()));
        match notices.recv_timeout(PATIENCE).unwrap() {
            Notice::Garbage { subject: told, .. } => assert_eq!(told, subject),
            other => panic!("{garbage:?} is {other:?}"),
        }
    }
    assert!(client.publish(&subjects.status(), vec![0x08, 3, 0x12, 5, b'c', b'a', b'm', b'.', b'0']));
    assert_eq!(next_status(&notices), StatusCode::StreamReset);
}

#[test]
fn a_server_may_come_late_die_and_return() {
    let mut server = NatsServer::start();
    server.kill();
    // Nobody is there: nothing waits.
    let source = Arc::new(Ten::default());
    let producer = Producer::start(client(&server.url()), identity(), source);
    assert!(!producer.client().publish("x", ""));
    assert_eq!(producer.client().counters().unsent, 1);
    let asked = producer.client().request("x", "", PATIENCE);
    assert!(matches!(asked, Err(RequestError::NotConnected { .. })), "{asked:?}");

    server.restart();
    let (consumer, notices) = listener(&server.url());
    producer.client().wait_connected(PATIENCE).unwrap();
    server.restart();
    for client in [producer.client(), consumer.client()] {
        while client.counters().connections < 2 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    // Subscriptions outlive a server, on both sides.
    assert!(consumer.client().request("nobody", "", PATIENCE).is_err());
    while consumer.control().reset(PATIENCE).is_err() {}
    producer.stream_reset();
    while next_status(&notices) != StatusCode::StreamReset {}
}

#[test]
fn a_server_that_is_none_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let (heard, hearing) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"220 mail.example ESMTP\r\n\xff\xfe\0\r\n"));
            let _ = heard.send(());
        }
    });
    let client = client(&url);
    for _ in 0..2 {
        hearing.recv_timeout(PATIENCE).expect("the client tries again");
    }
    assert!(!client.publish("x", "y"));
    assert!(!client.health().connected);
}

/// A handler that never comes back holds up its subscription alone.
#[test]
fn a_handler_may_block() {
    let server = NatsServer::start();
    let client = connected(&server.url());
    let (block, blocked) = mpsc::channel::<()>();
    let _stuck = client.subscribe("stuck", move |_| {
        let _ = blocked.recv();
    });
    let _service = Service::builder("answers", "0.1.0").endpoint("echo", <[u8]>::to_vec).start(&client);
    client.publish("stuck", "");
    let other = connected(&server.url());
    while other.request("echo", "", PATIENCE).is_err() {}
    assert_eq!(*other.request("echo", "hello", PATIENCE).unwrap(), *b"hello");
    drop(block);
}
