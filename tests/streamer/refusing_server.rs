//! A server that refuses every other publisher and hangs up on the others, for as long as one likes:
//! `CVMMAP_SOAK_SECONDS=3600` makes it an hour.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    held::{open_files, resident_kib, threads},
    rtp_session::Session,
    streamer_support::{ENDLESS, Names, Running, free_port, json, wait_for},
};

/// What a process has.
#[derive(Clone, Copy, Debug, Default)]
struct Holds {
    descriptors: usize,
    threads: usize,
    memory_kib: u64,
}

impl Holds {
    fn of(program: &Running) -> Self {
        Self { descriptors: open_files(program), threads: threads(program), memory_kib: resident_kib(program) }
    }

    /// The most that it has within a time.
    fn most(program: &Running, time: Duration) -> Self {
        let until = Instant::now() + time;
        let mut most = Self::default();
        while Instant::now() < until {
            let now = Self::of(program);
            most = Self {
                descriptors: most.descriptors.max(now.descriptors),
                threads: most.threads.max(now.threads),
                memory_kib: most.memory_kib.max(now.memory_kib),
            };
            thread::sleep(Duration::from_millis(20));
        }
        most
    }
}

fn soak() -> Duration {
    let seconds = std::env::var("CVMMAP_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(9))
}

#[test]
fn attempts_cost_nothing_and_rtp_has_no_gap() {
    let names = Names::new();
    let port = free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("gst-plugin-flvhevc/tests/ertmpsink/server.py");
    let mut server = Command::new("python3");
    server.arg(script).args(["half", "--port", &port.to_string(), "--after", "15"]);
    // It ends with its stdin's writer.
    let _server = Running::start(server.stdin(Stdio::piped()).stdout(Stdio::null()));
    wait_for("server", || TcpStream::connect(("127.0.0.1", port)).is_ok());

    let session = Session::start();
    let said = names.path("said");
    let streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(["--codec", "h264", "--json", "--rtmp", "--rtmp-url", &format!("rtmp://127.0.0.1:{port}/live/key")])
            .args(["--rtmp-retry-min-ms", "50", "--rtmp-retry-max-ms", "100"])
            .args(["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{}", session.port)])
            .stderr(File::create(&said).unwrap()),
    );
    let third = soak() / 3;
    let [_, early, late] = [third; 3].map(|third| Holds::most(&streamer, third));
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!(status, Some(0), "{}", fs::read_to_string(&said).unwrap());
    let summary = json(&stdout);
    let connects = summary["outputs"]["rtmp"]["connects"].as_u64().unwrap();
    println!("{connects} connections, {early:?}, then {late:?}, {} bytes of log", fs::metadata(&said).unwrap().len());
    assert!(connects >= 3, "{summary}");
    assert!(late.descriptors <= early.descriptors + 2, "{early:?}, then {late:?}");
    assert!(late.threads <= early.threads + 2, "{early:?}, then {late:?}");
    assert!(late.memory_kib <= early.memory_kib + 4096, "{early:?}, then {late:?}");
    let sent = summary["outputs"]["rtp"]["sent"].as_u64().unwrap();
    assert_eq!(session.frames(), sent);
}
