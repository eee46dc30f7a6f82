//! How the launcher starts, ends and fails beside others.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use crate::streamer_support::{
    self, ENDLESS, Names, RtmpServer, RtpReceiver, Running, finish, free_port, json, read_until, wait_for,
};

const H264: [&str; 2] = ["--codec", "h264"];

/// Passes one connection on to `port`. Its own port, and what the client had sent once it is closed.
fn relay(port: u16) -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own_port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
        let mut sent = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut chunk) {
            sent.extend_from_slice(&chunk[..length]);
            server.write_all(&chunk[..length]).unwrap();
        }
        // The server may have gone first.
        let _ = server.shutdown(Shutdown::Write);
        tell.send(sent).unwrap();
    });
    (own_port, told)
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn a_signal_ends_it_in_order(signal: &str) {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let (port, sent) = relay(server.port);
    let receiver = RtpReceiver::start("h264");
    let streamer = Running::start(
        names.simulator().args(ENDLESS).args(H264).args(["--rtp", "--rtp-endpoint", &receiver.endpoint()]).args([
            "--json",
            "--rtmp",
            "--rtmp-url",
            &format!("rtmp://127.0.0.1:{port}/live/key"),
        ]),
    );
    receiver.wait_total(20);
    streamer.signal(signal);
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    let rtmp = json(&stdout)["outputs"]["rtmp"]["sent"].as_u64().unwrap();

    let sent = sent.recv_timeout(streamer_support::PATIENCE).unwrap();
    assert!(contains(&sent, "FCUnpublish") && contains(&sent, "deleteStream"));
    assert_eq!(server.decoded(), (rtmp, String::new()));
    assert!(!names.segment().exists() && !names.path("sync").exists());
}

#[test]
fn sigint_ends_it_in_order() {
    a_signal_ends_it_in_order("-INT");
}

#[test]
fn sigterm_ends_it_in_order() {
    a_signal_ends_it_in_order("-TERM");
}

#[test]
fn sighup_ends_it_in_order() {
    a_signal_ends_it_in_order("-HUP");
}

#[test]
fn nohup_outlives_its_terminal() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_cvmmap_streamer")).args(names.simulator().get_args());
    command.args(ENDLESS).args(H264).args(["--rtp", "--rtp-endpoint", &receiver.endpoint()]);
    let streamer = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    receiver.wait_total(1);
    streamer.signal("-HUP");
    receiver.wait_total(receiver.total() + 20);
    streamer.signal("-TERM");
    let (status, _, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
}

#[test]
fn a_producer_that_came_and_went_ends_the_run_well() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let simulator = Running::start(names.simulator().args(ENDLESS));
    wait_for("segment", || names.segment().exists());
    let streamer = Running::start(names.streamer().args(H264).args([
        "--json",
        "--rtp",
        "--rtp-endpoint",
        &receiver.endpoint(),
        "--ingest-idle-timeout-ms",
        "5000",
    ]));
    receiver.wait_total(1);
    simulator.signal("-TERM");
    assert_eq!(simulator.wait().0, Some(0));
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
    assert!(json(&stdout)["frames_in"].as_u64().unwrap() > 0, "{stdout}");
}

#[test]
fn what_others_name_gives_a_terminal_no_orders() {
    let names = Names::new();
    let file = names.path("a\u{202e}pcam\x1b[31m\u{9b}2J");
    for flags in [&["--json"][..], &[]] {
        let mut simulator = names.simulator();
        let (status, stdout, stderr) =
            finish(simulator.args(["--dummy-frames", "30"]).args(H264).args(flags).arg("--mcap").arg(&file));
        assert_eq!(status, Some(0), "{stderr}");
        let is_order = |letter: char| letter == '\u{202e}' || letter.is_control() && letter != '\n';
        assert!(!stdout.contains(is_order) && !stderr.contains(is_order), "{stdout:?} {stderr:?}");
        match flags {
            [] => assert!(stdout.contains(r"a\u{202e}pcam\u{1b}[31m\u{9b}2J"), "{stdout}"),
            _ => assert_eq!(json(&stdout)["recordings"][0]["path"], file.to_str().unwrap()),
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_producer() {
    let names = Names::new();
    let mut streamer = Running::start(names.streamer().args(H264).args(["--rtp", "--rtp-endpoint", "127.0.0.1:9"]));
    let mut talk = streamer.stderr();
    let waits = read_until(&mut talk, "waiting for the producer");
    let place = [names.segment().display().to_string(), names.endpoint()];
    assert!(place.iter().all(|name| waits.contains(name)), "{waits}");
    let why = read_until(&mut talk, "warning: input: no frame for");
    assert!(why.contains("the segment is not there") && place.iter().all(|name| why.contains(name)), "{why}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}

#[test]
fn a_server_that_says_nothing_holds_up_nobody() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("rtmp://{}/live/key", silent.local_addr().unwrap());
    let streamer =
        Running::start(names.simulator().args(ENDLESS).args(["--dummy-fps", "100", "--json"]).args(H264).args([
            "--rtp",
            "--rtp-endpoint",
            &receiver.endpoint(),
            "--rtmp",
            "--rtmp-url",
            &url,
        ]));
    let _connection = silent.accept().unwrap();
    // More than the RTMP output keeps.
    receiver.wait_total(200);
    streamer.signal("-INT");
    let (status, stdout, stderr) = streamer.wait();
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("never connected"), "{stderr}");
    let outputs = &json(&stdout)["outputs"];
    assert_eq!(outputs["rtp"]["dropped"], 0);
    assert_eq!(outputs["rtmp"]["state"], "connecting");
    assert_eq!(outputs["rtmp"]["connects"], 0);
    assert!(outputs["rtmp"]["dropped"].as_u64().unwrap() > 50, "{outputs}");
}

#[test]
fn a_server_that_refuses_is_told_without_the_key() {
    for extra in [&["--rtmp-required", "--dummy-frames", "0"][..], &["--dummy-frames", "60", "--dummy-fps", "60"]] {
        a_refusal_is_told_without_the_key(extra);
    }
}

fn a_refusal_is_told_without_the_key(extra: &[&str]) {
    let names = Names::new();
    let url = format!("rtmp://bob:hunter2@127.0.0.1:{}/live/sekret?token=tok3n", free_port());
    let (status, _, stderr) = finish(names.simulator().args(extra).args(H264).args(["--rtmp", "--rtmp-url", &url]));
    assert_eq!(status, Some(5), "{stderr}");
    assert!(stderr.contains("RTMP to rtmp://***@127.0.0.1:") && stderr.contains("/live/***: "), "{stderr}");
    assert!(stderr.contains("refused"), "{stderr}");
    for secret in ["bob", "hunter2", "sekret", "tok3n"] {
        assert!(!stderr.contains(secret), "{stderr}");
    }
}

#[test]
fn names_of_a_live_producer_are_not_taken() {
    let names = Names::new();
    let first = Running::start(names.simulator().args(ENDLESS));
    wait_for("segment", || names.segment().exists());
    let rtp = ["--codec", "h264", "--rtp", "--rtp-endpoint", "127.0.0.1:9"];
    for extra in [&[][..], &rtp] {
        let (status, stdout, stderr) = finish(names.simulator().args(extra));
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains("live producer"), "{stderr}");
    }
    first.signal("-TERM");
    let (status, stdout, stderr) = first.wait();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("simulator: published="), "{stdout}");
    assert!(!names.segment().exists());
}

#[test]
fn the_simulator_lets_read_whom_it_is_told() {
    for (perms, segment, socket) in [("0600", 0o600, 0o600), ("0640", 0o640, 0o660), ("644", 0o644, 0o666)] {
        let names = Names::new();
        let camera = Running::start(names.simulator().args(ENDLESS).args(["--dummy-perms", perms]));
        names.wait_modes(segment, socket);
        camera.signal("-TERM");
        assert_eq!(camera.wait().0, Some(0));
    }
    let (status, _, stderr) = finish(Names::new().simulator().args(["--dummy-perms", "0755"]));
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("0600 to 0666"), "{stderr}");
}

#[test]
fn an_endpoint_that_cannot_be_bound_is_a_configuration() {
    let names = Names::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("tcp://{}", taken.local_addr().unwrap());
    let (status, stdout, stderr) = finish(streamer_support::program().args([
        "--input-mode",
        "dummy",
        "--shm-name",
        &names.shm,
        "--zmq-endpoint",
        &endpoint,
    ]));
    assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&endpoint), "{stderr}");
    assert!(!names.segment().exists());
}
