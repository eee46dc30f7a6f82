//! `--rtmp-depth`: depth in colour as a second video track of the same connection.

use std::process::Command;

use crate::streamer_support::{ENDLESS, Names, Running, finish, free_port, json, read_until, strict_server};

/// FFmpeg that knows tracks.
fn ffmpeg() -> Command {
    let mut command = Command::new(std::env::var_os("CVMMAP_FFMPEG").unwrap_or("target/peers/ffmpeg".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-hide_banner", "-nostdin"]);
    command
}

#[test]
fn picture_and_depth_come_in_one_connection_and_ffmpeg_decodes_both() {
    for (codec, mode, more) in
        [("h264", "h264", &["--rtmp-audio", "silence"][..]), ("h265", "h265-enhanced", &["--rtmp-mode", "enhanced"])]
    {
        let names = Names::new();
        let port = free_port();
        let url = format!("rtmp://127.0.0.1:{port}/live/key");
        let mut streamer = Running::start(
            names
                .simulator()
                .args(ENDLESS)
                .args(["--dummy-depth", "--codec", codec, "--rtmp", "--rtmp-url", &url, "--rtmp-depth", "--gop", "15"])
                .args(more),
        );
        let mut stderr = streamer.stderr();
        for round in 0..2 {
            let dump = names.path(&format!("{round}.flv"));
            let dump_name = dump.to_str().unwrap();
            let (status, stdout, complaints) =
                finish(&mut strict_server(mode, port, &["--video-threshold", "90", "--dump", dump_name]));
            assert_eq!(status, Some(0), "{codec}, round {round}: {complaints}");
            let report = json(&stdout);
            assert_eq!((&report["first_timestamp_ms"], &report["further_tracks"]), (&0.into(), &1.into()), "{report}");
            assert!(report["further_track_frames"].as_u64().unwrap() > 45, "{codec}, round {round}: {report}");
            assert!(!report["warning"].to_string().contains("videoTrackIdInfoMap"), "{report}");

            let listed = ffmpeg().arg("-i").arg(&dump).output().unwrap();
            let listed = String::from_utf8_lossy(&listed.stderr).into_owned();
            assert_eq!(listed.matches("Video:").count(), 2, "{listed}");
            for stream in ["0:v:0", "0:v:1"] {
                let decoded = ffmpeg()
                    .args(["-v", "error", "-i", dump_name, "-map", stream, "-f", "framecrc", "-"])
                    .output()
                    .unwrap();
                let complaints = String::from_utf8_lossy(&decoded.stderr).into_owned();
                assert!(decoded.status.success() && complaints.is_empty(), "{codec}, {stream}: {complaints}");
                let frames =
                    String::from_utf8_lossy(&decoded.stdout).lines().filter(|line| !line.starts_with('#')).count();
                assert!(frames > 45, "{codec}, {stream}: {frames}");
            }
            read_until(&mut stderr, "trying again");
        }
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

/// A server that knows no tracks is not sent any, unless that is asked for.
#[test]
fn a_server_without_tracks_gets_the_picture_alone() {
    for (depth, tracks, caps_ex) in
        [("--rtmp-depth", 0, "13"), ("--rtmp-depth=always", 1, "13"), ("--rtmp-depth", 1, "15")]
    {
        let names = Names::new();
        let port = free_port();
        let url = format!("rtmp://127.0.0.1:{port}/live/key");
        let mut streamer = Running::start(names.simulator().args(ENDLESS).args([
            "--dummy-depth",
            "--codec",
            "h265",
            "--rtmp",
            "--rtmp-mode",
            "enhanced",
            "--rtmp-url",
            &url,
            depth,
        ]));
        let mut stderr = streamer.stderr();
        let (status, stdout, complaints) =
            finish(&mut strict_server("h265-enhanced", port, &["--video-threshold", "60", "--caps-ex", caps_ex]));
        assert_eq!(status, Some(0), "{depth}: {complaints}");
        let report = json(&stdout);
        assert_eq!(report["further_tracks"], tracks, "{depth}: {report}");
        // The server asked for nanoseconds. A picture on a whole millisecond has none.
        assert!(report["nanosecond_offsets"].as_u64().unwrap() > 30, "{depth}: {report}");
        if tracks == 0 {
            let told = read_until(&mut stderr, "only the first one is sent");
            assert!(told.contains("--rtmp-depth=always"), "{told}");
        }
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

/// A producer without depth has its picture published all the same, and no slower.
#[test]
fn a_picture_without_depth_goes_on_alone() {
    let names = Names::new();
    let producer = Running::start(names.simulator().args(ENDLESS));
    let port = free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let mut streamer =
        Running::start(names.streamer().args(["--codec", "h264", "--rtmp", "--rtmp-url", &url, "--rtmp-depth"]));
    let mut stderr = streamer.stderr();
    let (status, stdout, complaints) = finish(&mut strict_server("h264", port, &["--video-threshold", "60"]));
    assert_eq!(status, Some(0), "{complaints}");
    assert_eq!(json(&stdout)["further_tracks"], 0);
    let told = read_until(&mut stderr, "depth track:");
    assert!(told.contains("the picture goes on alone"), "{told}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
    drop(producer);
}
