//! `--rtmp-audio silence`: sound beside the picture, from the first connection to the last.

use std::process::Command;

use crate::streamer_support::{ENDLESS, Names, Running, finish, free_port, json, read_until, strict_server};

#[test]
fn silence_stays_with_the_picture_through_reconnects() {
    for (codec, mode) in [("h264", "h264"), ("h265", "h265-enhanced")] {
        let names = Names::new();
        let port = free_port();
        let url = format!("rtmp://127.0.0.1:{port}/live/key");
        let packaging: &[&str] = if codec == "h265" { &["--rtmp-mode", "enhanced"] } else { &[] };
        let mut streamer = Running::start(
            names
                .simulator()
                .args(ENDLESS)
                .args(["--codec", codec, "--rtmp", "--rtmp-url", &url, "--rtmp-audio", "silence"])
                .args(packaging),
        );
        let mut stderr = streamer.stderr();
        for round in 0..3 {
            let dump = names.path(&format!("{round}.flv"));
            let more = ["--video-threshold", "60", "--dump", dump.to_str().unwrap()];
            let (status, stdout, complaints) = finish(&mut strict_server(mode, port, &more));
            assert_eq!(status, Some(0), "{codec}, round {round}: {complaints}");
            let report = json(&stdout);
            assert_eq!(report["first_timestamp_ms"], 0, "{report}");
            // 59 intervals of 33 ms hold 92 frames of 21 ms.
            assert!(report["audio_frames"].as_u64().unwrap() > 85, "{report}");
            assert!(report["max_sound_gap_ms"].as_u64().unwrap() < 20, "{codec}, round {round}: {report}");
            if codec == "h264" {
                // Debian's ffprobe knows no H.265 in FLV.
                let streams = Command::new("ffprobe")
                    .args(["-v", "error", "-show_entries", "stream=codec_name,sample_rate", "-of", "csv=p=0"])
                    .arg(&dump)
                    .output()
                    .unwrap();
                let streams = String::from_utf8(streams.stdout).unwrap();
                assert!(streams.contains("h264") && streams.contains("aac,48000"), "{streams}");
            }
            read_until(&mut stderr, "trying again");
        }
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

/// The end of the run ends the sound as well: the server is told goodbye.
#[test]
fn the_end_of_the_picture_is_the_end_of_the_sound() {
    let names = Names::new();
    let port = free_port();
    let tester = Running::start(&mut strict_server("h264", port, &["--video-threshold", "30", "--until-end"]));
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let (status, stdout, complaints) = finish(
        names
            .simulator()
            .env("G_DEBUG", "fatal-criticals")
            .args(["--dummy-frames", "90", "--codec", "h264", "--json"])
            .args(["--rtmp", "--rtmp-url", &url, "--rtmp-audio", "silence"]),
    );
    assert_eq!(status, Some(0), "{complaints}");
    let sent = json(&stdout)["outputs"]["rtmp"]["sent"].clone();
    let (status, stdout, complaints) = tester.wait();
    assert_eq!(status, Some(0), "{complaints}");
    let report = json(&stdout);
    assert_eq!((&report["frames"], &report["ends_of_sequence"]), (&sent, &1.into()), "{report}");
    assert!(report["max_sound_gap_ms"].as_u64().unwrap() < 20, "{report}");
}
