//! What the launcher refuses before it touches anything: the exit code, and one line that says why.

use crate::streamer_support::{finish, program};

const INPUT: &[&str] = &["--input-uri", "cvmmap://nobody"];
const DUMMY: &[&str] = &["--input-mode", "dummy", "--shm-name", "refused", "--zmq-endpoint", "ipc:///tmp/refused.ipc"];
const H264: &[&str] = &["--codec", "h264"];
const H265: &[&str] = &["--codec", "h265"];
const RAW: &[&str] = &["--input-video-source", "raw"];
const RTP: &[&str] = &["--rtp", "--rtp-endpoint", "127.0.0.1:5004"];
const RTMP: &[&str] = &["--rtmp", "--rtmp-url", "rtmp://127.0.0.1:1/live/sekret"];

fn refused(code: i32, parts: &[&[&str]], words: &[&str]) {
    let arguments = parts.concat();
    let (status, stdout, stderr) = finish(program().args(&arguments));
    assert_eq!(status, Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("cvmmap_streamer: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no '{word}' in: {stderr}");
    }
    assert!(!stderr.contains("sekret"), "{stderr}");
}

#[test]
fn flags_that_are_not_there() {
    refused(1, &[&["--frobnicate"]], &["--frobnicate", "--help"]);
    refused(1, &[INPUT, RTP, &["--codec", "av1"]], &["av1", "h264, h265"]);
    refused(1, &[INPUT, H264, RTP, &["--queue-size", "-1"]], &["-1"]);
    refused(1, &[INPUT, H264, RTP, &["--gop", "many"]], &["many", "--gop"]);
    refused(1, &[INPUT, H264, RTP, &["--run-mode", "ingest"]], &["ingest", "pipeline"]);
    refused(1, &[INPUT, H264, RTP, &["stray"]], &["stray"]);
}

#[test]
fn an_input_that_is_missing_or_named_twice() {
    refused(1, &[H264, RTP], &["--input-uri", "--shm-name", "--zmq-endpoint"]);
    refused(1, &[H264, RTP, &["--shm-name", "a"]], &["--shm-name needs --zmq-endpoint"]);
    refused(1, &[H264, RTP, &["--zmq-endpoint", "ipc:///tmp/a"]], &["--zmq-endpoint needs --shm-name"]);
    let both = ["--shm-name", "a", "--zmq-endpoint", "ipc:///tmp/a"];
    refused(1, &[INPUT, H264, RTP, &both], &["twice"]);
    refused(1, &[INPUT, H264, RTP, &both[..2]], &["twice"]);
}

#[test]
fn an_input_that_is_malformed() {
    for uri in ["cvmmap://", "rtsp://cam", "cvmmap://a@b@/c", "cvmmap://a?x=y", "-a b"] {
        refused(1, &[&[&format!("--input-uri={uri}")], H264, RTP], &["--input-uri"]);
    }
    refused(1, &[H264, RTP, &["--shm-name", "a/b", "--zmq-endpoint", "ipc:///tmp/a"]], &["--shm-name"]);
    refused(1, &[H264, RTP, &["--shm-name", "a", "--zmq-endpoint", "/tmp/a"]], &["--zmq-endpoint"]);
    refused(1, &[H264, RTP, &["--shm-name", "a", "--zmq-endpoint", "inproc://a"]], &["--zmq-endpoint", "inproc"]);
}

#[test]
fn outputs_without_what_they_need() {
    refused(1, &[INPUT, H264, &["--rtp"]], &["--rtp needs --rtp-endpoint"]);
    refused(1, &[INPUT, H264, &["--rtmp"]], &["--rtmp needs --rtmp-url"]);
    refused(1, &[INPUT, RTP, RAW], &["--codec"]);
    refused(1, &[DUMMY, RTP], &["--codec"]);
    refused(1, &[INPUT, RAW], &["--codec"]);
    refused(1, &[DUMMY, RTP, &["--input-video-source", "encoded"]], &["--input-video-source"]);
    refused(1, &[INPUT, H264, &["--rtp-endpoint", "127.0.0.1:5004"]], &["--rtp-endpoint needs --rtp"]);
    refused(1, &[INPUT, H264, &["--rtp-sdp", "/tmp/x"]], &["--rtp-sdp needs --rtp"]);
    refused(1, &[INPUT, H264, &RTMP[1..]], &["--rtmp-url needs --rtmp"]);
}

#[test]
fn several_outputs_that_do_not_go_together() {
    let second = ["--rtp-endpoint", "127.0.0.1:5006"];
    refused(1, &[INPUT, H264, RTP, &second, &["--rtp-sdp", "/tmp/x"]], &["1 --rtp-sdp for 2 --rtp-endpoint"]);
    refused(1, &[INPUT, H264, RTP, &second, &["--rtp-sdp", "/tmp/x", "--rtp-sdp", "/tmp/x"]], &["/tmp/x", "twice"]);
    refused(1, &[INPUT, H264, RTP, &["--rtp-sdp", "/tmp/x", "--rtp-sdp", "/tmp/y"]], &["2 --rtp-sdp for 1"]);
    refused(1, &[INPUT, H264, RTP, &RTP[1..]], &["--rtp-endpoint 127.0.0.1:5004", "twice"]);
    refused(1, &[INPUT, H264, RTMP, &RTMP[1..]], &["--rtmp-url rtmp://127.0.0.1:1/live/***", "twice"]);
    refused(1, &[INPUT, H264, RTMP, &["--rtmp-url", "rtmp://h/sekret"]], &["--rtmp-url", "rtmp://"]);
}

#[test]
fn retries_that_make_no_sense() {
    for (min, max) in [("0", "1500"), ("2000", "1500"), ("250", "3600001")] {
        let retry = ["--rtmp-retry-min-ms", min, "--rtmp-retry-max-ms", max];
        refused(1, &[INPUT, H264, RTMP, &retry], &["--rtmp-retry-min-ms", "--rtmp-retry-max-ms"]);
    }
    refused(1, &[INPUT, H264, RTP, &["--rtmp-depth"]], &["--rtmp-depth needs --rtmp"]);
    refused(1, &[INPUT, H265, RTMP, &["--rtmp-mode", "domestic", "--rtmp-depth"]], &["--rtmp-mode enhanced"]);
    refused(1, &[INPUT, H264, RTP, &["--rtmp-audio", "silence"]], &["--rtmp-audio needs --rtmp"]);
    refused(1, &[INPUT, H264, RTP, &["--rtmp-required"]], &["--rtmp-required needs --rtmp"]);
}

#[test]
fn rtmp_modes_that_do_not_apply() {
    refused(1, &[INPUT, H264, RTMP, &["--rtmp-mode", "domestic"]], &["domestic", "H.265"]);
    refused(1, &[INPUT, H265, RTMP], &["--rtmp-mode enhanced", "--rtmp-mode domestic"]);
    refused(1, &[INPUT, H265, RTP, &["--rtmp-mode", "enhanced"]], &["--rtmp-mode needs --rtmp"]);
    refused(1, &[INPUT, H264, &["--rtmp-mode", "enhanced"]], &["--rtmp-mode needs --rtmp"]);
}

#[test]
fn values_out_of_range() {
    for payload_type in ["95", "128", "0"] {
        refused(1, &[INPUT, H264, RTP, &["--rtp-payload-type", payload_type]], &["--rtp-payload-type", "96 to 127"]);
    }
    refused(1, &[INPUT, H264, RTP, &["--queue-size", "0"]], &["--queue-size"]);
    refused(1, &[DUMMY, &["--queue-size", "0"]], &["--queue-size"]);
    refused(1, &[INPUT, H264, RTP, &["--gop", "0"]], &["--gop"]);
    refused(1, &[INPUT, H264, RTP, &["--b-frames", "17"]], &["--b-frames"]);
    refused(1, &[INPUT, H264, RTP, &["--gop", "2", "--b-frames", "2"]], &["--b-frames", "--gop"]);
    for (flag, value) in [("--dummy-width", "0"), ("--dummy-height", "16385"), ("--dummy-fps", "0")] {
        refused(1, &[DUMMY, &[flag, value]], &[flag]);
    }
}

#[test]
fn addresses_that_are_malformed() {
    for endpoint in ["5004", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:5004", "a b:5004", ":5004"] {
        refused(1, &[INPUT, H264, &["--rtp", "--rtp-endpoint", endpoint]], &["--rtp-endpoint", "HOST:PORT"]);
    }
    for endpoint in ["239.1.2.3:5004", "0.0.0.0:5004", "255.255.255.255:5004", "[ff02::1]:5004"] {
        refused(1, &[INPUT, H264, &["--rtp", "--rtp-endpoint", endpoint]], &["--rtp-endpoint", "unicast"]);
    }
    for (url, shown) in [
        ("http://h/live/sekret", "'http://h/live/***'"),
        ("rtmp://h/sekret", "'rtmp://h/***'"),
        ("rtmp://h:x/live/sekret", "'rtmp://h:x/live/***'"),
        ("rtmp://:sekret@h/live/x", "'rtmp://***@h/live/***'"),
    ] {
        refused(1, &[INPUT, H264, &["--rtmp", "--rtmp-url", url]], &["--rtmp-url", "rtmp://", shown]);
    }
    for (url, shown) in [
        ("http://h", "'http://h'"),
        ("nats://", "'nats://'"),
        ("nats://h:0", "'nats://h:0'"),
        ("nats://u:sekret@", "'nats://***@'"),
    ] {
        refused(1, &[INPUT, H264, RTP, &["--nats-url", url]], &["--nats-url", shown]);
    }
    // A label of more than 63 characters is no host name: no name server is asked.
    let host = "h".repeat(64);
    refused(2, &[INPUT, H264, &["--rtp", "--rtp-endpoint", &format!("{host}:5004")]], &[&host, "resolved"]);
}

#[test]
fn recordings_whose_names_say_another_format() {
    refused(1, &[INPUT, H264, &["--mp4", "a.mcap"]], &["--mp4 would write MP4 into a.mcap", "take --mcap"]);
    refused(1, &[INPUT, H264, &["--mcap", "day/A.MP4"]], &["--mcap would write MCAP into day/A.MP4", "take --mp4"]);
}

#[test]
fn codecs_have_two_names() {
    for name in ["avc", "hevc"] {
        // It gets as far as the label.
        refused(2, &[DUMMY, &["--codec", name, "--dummy-encoded", name, "--dummy-label", ""]], &["--dummy-label"]);
    }
}

#[test]
fn what_was_typed_gives_a_terminal_no_orders() {
    refused(1, &[INPUT, H264, RTP, &["--input-video-source", "\x1b[2J\u{202e}x"]], &[r"\u{202e}x"]);
}

#[test]
fn labels_longer_than_their_field() {
    refused(2, &[DUMMY, &["--dummy-label", "1234567890123456789012345"]], &["--dummy-label", "24 bytes"]);
    // 13 characters of two bytes.
    refused(2, &[DUMMY, &["--dummy-label", "ééééééééééééé"]], &["--dummy-label", "24 bytes"]);
    refused(2, &[DUMMY, &["--dummy-label", ""]], &["--dummy-label"]);
    let other = ["--input-mode", "dummy", "--dummy-label", "somebody"];
    refused(1, &[INPUT, &other], &["--dummy-label", "--input-uri"]);
}

#[test]
fn session_descriptions_that_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("no/such/folder/x.sdp");
    for path in [nowhere.to_str().unwrap(), directory.path().to_str().unwrap(), "/dev/null", "/"] {
        refused(2, &[INPUT, H264, RTP, &["--rtp-sdp", path]], &["--rtp-sdp", path]);
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn help_and_version_are_results() {
    let (status, stdout, stderr) = finish(program().arg("--help"));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    for word in ["--input-uri", "--rtmp-mode", "Examples:", "cvmmap_streamer --input-mode dummy", "[default: 30]"] {
        assert!(stdout.contains(word), "{word}");
    }
    let (status, stdout, stderr) = finish(program().arg("--version"));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with(&format!("cvmmap_streamer {}", env!("CARGO_PKG_VERSION"))), "{stdout}");
}

#[test]
fn an_nvidia_encoder_that_is_not_there() {
    let absent = finish(std::process::Command::new("gst-inspect-1.0").args(["--exists", "nvh264enc"])).0 != Some(0);
    if absent {
        refused(5, &[INPUT, H264, RTP, &["--encoder-device", "nvidia"]], &["--encoder-device", "driver", "software"]);
    }
}
