//! The encoder's flags, by what FFmpeg receives.

use crate::clip_camera::{ClipCamera, FPS};
use crate::streamer_support::{Names, RtmpServer, ffmpeg, finish, kbit};
use crate::without_x264::without_x264;

const TEN_SECONDS: u32 = 10 * FPS;

/// Publishes so many frames of the clip; the server, and what was said.
fn publish(names: &Names, encoder: &str, frames: u32, flags: &[&str]) -> (RtmpServer, String) {
    let server = RtmpServer::start(names);
    let _camera = ClipCamera::start(names);
    let mut streamer = names.streamer();
    streamer.args(["--encoder-device", "software", "--ingest-max-frames", &frames.to_string()]);
    match encoder {
        "x265enc" => streamer.args(["--codec", "h265", "--rtmp-mode", "enhanced"]),
        _ => streamer.args(["--codec", "h264"]),
    };
    if encoder == "openh264enc" {
        without_x264(&names.path(""), &mut streamer);
    }
    let (status, _, said) = finish(streamer.args(flags).args(["--rtmp", "--rtmp-url", &server.url()]));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(&format!("encoder: {encoder} (software")), "{said}");
    (server, said)
}

fn keeps_to_the_bit_rate(encoder: &str) {
    for asked in ["500", "1500"] {
        let names = Names::new();
        let (server, said) = publish(&names, encoder, TEN_SECONDS, &["--bitrate", asked]);
        assert!(said.contains(&format!("{asked} kbit/s")), "{said}");
        server.wait();
        let units = server.units();
        let found = kbit(&units, 0.0, 20.0, FPS) / asked.parse::<f64>().unwrap();
        assert!((0.9..1.1).contains(&found), "{encoder}: {found} of {asked} kbit/s");
    }
}

#[test]
fn x264_keeps_to_the_bit_rate() {
    keeps_to_the_bit_rate("x264enc");
}

#[test]
fn x265_keeps_to_the_bit_rate() {
    keeps_to_the_bit_rate("x265enc");
}

#[test]
fn openh264_keeps_to_the_bit_rate() {
    keeps_to_the_bit_rate("openh264enc");
}

#[test]
fn a_quality_takes_what_it_needs_up_to_the_ceiling() {
    for encoder in ["x264enc", "x265enc", "openh264enc"] {
        let rate = |flags: &[&str]| {
            let names = Names::new();
            let (server, _) = publish(&names, encoder, TEN_SECONDS, flags);
            server.wait();
            let units = server.units();
            kbit(&units, 0.0, units.last().unwrap().seconds, FPS)
        };
        let [good, poor] = [rate(&["--quality", "20"]), rate(&["--quality", "35"])];
        assert!(good > 1200.0 && poor < 400.0, "{encoder}: {good} and {poor} kbit/s");
        let bounded = rate(&["--quality", "20", "--bitrate", "600"]);
        assert!((400.0..660.0).contains(&bounded), "{encoder}: {bounded} kbit/s");
    }
}

/// What FFmpeg says of the video stream.
fn stream_line(server: RtmpServer) -> String {
    server.wait();
    let output = ffmpeg().arg("-i").arg(&server.file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.contains("Video: ")).unwrap_or_default().to_owned()
}

#[test]
fn a_stream_has_the_profile_asked_for() {
    for encoder in ["x264enc", "openh264enc"] {
        for (profile, name) in
            [("constrained-baseline", "(Constrained Baseline)"), ("main", "(Main)"), ("high", "(High)")]
        {
            let names = Names::new();
            let flags = ["--profile", profile, "--encoder-preset", "fast"];
            let line = stream_line(publish(&names, encoder, 30, &flags).0);
            assert!(line.contains(name), "{encoder}, {profile}: {line}");
        }
    }
}

#[test]
fn every_preset_of_every_encoder_encodes() {
    for encoder in ["x264enc", "x265enc", "openh264enc"] {
        for preset in ["fast", "balanced", "quality"] {
            let names = Names::new();
            let flags = ["--encoder-preset", preset];
            let (server, said) = publish(&names, encoder, 30, &flags);
            let (frames, complaints) = server.decoded();
            assert!(frames > 5 && complaints.is_empty(), "{encoder}, {preset}: {frames} {complaints} {said}");
        }
    }
}

#[test]
fn pictures_are_scaled() {
    for (scale, size) in [("0.5", "320x180"), ("320x240", "320x240"), ("0.3", "192x108")] {
        for encoder in ["x264enc", "x265enc"] {
            let names = Names::new();
            let (server, _) = publish(&names, encoder, 30, &["--scale", scale]);
            let line = stream_line(server);
            assert!(line.contains(size) && !line.contains("SAR 4:3"), "{encoder}, {scale}: {line}");
        }
    }
}

#[test]
fn frames_are_left_out_evenly_and_the_bit_rate_holds() {
    let names = Names::new();
    let (server, _) = publish(&names, "x264enc", TEN_SECONDS, &["--max-fps", "10", "--bitrate", "800"]);
    server.wait();
    let units = server.units();
    let end = units.last().unwrap().seconds;
    let fps = units.len() as f64 / end;
    assert!((9.0..11.0).contains(&fps), "{fps}");
    let gaps = units.windows(2).map(|pair| pair[1].seconds - pair[0].seconds);
    assert!(gaps.fold(0.0, f64::max) < 0.25);
    let found = kbit(&units, 0.0, end, 10);
    assert!((720.0..880.0).contains(&found), "{found}");
}

#[test]
fn what_cannot_be_is_said() {
    for (flags, complaint) in [
        (&["--bitrate", "49"][..], "--bitrate 49: must be 50 to 100000 kbit/s"),
        (&["--quality", "0"], "--quality must be 1 to 51"),
        (&["--codec", "h265", "--profile", "main"], "--profile is for --codec h264"),
        (&["--profile", "constrained-baseline", "--b-frames", "1"], "has no B-frames"),
        (&["--max-fps", "0"], "--max-fps"),
        (&["--scale", "641x360"], "sides are even numbers"),
        (&["--scale", "2"], "neither WIDTHxHEIGHT nor a factor"),
    ] {
        let names = Names::new();
        let mut streamer = names.streamer();
        if !flags.contains(&"--codec") {
            streamer.args(["--codec", "h264"]);
        }
        let (status, _, said) = finish(streamer.args(flags));
        assert_eq!(status, Some(1), "{flags:?}: {said}");
        assert!(said.contains(complaint), "{flags:?}: {said}");
    }
}

#[test]
fn an_encoder_that_lacks_something_is_named() {
    let names = Names::new();
    let mut streamer = names.streamer();
    without_x264(&names.path(""), &mut streamer);
    let flags = ["--codec", "h264", "--encoder-device", "software", "--b-frames", "2"];
    let (status, _, said) = finish(streamer.args(flags));
    assert_eq!(status, Some(5), "{said}");
    assert!(said.contains("not installed: x264enc; makes no B-frames: openh264enc"), "{said}");
}
