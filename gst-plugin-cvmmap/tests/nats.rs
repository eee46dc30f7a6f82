//! `cvmmapsrc` and `cvmmapsink` over a real NATS server, and without one.
//!
//! Longer than other files: the cases share one server, one source and one producer.

mod common;
#[path = "../../cvmmap/tests/common/nats_server.rs"]
mod nats_server;

use std::{io::Write as _, net::TcpListener, thread};

use common::{PATIENCE, init, place::Place, player::Player, unix_now, until};
use cvmmap::{
    Target,
    body::{Body, Packet},
    nats::{Client, Options, Service, Subjects},
};
use gst::prelude::*;
use nats_server::NatsServer;

/// A sink that publishes what the test pushes.
struct Camera {
    pipeline: gst::Pipeline,
    src: gst_app::AppSrc,
    sink: gst::Element,
}

impl Camera {
    fn new(place: &Place, url: &str, abi: &str) -> Self {
        init();
        let caps = "video/x-raw,format=GRAY8,width=4,height=2,framerate=0/1".parse::<gst::Caps>().unwrap();
        let src = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).is_live(true).build();
        let sink = gst::ElementFactory::make("cvmmapsink")
            .property("uri", place.uri())
            .property("nats-url", url)
            .property("sync", false)
            .property_from_str("abi", abi)
            .build()
            .unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([src.upcast_ref(), &sink]).unwrap();
        src.link(&sink).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, src, sink }
    }

    /// Pushes a frame of a capture time, and waits until it is published.
    fn push(&self, timestamp_ns: u64, decorate: impl FnOnce(&mut gst::BufferRef)) {
        let before = self.stat("frames-published");
        let mut buffer = gst::Buffer::from_slice([7u8; 8]);
        let buffer_ref = buffer.get_mut().unwrap();
        let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
        let captured = gst::ClockTime::from_nseconds(timestamp_ns);
        gst::ReferenceTimestampMeta::add(buffer_ref, &unix, captured, gst::ClockTime::NONE);
        decorate(buffer_ref);
        self.src.push_buffer(buffer).unwrap();
        until("the frame is published", || self.stat("frames-published") > before);
    }

    fn stat(&self, name: &str) -> u64 {
        self.sink.property::<gst::Structure>("stats").get(name).unwrap()
    }

    fn wait_connected(&self) {
        wait_connected(&self.sink);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn wait_connected(element: &gst::Element) {
    until("connected", || element.property::<gst::Structure>("stats").get("nats-connected") == Ok(true));
}

fn player(place: &Place, url: &str, properties: &[(&str, &str)]) -> Player {
    let properties = [&[("nats-url", url)], properties].concat();
    let player = Player::of_plane(place, "left", &properties);
    player.play();
    player
}

/// The next element message of a name.
fn message(player: &Player, name: &str) -> gst::Structure {
    let timeout = gst::ClockTime::try_from(PATIENCE).unwrap();
    loop {
        let message = player.bus().timed_pop_filtered(timeout, &[gst::MessageType::Element, gst::MessageType::Error]);
        let message = message.unwrap_or_else(|| panic!("no message {name}; {:?}", player.stats()));
        assert_ne!(message.type_(), gst::MessageType::Error, "{message:?}");
        if let Some(structure) = message.structure().filter(|structure| structure.name() == name) {
            return structure.to_owned();
        }
    }
}

fn status(player: &Player) -> String {
    message(player, gstcvmmap::STATUS_MESSAGE).get("status").unwrap()
}

/// Pushes until the source, which subscribes when it likes, has got a frame.
fn first_frame(camera: &Camera, player: &Player) {
    until("the first frame", || {
        camera.push(unix_now(), |_| {});
        player.stat("frames-received") > 0
    });
}

/// The server has the subscriptions of an element that has got an answer from it.
fn settle(player: &Player) {
    wait_connected(&player.src);
    until("an answer", || {
        let reply = player.src.emit_by_name::<gst::Structure>("source-info", &[]);
        reply.get::<&str>("error") != Ok("NOT_CONNECTED")
    });
}

#[test]
fn status_events_are_messages_and_a_reset_starts_the_frames_over() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[]);
    settle(&player);
    let camera = Camera::new(&place, &server.url(), "v2");
    assert_eq!(status(&player), "online");
    first_frame(&camera, &player);
    let reply = player.src.emit_by_name::<gst::Structure>("reset-source", &[]);
    assert_eq!(reply.get::<&str>("error"), Ok("OK"), "{reply:?}");
    assert_eq!(status(&player), "stream-reset");
    camera.push(unix_now(), |_| {});
    until("frame 0", || player.pull().id == 0);
    drop(camera);
    assert_eq!(status(&player), "offline");
    player.assert_no_error();
}

#[test]
fn a_stream_may_end_with_its_producer() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[("eos-on-offline", "true")]);
    settle(&player);
    let camera = Camera::new(&place, &server.url(), "v2");
    assert_eq!(status(&player), "online");
    first_frame(&camera, &player);
    drop(camera);
    // The sink holds the end back until its frames are taken: there may be one or two.
    while player.sink.try_pull_sample(gst::ClockTime::from_seconds(20)).is_some() {}
    player.message(gst::MessageType::Eos);
}

#[test]
fn a_producer_tells_what_it_is_and_seeks() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[]);
    let camera = Camera::new(&place, &server.url(), "v2");
    camera.wait_connected();
    settle(&player);
    let ask = |name: &str, arguments: &[&dyn ToValue]| player.src.emit_by_name::<gst::Structure>(name, arguments);
    until("an answer", || ask("source-info", &[]).get::<&str>("error") == Ok("OK"));
    assert_eq!(ask("source-info", &[]).get::<&str>("kind"), Ok("live"));
    assert_eq!(ask("seek-source", &[&5u64]).get::<&str>("error"), Ok("UNSUPPORTED"));

    let info = gst::Structure::builder("source").field("kind", "finite").field("can-seek", true);
    camera.sink.set_property("source-info", info.field("start", 100u64).field("end", 200u64).build());
    camera.sink.connect("seek-source", false, |values| {
        let target = values[1].get::<u64>().unwrap();
        Some(Some(gst::Structure::builder("landed").field("landed-timestamp", target - target % 10).build()).to_value())
    });
    assert_eq!(ask("source-capabilities", &[]).get("can-seek"), Ok(true));
    assert_eq!(ask("seek-source", &[&99u64]).get::<&str>("error"), Ok("OUT_OF_RANGE"));
    let landed = ask("seek-source", &[&155u64]);
    assert_eq!(landed.get("landed-timestamp"), Ok(150u64), "{landed:?}");
    assert_eq!(landed.get("exact"), Ok(false));
    assert_eq!(ask("source-info", &[]).get("duration"), Ok(100u64));
}

#[test]
fn an_application_answers_for_its_camera() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[]);
    let camera = Camera::new(&place, &server.url(), "v2");
    camera.wait_connected();
    settle(&player);
    let ask = |name: &str, arguments: &[&dyn ToValue]| player.src.emit_by_name::<gst::Structure>(name, arguments);
    let error = |reply: &gst::Structure| reply.get::<String>("error").unwrap();
    until("an answer", || error(&ask("camera-settings", &[])) == "OK");
    assert!(ask("camera-settings", &[]).get::<gst::Array>("settings").unwrap().is_empty());
    assert_eq!(error(&ask("get-camera-control", &[&"gain"])), "UNSUPPORTED");

    let controls = "camera, gain=(int)-3, exposure=(int)40, auto-analog-gain-range=(int)<0, 30>";
    camera.sink.set_property("camera-controls", controls.parse::<gst::Structure>().unwrap());
    let settings = ask("camera-settings", &[]).get::<gst::Array>("settings").unwrap();
    let settings: Vec<_> = settings.iter().map(|setting| setting.get::<String>().unwrap()).collect();
    assert_eq!(settings, ["exposure", "gain", "auto-analog-gain-range"]);
    assert_eq!(ask("get-camera-control", &[&"gain"]).get("value"), Ok(-3));
    // Nobody is there to change it.
    assert_eq!(error(&ask("set-camera-control", &[&"gain", &5])), "UNSUPPORTED");

    camera.sink.connect("set-camera-control", false, |values| {
        let (setting, wanted) = (values[1].get::<String>().unwrap(), values[2].get::<gst::Structure>().unwrap());
        let answer = match (setting.as_str(), wanted.get::<&str>("mode").unwrap()) {
            ("exposure", _) => "no, error=OUT_OF_RANGE, message=\"1 to 9\"".to_owned(),
            // One thing leads to another.
            (_, "auto") => "yes, gain=(int)12, exposure=(int)41".to_owned(),
            (setting, "manual") => format!("yes, {setting}=(int){}", wanted.get::<i32>("value").unwrap()),
            (setting, _) => {
                let [min, max] = ["min", "max"].map(|bound| wanted.get::<i32>(bound).unwrap());
                format!("yes, {setting}=(int)<{min}, {max}>, made-up=(int)1")
            }
        };
        Some(Some(answer.parse::<gst::Structure>().unwrap()).to_value())
    });
    assert_eq!(ask("set-camera-control", &[&"gain", &-5]).get("value"), Ok(-5));
    let automatic = ask("set-camera-control-auto", &[&"gain"]);
    assert_eq!((automatic.get("value"), automatic.get("setting")), (Ok(12), Ok("gain")));
    assert_eq!(ask("get-camera-control", &[&"exposure"]).get("value"), Ok(41));
    let range = ask("set-camera-control-range", &[&"auto-analog-gain-range", &-1, &7]);
    assert_eq!((range.get("min"), range.get("max")), (Ok(-1), Ok(7)), "{range:?}");
    let refused = ask("set-camera-control", &[&"exposure", &50]);
    assert_eq!(error(&refused), "OUT_OF_RANGE");
    assert!(refused.get::<&str>("message").unwrap().contains("1 to 9"), "{refused:?}");
    assert_eq!(error(&ask("set-camera-control", &[&"led-status", &1])), "UNSUPPORTED");
    assert_eq!(error(&ask("set-camera-control-range", &[&"gain", &1, &2])), "INVALID_PAYLOAD");
    assert_eq!(error(&ask("get-camera-control", &[&"brightness"])), "INVALID_PAYLOAD");
    let told = camera.sink.property::<gst::Structure>("camera-controls");
    assert_eq!((told.get("gain"), told.has_field("made-up")), (Ok(12), false), "{told:?}");
}

#[test]
fn an_application_answers_for_its_playlist() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[]);
    settle(&player);
    let camera = Camera::new(&place, &server.url(), "v2");
    assert_eq!(status(&player), "online");
    first_frame(&camera, &player);
    let ask = |name: &str, arguments: &[&dyn ToValue]| player.src.emit_by_name::<gst::Structure>(name, arguments);
    let apply = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        ask("apply-playlist", &[&paths, &true])
    };
    assert_eq!(ask("playlist", &[]).get("has-playlist"), Ok(false));
    assert_eq!(apply(&["/a"]).get::<&str>("error"), Ok("UNSUPPORTED"));

    camera.sink.set_property(
        "playlist",
        "playlist, paths=(string)<\"/a\", \"/b\">, current-index=(uint)1".parse::<gst::Structure>().unwrap(),
    );
    let played = ask("playlist", &[]);
    assert_eq!((played.get("has-playlist"), played.get("current-path")), (Ok(true), Ok("/b")), "{played:?}");
    camera.sink.connect("apply-playlist", false, |values| {
        let wanted = values[1].get::<gst::Structure>().unwrap();
        assert_eq!(wanted.get("sort-by-recording-time"), Ok(true));
        Some(Some(wanted).to_value())
    });
    let applied = apply(&["/c", "/d"]);
    assert_eq!((applied.get("current-path"), applied.get("current-index")), (Ok("/c"), Ok(0u32)), "{applied:?}");
    assert_eq!(status(&player), "stream-reset");
    camera.push(unix_now(), |_| {});
    until("frame 0", || player.pull().id == 0);
    assert_eq!(apply(&[""]).get::<&str>("error"), Ok("INVALID_PAYLOAD"));
    player.assert_no_error();
}

#[test]
fn bodies_ride_on_their_frames_and_are_messages() {
    let (server, place) = (NatsServer::start(), Place::new());
    let player = player(&place, &server.url(), &[]);
    let camera = Camera::new(&place, &server.url(), "v2");
    camera.wait_connected();
    settle(&player);
    first_frame(&camera, &player);
    let mut packet = Packet::new(0, 0, "other");
    packet.bodies = vec![Body { id: 5, position: [1.0, 2.0, 3.0], keypoint_count: 18, ..Body::default() }];
    let stamp = unix_now();
    camera.push(stamp, |buffer| assert!(gstcvmmap::body::attach_packet(buffer, &packet)));
    let told = message(&player, gstcvmmap::body::BODY_MESSAGE);
    assert_eq!(told.get("timestamp"), Ok(stamp));
    let bodies = told.get::<gst::Array>("bodies").unwrap();
    let body = bodies[0].get::<gst::Structure>().unwrap();
    assert_eq!(body.get("id"), Ok(5i32));
    assert_eq!(body.get::<gst::Array>("keypoints-3d").unwrap().len(), 54);
    // Its own frame may have left before it came: then the next one carries it.
    camera.push(unix_now(), |_| {});
    let carried = loop {
        if let Some(bytes) = gstcvmmap::body::packet_of(&player.pull().buffer) {
            break Packet::parse(&bytes).unwrap();
        }
    };
    assert_eq!((carried.timestamp_ns, carried.label()), (stamp, place.target.instance().as_bytes()));
    assert_eq!(carried.bodies, packet.bodies);
}

#[test]
fn planes_that_ride_along_are_published() {
    let place = Place::new();
    let camera = Camera::new(&place, "", "v2.1");
    let player = Player::of_plane(&place, "left", &[("attach-planes", "true"), ("nats-url", "")]);
    player.play();
    let floats: Vec<u8> = (0..8u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    let plane = gst::Structure::builder("plane")
        .field("buffer", gst::Buffer::from_slice(floats.clone()))
        .field("pixel-format", "GRAY")
        .field("sample", "f32")
        .field("width", 4u32)
        .field("height", 2u32)
        .field("stride", 16u32)
        .field("unit", "meter")
        .build();
    let unit = gst::Structure::builder("plane")
        .field("buffer", gst::Buffer::from_slice([0u8, 0, 0, 1, 0x65]))
        .field("codec", "h264")
        .field("keyframe", true)
        .build();
    until("a frame with its planes", || {
        camera.push(unix_now(), |buffer| {
            let mut meta = gst::meta::CustomMeta::add(buffer, "GstCvmmapPlanesMeta").unwrap();
            meta.mut_structure().set("confidence", &plane);
            meta.mut_structure().set("encoded", &unit);
        });
        player.stat("frames-received") > 0
    });
    let buffer = player.pull().buffer;
    let meta = gst::meta::CustomMeta::from_buffer(&buffer, "GstCvmmapPlanesMeta").unwrap();
    let bytes = |name: &str| {
        let plane = meta.structure().get::<gst::Structure>(name).unwrap();
        plane.get::<gst::Buffer>("buffer").unwrap().map_readable().unwrap().to_vec()
    };
    assert_eq!(bytes("confidence"), floats);
    assert_eq!(bytes("encoded"), [0, 0, 0, 1, 0x65]);
    assert_eq!(camera.stat("planes-unusable"), 0);
}

/// A server that is absent, dies, comes back or talks nonsense, and messages that are nonsense: every frame passes.
#[test]
fn frames_flow_whatever_the_server_does() {
    let place = Place::new();
    let mut server = NatsServer::start();
    server.kill();
    let player = player(&place, &server.url(), &[("queue-size", "1024")]);
    let camera = Camera::new(&place, &server.url(), "v2");
    first_frame(&camera, &player);
    let pass = |frames: u64| {
        for _ in 0..frames {
            let before = player.stat("frames-received");
            camera.push(unix_now(), |_| {});
            player.wait_stat("frames-received", before + 1);
        }
    };
    pass(20);
    server.restart();
    wait_connected(&player.src);
    let nonsense = Client::connect(&Options::parse(&server.url()).unwrap(), "nonsense").unwrap();
    nonsense.wait_connected(PATIENCE).unwrap();
    let subjects = Subjects::from(&place.uri().parse::<Target>().unwrap());
    until("nonsense is counted", || {
        nonsense.publish(&subjects.status(), vec![0xFF; 100]);
        nonsense.publish(&subjects.body(), vec![0x62; 100]);
        player.stat("messages-garbage") >= 4
    });
    pass(20);
    server.kill();
    pass(20);
    player.assert_no_error();
}

#[test]
fn a_server_that_is_none_delays_nothing() {
    init();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let streams = listener.incoming().map(|stream| {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"INFO {\r\n");
            stream
        });
        // Held open: a server that hangs.
        streams.collect::<Vec<_>>()
    });
    let place = Place::new();
    let player = player(&place, &url, &[]);
    let camera = Camera::new(&place, &url, "v2");
    first_frame(&camera, &player);
    let reply = player.src.emit_by_name::<gst::Structure>("source-info", &[]);
    assert_eq!(reply.get::<&str>("error"), Ok("NOT_CONNECTED"));
}

/// An answer that comes too late is none, and frames do not wait for it.
#[test]
fn a_late_answer_delays_nothing() {
    let (server, place) = (NatsServer::start(), Place::new());
    let late = Client::connect(&Options::parse(&server.url()).unwrap(), "late").unwrap();
    let (asked, asking) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let subjects = Subjects::from(&place.target);
    let subject = format!("{}.camera_control.get", subjects.prefix(cvmmap::nats::Family::Producer));
    let _service = Service::builder("late", "0.1.0")
        .endpoint(&subject, move |_| {
            let _ = asked.send(());
            let _ = released.lock().unwrap().recv();
            b"late".to_vec()
        })
        .start(&late);
    let player = player(&place, &server.url(), &[("control-timeout", "200")]);
    settle(&player);
    let camera = Camera::new(&place, "", "v2");
    first_frame(&camera, &player);
    let src = player.src.clone();
    let answer = thread::spawn(move || {
        loop {
            let reply = src.emit_by_name::<gst::Structure>("get-camera-control", &[&"gain"]);
            // The service may not listen yet.
            if reply.get::<&str>("error") != Ok("NO_RESPONDERS") {
                break reply;
            }
        }
    });
    asking.recv_timeout(PATIENCE).expect("the request arrives");
    let before = player.stat("frames-received");
    camera.push(unix_now(), |_| {});
    player.wait_stat("frames-received", before + 1);
    assert_eq!(answer.join().unwrap().get::<&str>("error"), Ok("TIMEOUT"));
    drop(release);
}

#[test]
fn what_cannot_be_right_is_told_at_the_start() {
    init();
    let place = Place::new();
    for (name, value) in
        [("nats-url", "http://u:sekret@h"), ("nats-credentials", "/nowhere/user.creds"), ("nats-ca", "/nowhere")]
    {
        let player = Player::of_plane(&place, "left", &[(name, value)]);
        assert!(player.pipeline.set_state(gst::State::Playing).is_err(), "{name}");
        let error = player.error().to_string();
        assert!(error.contains("nats-url") && !error.contains("sekret"), "{error}");
    }
}
