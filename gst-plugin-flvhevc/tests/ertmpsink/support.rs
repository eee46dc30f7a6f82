//! A server that shares no code with the element, and a stream of tags made by hand.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use serde_json::Value;

/// Longer than anything takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstflvhevc::plugin_register_static().unwrap();
    });
}

type Events = Arc<(Mutex<Vec<Value>>, Condvar)>;

/// `server.py` at work. Dropping it ends it.
pub struct Server {
    process: Child,
    stdin: Option<ChildStdin>,
    events: Events,
    pub port: u64,
}

impl Server {
    pub fn start(kind: &str, more: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ertmpsink/server.py");
        Self::run(Command::new("python3").arg(script).arg(kind).args(more))
    }

    /// Any program that tells the same.
    pub fn run(command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let events = Events::default();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told = Arc::clone(&events);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.0.lock().unwrap().push(serde_json::from_str(&line).unwrap());
                told.1.notify_all();
            }
        });
        let stdin = process.stdin.take();
        let mut server = Self { process, stdin, events, port: 0 };
        server.port = server.wait_for("listening", 1)[0]["port"].as_u64().unwrap();
        server
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/key", self.port)
    }

    /// Everything that it told of one kind.
    pub fn told(&self, event: &str) -> Vec<Value> {
        self.events.0.lock().unwrap().iter().filter(|value| value["event"] == event).cloned().collect()
    }

    /// Waits until it told `count` of one kind.
    pub fn wait_for(&self, event: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.0.lock().unwrap();
        loop {
            let found = events.iter().filter(|value| value["event"] == event).cloned().collect::<Vec<_>>();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {count} times {event} in {events:?}");
            events = self.events.1.wait_timeout(events, left).unwrap().0;
        }
    }

    /// Lets a stalled connection go on.
    pub fn go_on(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Nothing that the client sent broke a rule.
    pub fn assert_content(&self) {
        for closed in self.told("closed") {
            assert!(!closed["why"].as_str().unwrap().contains("BROKEN"), "{closed}");
        }
    }

    /// Forgets what was told: memory is counted.
    pub fn forget(&self) {
        *self.events.0.lock().unwrap() = Vec::new();
    }

    pub fn commands(&self) -> Vec<String> {
        self.told("command").iter().map(|command| command["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An FLV tag with its PreviousTagSize.
pub fn tag(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let [_, size @ ..] = (body.len() as u32).to_be_bytes();
    let [extended, time @ ..] = timestamp.to_be_bytes();
    let mut tag = [&[kind], &size[..], &time, &[extended, 0, 0, 0], body].concat();
    tag.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
    tag
}

/// A picture of so many bytes that tells its number.
pub fn picture(number: u32, is_key: bool, size: usize) -> Vec<u8> {
    let mut body = vec![if is_key { 0x93 } else { 0xA3 }];
    body.extend_from_slice(b"hvc1");
    body.extend_from_slice(&number.to_be_bytes());
    body.resize(size.max(9), number as u8);
    body
}

pub const SEQUENCE_HEADER: &[u8] = b"\x90hvc1header";
pub const METADATA: &[u8] = b"\x02\0\x0AonMetaData\x05";

/// A pipeline of an appsrc and the sink.
pub struct Publisher {
    pub pipeline: gst::Pipeline,
    pub source: gst_app::AppSrc,
    pub sink: gst::Element,
}

impl Publisher {
    pub fn new(url: &str) -> Self {
        init();
        let source = gst_app::AppSrc::builder().format(gst::Format::Time).build();
        let sink =
            gst::ElementFactory::make("ertmpsink").property("location", url).property("sync", false).build().unwrap();
        sink.set_property("async", false);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &sink]).unwrap();
        source.link(&sink).unwrap();
        let headers = [b"FLV\x01\x01\0\0\0\x09\0\0\0\0".to_vec(), tag(18, 0, METADATA), tag(9, 0, SEQUENCE_HEADER)];
        let header_buffers = headers.map(|header| {
            let mut buffer = gst::Buffer::from_slice(header);
            buffer.make_mut().set_flags(gst::BufferFlags::HEADER);
            buffer
        });
        let array = gst::Array::new(header_buffers.iter().map(|buffer| buffer.to_send_value()));
        source.set_caps(Some(&gst::Caps::builder("video/x-flv").field("streamheader", array).build()));
        for buffer in header_buffers {
            source.push_buffer(buffer).unwrap();
        }
        Self { pipeline, source, sink }
    }

    pub fn live(url: &str) -> Self {
        let publisher = Self::new(url);
        publisher.source.set_is_live(true);
        publisher
    }

    pub fn play(self) -> Self {
        self.pipeline.set_state(gst::State::Playing).unwrap();
        self
    }

    /// Pushes a tag. An error is the sink's.
    pub fn push(&self, timestamp: u32, body: &[u8]) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut buffer = gst::Buffer::from_slice(tag(9, timestamp, body));
        let time = gst::ClockTime::from_mseconds(timestamp.into());
        buffer.make_mut().set_pts(time);
        buffer.make_mut().set_dts(time);
        self.source.push_buffer(buffer)
    }

    pub fn state(&self) -> String {
        self.stats().get::<String>("state").unwrap()
    }

    pub fn stats(&self) -> gst::Structure {
        self.sink.property("stats")
    }

    pub fn count(&self, field: &str) -> u64 {
        self.stats().get(field).unwrap()
    }

    pub fn wait_until(&self, what: &str, mut happened: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened(self) {
            assert!(Instant::now() < deadline, "{what}: {}", self.stats());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The error that it posts.
    pub fn error(&self) -> String {
        let bus = self.pipeline.bus().unwrap();
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
        let message = message.unwrap_or_else(|| panic!("no error: {}", self.stats()));
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        error.error().message().to_owned()
    }

    pub fn warning(&self) -> String {
        let bus = self.pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("a warning");
        let gst::MessageView::Warning(warning) = message.view() else { panic!("{message:?}") };
        warning.error().message().to_owned()
    }

    pub fn end(&self) {
        self.source.end_of_stream().unwrap();
        let bus = self.pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("an end");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    }

    /// To NULL; how long that took.
    pub fn stop(&self) -> Duration {
        let began = Instant::now();
        self.pipeline.set_state(gst::State::Null).unwrap();
        began.elapsed()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Most pictures of a test.
pub const NUMBERS: u32 = 5000;

/// Numbers of the pictures that came on a connection, in their order.
pub fn numbers(server: &Server, connection: u64, sent: impl Fn(u32) -> Vec<u8>) -> Vec<u32> {
    use std::collections::HashMap;
    let tags = server.told("tag");
    let known = (0..NUMBERS).map(|number| (sha1(&sent(number)), number)).collect::<HashMap<_, _>>();
    tags.iter()
        .filter(|tag| tag["connection"] == connection)
        .filter_map(|tag| known.get(tag["sha"].as_str().unwrap()).copied())
        .collect()
}

pub fn sha1(data: &[u8]) -> String {
    let mut checksum = gst::glib::Checksum::new(gst::glib::ChecksumType::Sha1).unwrap();
    checksum.update(data);
    checksum.string().unwrap()
}
