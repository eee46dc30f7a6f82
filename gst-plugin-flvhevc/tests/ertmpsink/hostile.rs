//! Servers that misbehave in every way there is: each costs one clear error or nothing, and leaves nothing behind.

use std::{
    fs,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use super::support::*;
use gst::prelude::*;

/// A stop may not take longer, whatever the server does; the rest is for the machine.
const STOP_MAX: Duration = Duration::from_secs(2);
/// What a process may grow by while servers do their worst.
const MEMORY_MAX_KIB: u64 = 24 << 10;

/// Descriptors are those of the process: only one test at a time counts them.
static ALONE: Mutex<()> = Mutex::new(());

/// Kinds, and words of the error that each is to cause; none where the stream may go on.
const KINDS: [(&str, &str); 52] = [
    ("close_on_accept", "hangs up instead of answering the handshake"),
    ("reset_on_accept", ""),
    ("silent", "no answer to the handshake"),
    ("http", "does not speak RTMP"),
    ("version_6", "its version is 6"),
    ("half_handshake", "no answer to the handshake"),
    ("slow_handshake", "no answer to the handshake"),
    ("half_open", "hangs up"),
    ("close_in_handshake", ""),
    ("reset_after_handshake", ""),
    ("silent_after_handshake", "no answer to connect"),
    ("garbage", ""),
    ("connect_error", "refuses connect: NetConnection.Connect.Rejected: go away"),
    ("connect_error_bare", "refuses connect: without a reason"),
    ("connect_reset", ""),
    ("connect_drip", "no answer to connect"),
    ("amf_malformed", "AMF0 value goes beyond"),
    ("amf_deep", "nested too deep"),
    ("amf_deep_objects", "nested too deep"),
    ("amf_string_4g", "AMF0 value goes beyond"),
    ("amf_array_4g", "too many AMF0 values"),
    ("chunk_size_0", "chunks of an impossible size"),
    ("chunk_size_2g", ""),
    ("chunk_size_negative", "chunks of an impossible size"),
    ("huge_message", "a message of 16777215 bytes"),
    ("many_chunk_streams", "more than 64 chunk streams"),
    ("many_huge_messages", "a message of 16777215 bytes"),
    ("unfinished_messages", "unfinished messages"),
    ("window_0", NONE),
    ("window_1", NONE),
    ("window_short", "a window size is not a number"),
    ("acknowledgements", NONE),
    ("ping_flood", "asks for more answers than it takes"),
    ("bandwidth_flood", "asks for more answers than it takes"),
    ("media_flood", NONE),
    ("create_error", "refuses createStream"),
    ("create_nothing", "createStream gave no stream"),
    ("create_nan", "createStream gave no stream"),
    ("create_silent", "no answer to createStream"),
    ("create_reset", ""),
    ("publish_badname", "refuses publish: NetStream.Publish.BadName: somebody publishes there"),
    ("publish_silent", "no answer to publish"),
    ("publish_reset", ""),
    ("publish_then_close", ""),
    ("publish_then_reset", ""),
    ("publish_then_unpublish", "ends the stream: NetStream.Unpublish.Success: enough"),
    ("publish_then_garbage", ""),
    ("publish_then_deaf", NONE),
    ("reconnect_flood", NONE),
    ("reconnect_nowhere", NONE),
    ("auth_endless", "asks for a user name"),
    ("serve", NONE),
];
/// The stream goes on.
const NONE: &str = "-";

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The sink's threads of this process.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| matches!(name.trim(), "ertmpsink" | "ertmpsink-name")).count()
}

fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn publisher(url: &str) -> Publisher {
    let publisher = Publisher::live(url);
    publisher.sink.set_property("timeout", 1u32);
    let publisher = publisher.play();
    for number in 0..10 {
        // A sink that has given up takes none.
        let _ = publisher.push(number * 40, &picture(number, number == 0, 1000));
    }
    publisher
}

#[test]
fn each_kind_is_named_and_leaves_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    init();
    // The first pipeline makes what GStreamer keeps.
    drop(publisher(&Server::start("serve", &[]).url()));
    for (kind, words) in KINDS {
        let server = Server::start(kind, &["--hold", "3"]);
        let before = descriptors();
        let sink = publisher(&server.url());
        if words == NONE {
            server.wait_for("publish", 1);
        } else {
            let error = sink.error();
            assert!(error.contains(words), "{kind}: {error}");
            sink.wait_until("failed", |sink| sink.state() == "failed");
        }
        let took = sink.stop();
        assert!(took < STOP_MAX, "{kind}: {took:?}");
        drop(sink);
        let deadline = Instant::now() + PATIENCE;
        while descriptors() > before || threads() > 0 {
            assert!(Instant::now() < deadline, "{kind}: {before} descriptors became {}", descriptors());
            thread::sleep(Duration::from_millis(5));
        }
        server.assert_content();
    }
}

/// How long to go on, in seconds, in the test below.
fn soak() -> Duration {
    let seconds = std::env::var("ERTMPSINK_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

#[test]
fn all_of_them_in_turns_cost_no_memory() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    init();
    let server = Server::start("all", &["--hold", "2"]);
    let (before, mut warm) = (descriptors(), None);
    let until = Instant::now() + soak();
    let mut rounds = 0;
    while Instant::now() < until {
        let sinks = (0..8).map(|_| publisher(&server.url())).collect::<Vec<_>>();
        thread::sleep(Duration::from_millis(300));
        for sink in sinks {
            let took = sink.stop();
            assert!(took < STOP_MAX, "{took:?}");
        }
        server.assert_content();
        server.forget();
        rounds += 1;
        if rounds == 7 {
            warm = Some(memory_kib());
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while descriptors() > before || threads() > 0 {
        assert!(Instant::now() < deadline, "{before} descriptors became {}", descriptors());
        thread::sleep(Duration::from_millis(5));
    }
    let now = memory_kib();
    println!(
        "{rounds} rounds of 8 sinks, {before} descriptors before, {} after, memory {warm:?} KiB, then {now} KiB",
        descriptors()
    );
    if let Some(warm) = warm {
        assert!(now < warm + MEMORY_MAX_KIB, "{warm} KiB became {now} KiB");
    }
    server.assert_content();
}
