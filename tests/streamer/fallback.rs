//! Hardware encoders that are not there, do not open, lie, hang and break, and the Jetson and VA-API ones that this machine
//! does not have. Stand-ins play them, in a process of their own for each run.

use std::{
    io::{BufReader, Read},
    process::{ChildStderr, Command, Stdio},
};

use crate::rude_producer::RudeProducer;
use crate::stand_in_encoders;
use crate::streamer_support::{ENDLESS, Names, RtmpServer, RtpReceiver, Running, json, read_until, wait_for};
use clap::Parser;
use tools_cli::failure::exit_with;
use tools_streamer::{options::Options, run};

/// Between the arguments of the launcher, in the environment.
const SEPARATOR: &str = "\x1f";
const DUMMY: [&str; 5] = ["--input-mode=dummy", "--dummy-width=320", "--dummy-height=180", "--json", "--rtp"];

/// The launcher among stand-ins, as a process: `launch` starts this test program for this one.
#[test]
#[ignore = "is started by the others"]
fn launcher() {
    stand_in_encoders::install();
    let arguments = std::env::var("LAUNCHER_ARGUMENTS").unwrap();
    let options = Options::parse_from(["cvmmap_streamer"].into_iter().chain(arguments.split(SEPARATOR)));
    let status = exit_with("cvmmap_streamer", run::run(&options));
    // As from a main function: whatever hangs goes with the process.
    std::process::exit(i32::from(status != std::process::ExitCode::SUCCESS) * 5);
}

struct Launch {
    process: Running,
    stderr: BufReader<ChildStderr>,
}

/// Starts the launcher where these encoders are installed.
fn launch(stand_ins: &str, names: &Names, arguments: &[&str]) -> Launch {
    let (segment, endpoint) = (format!("--shm-name={}", names.shm), format!("--zmq-endpoint={}", names.endpoint()));
    let arguments = [arguments, &[&segment, &endpoint]].concat();
    let mut process = Running::start(
        Command::new(std::env::current_exe().unwrap())
            .args(["fallback::launcher", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("STAND_INS", stand_ins)
            .env("LAUNCHER_ARGUMENTS", arguments.join(SEPARATOR))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let stderr = process.stderr();
    Launch { process, stderr }
}

impl Launch {
    /// Waits for the end. Exit code, summary, and what was said since the last look.
    fn end(mut self) -> (i32, serde_json::Value, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        let (status, stdout, _) = self.process.wait();
        // The test harness says something of its own first.
        let summary = stdout
            .lines()
            .find(|line| line.contains("frames_in"))
            .map_or(serde_json::Value::Null, |line| json(&line[line.find('{').unwrap()..]));
        (status.unwrap(), summary, said)
    }
}

fn encoder_lines(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("cvmmap_streamer: encoder: "));
    // What it is told to make of each picture comes behind.
    lines.map(|line| line.strip_suffix(", bit rate by picture size and rate").unwrap_or(line)).collect()
}

fn software_takes_over(codec: &str, stand_in: &str, rate: [&str; 2], how: &str) {
    let names = Names::new();
    let receiver = RtpReceiver::start(codec);
    let (hardware, endpoint) = (stand_in.split_once('=').unwrap().0, receiver.endpoint());
    let arguments = [&DUMMY[..], &["--codec", codec, "--rtp-endpoint", &endpoint], &rate].concat();
    let (status, summary, said) = launch(stand_in, &names, &arguments).end();
    assert_eq!(status, 0, "{said}");
    let software = if codec == "h264" { "x264enc" } else { "x265enc" };
    let lines = encoder_lines(&said);
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(lines[0], format!("{hardware} (NVENC)"));
    assert!(lines[1].starts_with(&format!("{software} (software; {hardware}")) && lines[1].contains(how), "{said}");
    assert_eq!(summary["encoder"], software);
    let rtp = &summary["outputs"]["rtp"];
    assert_eq!((&rtp["sent"], &rtp["dropped"]), (&summary["encoded"], &0.into()), "{summary}");
    receiver.wait_total(rtp["sent"].as_u64().unwrap());
    assert_eq!(receiver.pictures().len(), 1);
}

const FAST: [&str; 2] = ["--dummy-frames=200", "--dummy-fps=100"];
const SLOW: [&str; 2] = ["--dummy-frames=45", "--dummy-fps=15"];
/// Longer than a first access unit is waited for.
const LONG: [&str; 2] = ["--dummy-frames=90", "--dummy-fps=15"];

#[test]
fn an_encoder_that_gives_nothing() {
    software_takes_over("h264", "nvh264enc=swallows", FAST, "gives nothing for 6");
    software_takes_over("h265", "nvh265enc=swallows", LONG, "gives nothing for ");
}

#[test]
fn an_encoder_that_stops_in_the_middle_of_a_run() {
    software_takes_over("h264", "nvh264enc=swallows@20", SLOW, "stopped after 19 frames");
    software_takes_over("h265", "nvh265enc=swallows@50", FAST, "stopped after 49 frames");
}

#[test]
fn an_encoder_that_blocks() {
    software_takes_over("h264", "nvh264enc=blocks", LONG, "hangs at its first frame");
    software_takes_over("h265", "nvh265enc=blocks@20", SLOW, "hangs after 19 frames");
}

#[test]
fn an_encoder_that_breaks() {
    software_takes_over("h264", "nvh264enc=fails", FAST, "no session left");
    software_takes_over("h265", "nvh265enc=fails@30", FAST, "no session left");
}

#[test]
fn an_encoder_that_hangs_when_it_is_opened_again() {
    // It is tried out, and hangs when it is to be used.
    software_takes_over("h264", "nvh264enc=hangs@2", LONG, "hangs while it opens");
}

#[test]
fn a_signal_is_heard_while_an_encoder_opens() {
    // While it is tried out, and while it is to be used.
    for stand_in in ["nvh264enc=hangs", "nvh264enc=hangs@2"] {
        let names = Names::new();
        let receiver = RtpReceiver::start("h264");
        let endpoint = receiver.endpoint();
        let arguments = [&DUMMY[..], &ENDLESS, &["--codec=h264", "--rtp-endpoint", &endpoint]];
        let mut launch = launch(stand_in, &names, &arguments.concat());
        read_until(&mut launch.stderr, "hangs at opening");
        launch.process.signal("-INT");
        let (status, summary, said) = launch.end();
        assert_eq!((status, said.contains("x264enc")), (0, false), "{said}");
        assert_eq!(summary["encoded"], 0);
        assert!(!names.segment().exists());
    }
}

#[test]
fn an_encoder_may_take_its_time_for_the_first_frame() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let endpoint = receiver.endpoint();
    let arguments = [&DUMMY[..], &LONG, &["--codec=h264", "--rtp-endpoint", &endpoint]].concat();
    let (status, summary, said) = launch("nvh264enc=slow", &names, &arguments).end();
    assert_eq!((status, &summary["encoder"]), (0, &"nvh264enc".into()), "{said}");
    assert!(said.contains("StartsSlowly at frame 1"), "{said}");
}

#[test]
fn a_picture_that_nobody_takes_is_not_the_hardwares_fault() {
    let names = Names::new();
    let receiver = RtpReceiver::start("h264");
    let endpoint = receiver.endpoint();
    let mut producer = RudeProducer::start(&names.shm, &names.path("sync"), 30);
    producer.show(320, 180, 30);
    producer.show(16400, 16, 10);
    producer.show(480, 270, 60);
    let arguments = ["--codec=h264", "--json", "--rtp", "--rtp-endpoint", &endpoint, "--ingest-idle-timeout-ms=3000"];
    let (status, summary, said) = launch("nvh264enc=works", &names, &arguments).end();
    assert_eq!((status, &summary["encoder"]), (0, &"nvh264enc".into()), "{said}");
    assert!(summary["unencodable"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(receiver.pictures().iter().map(|(size, _)| *size).collect::<Vec<_>>(), [(320, 180), (480, 270)]);
}

#[test]
fn a_named_device_that_breaks_ends_the_run() {
    for (stand_in, how) in [("nvh264enc=swallows", "gives nothing"), ("nvh264enc=fails@30", "no session left")] {
        let names = Names::new();
        let arguments = [&DUMMY[..], &FAST, &["--codec=h264", "--rtp-endpoint=127.0.0.1:9", "--encoder-device=nvidia"]];
        let (status, _, said) = launch(stand_in, &names, &arguments.concat()).end();
        assert_eq!(status, 5);
        let last = said.lines().last().unwrap();
        assert!(last.contains(how) && last.contains("take --encoder-device auto or software"), "{said}");
    }
}

#[test]
fn sessions_outlive_the_encoder() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let mut tester = Running::start(
        Command::new(env!("CARGO_BIN_EXE_rtp_receiver_tester"))
            .args(["--port", "0", "--codec", "h264", "--timeout-ms", "60000", "--until-end", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let line = read_until(&mut tester.stderr(), "listening on");
    let endpoint = line.trim().rsplit(' ').next().unwrap().trim_end_matches('/').replace("udp://", "");
    let url = server.url();
    let arguments = [
        &DUMMY[..],
        &["--dummy-frames=150", "--dummy-fps=30", "--codec=h264", "--b-frames=2", "--rtp-endpoint", &endpoint],
        &["--rtmp", "--rtmp-url", &url],
    ];
    let (status, summary, said) = launch("nvh264enc=blocks@60", &names, &arguments.concat()).end();
    assert_eq!(status, 0, "{said}");
    assert_eq!(encoder_lines(&said).len(), 2, "{said}");
    let outputs = &summary["outputs"];
    assert_eq!(outputs["rtmp"]["connects"], 1, "{said}");
    let (frames, complaints) = server.decoded();
    // FFmpeg tells of a timestamp that goes back.
    assert_eq!((frames, complaints.as_str()), (outputs["rtmp"]["sent"].as_u64().unwrap(), ""));
    let (status, stdout, complaints) = tester.wait();
    assert_eq!(status, Some(0), "{complaints}");
    let rtp = json(&stdout);
    assert_eq!((&rtp["lost"], &rtp["reordered"]), (&0.into(), &0.into()), "{rtp}");
    assert_eq!(rtp["frames"], outputs["rtp"]["sent"]);
}

/// Encodes some frames on a machine with these encoders; what was said.
fn encoded_on(stand_ins: &str, codec: &str, device: &str) -> String {
    let names = Names::new();
    let receiver = RtpReceiver::start(codec);
    let (device, endpoint) = (format!("--encoder-device={device}"), receiver.endpoint());
    let arguments = [
        &DUMMY[..],
        &["--dummy-frames=30", "--dummy-fps=60", "--gop=15", "--codec", codec, &device],
        &["--rtp-endpoint", &endpoint],
    ];
    let (status, summary, said) = launch(stand_ins, &names, &arguments.concat()).end();
    assert_eq!(status, 0, "{said}");
    receiver.wait_total(summary["outputs"]["rtp"]["sent"].as_u64().unwrap());
    assert_eq!(encoder_lines(&said).len(), 1, "{said}");
    said
}

#[test]
fn a_jetson_is_fed_in_its_own_memory() {
    for (codec, factory) in [("h264", "nvv4l2h264enc"), ("h265", "nvv4l2h265enc")] {
        let stand_ins = format!("{factory}=works,nvvidconv=works,vah264enc=works,vah265enc=works");
        let said = encoded_on(&stand_ins, codec, "auto");
        let missing = if codec == "h264" { "nvh264enc" } else { "nvh265enc" };
        assert_eq!(encoder_lines(&said), [format!("{factory} (Jetson; not installed: {missing})")]);
        let caps = said.lines().find(|line| line.contains(": video/x-raw")).unwrap();
        assert!(caps.contains("video/x-raw(memory:NVMM)") && caps.contains("NV12"), "{caps}");
        for set in [
            "control-rate=constant_bitrate",
            "preset-level=UltraFastPreset",
            "maxperf-enable=true",
            "insert-sps-pps=true",
            "iframeinterval=15",
            "idrinterval=15",
            "num-B-Frames=0",
            // Bits a second.
            "bitrate=1000000",
        ] {
            assert!(said.contains(&format!("stand-in {factory}: {set}\n")), "no {set} in {said}");
        }
    }
}

#[test]
fn va_encoders_are_taken_and_the_low_power_ones_after_them() {
    let said = encoded_on("vah264enc=works,vah264lpenc=works", "h264", "vaapi");
    assert_eq!(encoder_lines(&said), ["vah264enc (VA-API)"]);
    for set in ["rate-control=cbr", "target-usage=6", "key-int-max=15", "b-frames=0", "aud=false", "bitrate=1000"] {
        assert!(said.contains(&format!("stand-in vah264enc: {set}\n")), "no {set} in {said}");
    }
    let said = encoded_on("nvh264enc=closed,vah264enc=closed,vah264lpenc=works", "h264", "auto");
    let reasons = "does not open: nvh264enc, vah264enc; not installed: nvv4l2h264enc";
    assert_eq!(encoder_lines(&said), [format!("vah264lpenc (VA-API; {reasons})")]);
    let said = encoded_on("vah265enc=works", "h265", "auto");
    assert_eq!(encoder_lines(&said), ["vah265enc (VA-API; not installed: nvh265enc, nvv4l2h265enc)"]);
}

/// They count pictures, and the many that come while the first one is encoded are left out.
#[test]
fn va_streams_keep_the_pictures_own_times() {
    let names = Names::new();
    let server = RtmpServer::start(&names);
    let url = server.url();
    let arguments =
        [&DUMMY[..4], &["--dummy-frames=150", "--dummy-fps=30", "--codec=h264", "--rtmp", "--rtmp-url", &url]];
    let (status, summary, said) = launch("vah264enc=slow", &names, &arguments.concat()).end();
    assert_eq!((status, &summary["encoder"]), (0, &"vah264enc".into()), "{said}");
    server.wait();
    let units = server.units();
    let times: Vec<_> = units.iter().map(|unit| unit.seconds).collect();
    assert!(times.len() < 120, "none is left out: {}", times.len());
    assert!(times.is_sorted_by(|one, next| one < next) && (4.5..5.2).contains(times.last().unwrap()), "{times:?}");
}

#[test]
fn encoders_that_cannot_be_used_are_passed_over_with_the_reason() {
    let said = encoded_on("nvh264enc=hangs,nvv4l2h264enc=works,vah264enc=closed", "h264", "auto");
    let reasons = "hangs while it opens: nvh264enc; without nvvidconv: nvv4l2h264enc; does not open: vah264enc; \
                   not installed: vah264lpenc";
    assert_eq!(encoder_lines(&said), [format!("x264enc (software; {reasons})")]);
}

#[test]
fn a_signal_ends_the_run_while_an_encoder_hangs() {
    for behaviour in ["swallows", "blocks"] {
        let names = Names::new();
        let server = RtmpServer::start(&names);
        let url = server.url();
        let arguments = [&DUMMY[1..4], &ENDLESS, &["--input-mode=dummy", "--codec=h264", "--rtmp", "--rtmp-url", &url]];
        let mut launch = launch(&format!("nvh264enc={behaviour}@60"), &names, &arguments.concat());
        read_until(&mut launch.stderr, "at frame 60");
        launch.process.signal("-INT");
        let (status, summary, said) = launch.end();
        assert_eq!(status, 0, "{said}");
        assert!(!said.contains("cut off"), "{said}");
        let rtmp = &summary["outputs"]["rtmp"];
        assert_eq!((&rtmp["state"], &rtmp["connects"]), (&"publishing".into(), &1.into()));
        assert_eq!(server.decoded(), (rtmp["sent"].as_u64().unwrap(), String::new()));
    }
}

#[test]
fn a_signal_ends_the_run_right_after_an_encoder_was_replaced() {
    // What is under way is finished, unless a busy machine takes longer for it than the second that it has.
    let is_whole = || {
        let names = Names::new();
        let receiver = RtpReceiver::start("h264");
        let endpoint = receiver.endpoint();
        let arguments = [&DUMMY[..], &ENDLESS, &["--codec=h264", "--rtp-endpoint", &endpoint]];
        let mut launch = launch("nvh264enc=blocks@30", &names, &arguments.concat());
        read_until(&mut launch.stderr, "encoder: x264enc");
        launch.process.signal("-INT");
        let (status, _, said) = launch.end();
        assert_eq!(status, 0, "{said}");
        wait_for("end of the names", || !names.segment().exists());
        !said.contains("cut off")
    };
    assert!((0..4).any(|_| is_whole()));
}
