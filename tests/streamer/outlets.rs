//! Outputs that come, go, hang and come back, and what the others notice of it: nothing.

use std::{
    io::{BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::streamer_support::{
    ENDLESS, Names, Producer, RtmpServer, RtpReceiver, Running, finish, free_port, json, read_until, strict_server,
    wait_for,
};

const H264: [&str; 2] = ["--codec", "h264"];
/// A signal ends a run in a second; a busy machine may take longer.
const SIGNAL_PATIENCE: Duration = Duration::from_secs(5);

fn url(port: u16) -> String {
    format!("rtmp://127.0.0.1:{port}/live/key")
}

/// Counts RTP packets and what is missing between them, until the stream ends.
fn rtp_tester() -> (Running, u16) {
    let mut tester = Running::start(
        Command::new(env!("CARGO_BIN_EXE_rtp_receiver_tester"))
            .args(["--port", "0", "--codec", "h264", "--timeout-ms", "60000", "--until-end", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let line = read_until(&mut tester.stderr(), "listening on");
    let port = line.trim().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    (tester, port)
}

/// Everything that is said on stderr from now on, read as it comes.
fn listen(streamer: &mut Running) -> BufReader<std::process::ChildStderr> {
    streamer.stderr()
}

/// Ends a run by SIGINT. Exit code and stdout.
fn interrupt(streamer: Running) -> (Option<i32>, String) {
    let asked = Instant::now();
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert!(asked.elapsed() < SIGNAL_PATIENCE, "{:?}", asked.elapsed());
    (status, stdout)
}

#[test]
fn a_server_that_comes_late_and_restarts_is_published_to_each_time() {
    const ROUNDS: u64 = 5;
    let names = Names::new();
    let port = free_port();
    let (tester, rtp_port) = rtp_tester();
    let mut streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(H264)
            .args(["--rtp", "--rtp-endpoint", &format!("127.0.0.1:{rtp_port}"), "--json"])
            .args(["--rtmp", "--rtmp-url", &url(port)]),
    );
    let mut stderr = listen(&mut streamer);
    let refused = read_until(&mut stderr, "trying again");
    assert!(refused.contains("refused") && refused.contains("/live/***") && !refused.contains("key"), "{refused}");
    for round in 0..ROUNDS {
        let (status, stdout, complaints) = finish(&mut strict_server("h264", port, &["--video-threshold", "20"]));
        assert_eq!(status, Some(0), "round {round}: {complaints}");
        let report = json(&stdout);
        assert_eq!(report["first_timestamp_ms"], 0, "round {round}: {report}");
        // What comes again and again is told the first two times, and then less and less often.
        if round < 2 {
            read_until(&mut stderr, ": publishing");
            read_until(&mut stderr, "trying again");
        }
    }
    let (status, stdout) = interrupt(streamer);
    assert_eq!(status, Some(0));
    let outputs = &json(&stdout)["outputs"];
    assert_eq!(outputs["rtmp"]["connects"], ROUNDS);
    assert!(outputs["rtmp"]["dropped"].as_u64().unwrap() > 0, "{outputs}");
    let (status, stdout, complaints) = tester.wait();
    assert_eq!(status, Some(0), "{complaints}");
    let rtp = json(&stdout);
    assert_eq!((&rtp["lost"], &rtp["reordered"]), (&0.into(), &0.into()), "{rtp}");
    assert_eq!(rtp["frames"], outputs["rtp"]["sent"]);
    assert_eq!(outputs["rtp"]["dropped"], 0);
}

#[test]
fn what_each_connection_brings_decodes() {
    let names = Names::new();
    let port = free_port();
    let mut streamer = Running::start(
        names
            .simulator()
            .args(ENDLESS)
            .args(["--codec", "h265", "--rtmp-mode", "enhanced", "--rtmp", "--rtmp-url", &url(port)])
            .args(["--gop", "1000"]),
    );
    let mut stderr = listen(&mut streamer);
    for round in 0..2 {
        let server = RtmpServer::start_on(port, names.path(&format!("{round}.mkv")));
        server.wait_frames();
        server.process.signal("-INT");
        let (frames, complaints) = server.decoded();
        assert!(frames > 0 && complaints.is_empty(), "round {round}: {frames} {complaints}");
        read_until(&mut stderr, "trying again");
    }
    assert_eq!(interrupt(streamer).0, Some(0));
}

#[test]
fn a_dead_server_beside_a_live_one_costs_the_exit_code_alone() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let dead = free_port();
    let streamer = Running::start(names.simulator().args(ENDLESS).args(H264).args([
        "--json",
        "--rtmp",
        "--rtmp-url",
        &url(dead),
        "--rtmp-url",
        &server.url(),
    ]));
    server.wait_frames();
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(5), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.contains(&format!(":{dead}/live/***: never connected: ")), "{stderr}");
    assert!(!last.contains(&server.port.to_string()) && !stderr.contains("key\n"), "{stderr}");
    let outputs = &json(&stdout)["outputs"];
    assert_eq!((&outputs["rtmp"]["sent"], &outputs["rtmp"]["connects"]), (&0.into(), &0.into()));
    assert_eq!((&outputs["rtmp-2"]["state"], &outputs["rtmp-2"]["connects"]), (&"publishing".into(), &1.into()));
    let sent = outputs["rtmp-2"]["sent"].as_u64().unwrap();
    assert_eq!(server.decoded(), (sent, String::new()));
}

#[test]
fn two_receivers_get_the_same_rtp() {
    let names = Names::new();
    let receivers = [RtpReceiver::start("h264"), RtpReceiver::start("h264")];
    let sdps = ["one.sdp", "two.sdp"].map(|name| names.path(name));
    let mut streamer = names.simulator();
    streamer.args(H264).args(["--dummy-frames", "60", "--dummy-fps", "60", "--json", "--rtp"]);
    for (receiver, sdp) in receivers.iter().zip(&sdps) {
        streamer.args(["--rtp-endpoint", &receiver.endpoint(), "--rtp-sdp", sdp.to_str().unwrap()]);
    }
    let (status, stdout, stderr) = finish(&mut streamer);
    assert_eq!(status, Some(0), "{stderr}");
    let summary = json(&stdout);
    let encoded = summary["encoded"].as_u64().unwrap();
    for ((receiver, sdp), name) in receivers.iter().zip(&sdps).zip(["rtp", "rtp-2"]) {
        assert_eq!(summary["outputs"][name]["sent"], encoded, "{summary}");
        receiver.wait_total(encoded);
        let sdp = std::fs::read_to_string(sdp).unwrap();
        assert!(sdp.contains(&format!("m=video {} RTP/AVP 96", receiver.port)), "{sdp}");
    }
}

#[test]
fn a_server_that_refuses_to_take_the_stream() {
    let names = Names::new();
    let server = Running::start(strict_server("h264", 0, &["--refuse"]).stdout(Stdio::null()));
    let mut server = server;
    let line = read_until(&mut server.stderr(), "listening on");
    let port = line.trim().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let (status, _, stderr) = finish(names.simulator().args(ENDLESS).args(H264).args([
        "--rtmp",
        "--rtmp-required",
        "--rtmp-url",
        &url(port),
    ]));
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("/live/***: "), "{stderr}");
    assert!(!stderr.contains("never connected") && !stderr.contains("trying again"), "{stderr}");
}

/// Passes connections on to a server, and stops doing so when told: its buffers are small.
struct Valve {
    port: u16,
    open: mpsc::Sender<bool>,
}

impl Valve {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, is_open) = mpsc::channel();
        thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
            let (mut answers, mut answered) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut answers, &mut answered));
            let mut chunk = [0; 65536];
            loop {
                if is_open.try_recv() == Ok(false) && is_open.recv() != Ok(true) {
                    break;
                }
                match client.read(&mut chunk) {
                    Ok(length @ 1..) => server.write_all(&chunk[..length]).unwrap(),
                    _ => break,
                }
            }
            // The server may have gone first.
            let _ = server.shutdown(Shutdown::Write);
        });
        Self { port, open }
    }
}

/// Noise at a high rate, so that buffers on the way fill soon.
fn noise(names: &Names) -> Producer {
    Producer::start(names, "format=BGR,width=640,height=360,framerate=120/1")
}

#[test]
fn a_server_that_stops_reading_gets_new_pictures_that_decode_when_it_goes_on() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let valve = Valve::before(server.port);
    let (tester, rtp_port) = rtp_tester();
    let mut streamer = Running::start(
        names
            .streamer()
            .args(H264)
            .args(["--gop", "1000", "--rtp", "--rtp-endpoint", &format!("127.0.0.1:{rtp_port}"), "--json"])
            .args(["--rtmp", "--rtmp-url", &url(valve.port)]),
    );
    let _producer = noise(&names);
    let mut stderr = listen(&mut streamer);
    server.wait_frames();
    valve.open.send(false).unwrap();
    read_until(&mut stderr, ": stalled");
    valve.open.send(true).unwrap();
    read_until(&mut stderr, ": publishing again");
    let so_far = server.file.metadata().unwrap().len();
    wait_for("more frames", || server.file.metadata().unwrap().len() > so_far + 100_000);
    let (status, stdout) = interrupt(streamer);
    assert_eq!(status, Some(0));
    let outputs = &json(&stdout)["outputs"];
    assert_eq!(outputs["rtmp"]["connects"], 1);
    assert!(outputs["rtmp"]["dropped"].as_u64().unwrap() > 30, "{outputs}");
    assert_eq!(outputs["rtp"]["dropped"], 0);
    let (frames, complaints) = server.decoded();
    assert!(frames > 60 && complaints.is_empty(), "{frames} {complaints}");
    let (status, stdout, complaints) = tester.wait();
    assert_eq!(status, Some(0), "{complaints}");
    assert_eq!(json(&stdout)["lost"], 0);
}

#[test]
fn a_signal_ends_the_run_while_a_server_stalls() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let valve = Valve::before(server.port);
    let mut streamer =
        Running::start(names.streamer().args(H264).args(["--json", "--rtmp", "--rtmp-url", &url(valve.port)]));
    let _producer = noise(&names);
    let mut stderr = listen(&mut streamer);
    server.wait_frames();
    valve.open.send(false).unwrap();
    read_until(&mut stderr, ": stalled");
    let (status, stdout) = interrupt(streamer);
    assert_eq!(status, Some(0));
    assert_eq!(json(&stdout)["outputs"]["rtmp"]["state"], "stalled");
}

#[test]
fn a_signal_ends_the_run_while_no_server_answers() {
    let names = Names::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_url = url(silent.local_addr().unwrap().port());
    let streamer = Running::start(names.streamer().args(H264).args(["--json", "--rtmp", "--rtmp-url", &silent_url]));
    let _connection = silent.accept().unwrap();
    let (status, stdout) = interrupt(streamer);
    assert_eq!(status, Some(5));
    assert_eq!(json(&stdout)["outputs"]["rtmp"]["state"], "connecting");
}

#[test]
fn a_server_that_never_answers_is_asked_again() {
    let names = Names::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent_url = url(silent.local_addr().unwrap().port());
    let mut streamer = Running::start(names.streamer().args(H264).args(["--rtmp", "--rtmp-url", &silent_url]));
    let _first = silent.accept().unwrap();
    let line = read_until(&mut streamer.stderr(), "trying again");
    assert!(line.contains("no answer"), "{line}");
    let _second = silent.accept().unwrap();
    assert_eq!(interrupt(streamer).0, Some(5));
}

#[test]
fn a_signal_ends_the_run_while_it_waits_to_try_again() {
    let names = Names::new();
    let retry = ["--rtmp-retry-min-ms", "60000", "--rtmp-retry-max-ms", "60000"];
    let mut streamer = Running::start(names.streamer().args(H264).args(retry).args([
        "--json",
        "--rtmp",
        "--rtmp-url",
        &url(free_port()),
    ]));
    read_until(&mut streamer.stderr(), "trying again");
    let (status, stdout) = interrupt(streamer);
    assert_eq!(status, Some(5));
    assert_eq!(json(&stdout)["outputs"]["rtmp"]["state"], "retrying");
}
