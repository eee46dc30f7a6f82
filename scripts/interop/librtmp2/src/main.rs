//! librtmp2's server: `librtmp2-server PORT N` asks its first publisher after N video frames to reconnect, and tells what it
//! sees, one JSON object a line.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
};

use librtmp2::{
    server::Server,
    types::{Frame, FrameType, ServerConfig},
};

static VIDEO_FRAMES: AtomicU64 = AtomicU64::new(0);
static PUBLISHER: AtomicU64 = AtomicU64::new(0);

fn frame(frame: &Frame) {
    if frame.frame_type == FrameType::Video {
        VIDEO_FRAMES.fetch_add(1, Ordering::Relaxed);
        let Frame { timestamp, track_id, size, .. } = frame;
        println!(r#"{{"event":"frame","time":{timestamp},"track":{track_id},"size":{size}}}"#);
    }
}

fn publish(connection: u64, app: &str, _stream: &str) -> bool {
    PUBLISHER.store(connection, Ordering::Relaxed);
    println!(r#"{{"event":"publish","connection":{connection},"app":"{app}"}}"#);
    true
}

fn main() {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a number"));
    let (port, after) = (arguments.next().expect("a port"), arguments.next().expect("a number of frames"));
    let config = ServerConfig {
        max_connections: 16,
        chunk_size: 128,
        tls_enabled: 0,
        tls_cert_file: std::ptr::null(),
        tls_key_file: std::ptr::null(),
        tls_ca_file: std::ptr::null(),
        tls_insecure: 0,
        max_pending_tls_per_addr: 0,
        max_connections_per_addr: 0,
    };
    let mut server = Server::from_config(config, None).expect("a server");
    server.on_frame_cb = Some(frame);
    server.on_publish_cb = Some(publish);
    server.listen(&format!("127.0.0.1:{port}")).expect("a free port");
    println!(r#"{{"event":"listening","port":{port}}}"#);
    let mut has_asked = false;
    while server.poll(20).is_ok() {
        if !has_asked && VIDEO_FRAMES.load(Ordering::Relaxed) >= after {
            has_asked = true;
            let asked = server.request_reconnect(PUBLISHER.load(Ordering::Relaxed), None, Some("moving"));
            println!(r#"{{"event":"asked","ok":{}}}"#, asked.is_ok());
        }
    }
}
