//! The programs that convert recordings with a stand-in for the ZED SDK's library of each version, seen by ffprobe and
//! ffmpeg. The real SDK needs an NVIDIA GPU.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::recordings_support::{
    Form, HEIGHT, Svo2, UNIX, WIDTH, luminance, names, numbers, numbers_in, probe, read_mcap, shown_at, timestamp,
};
use crate::stand_in_zed::{VERSIONS, library, script};
use crate::support::{self, Ended, text};

const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mp4");
const GRID: &str = env!("CARGO_BIN_EXE_zed_svo_grid_to_mp4");
const TO_MCAP: &str = env!("CARGO_BIN_EXE_zed_svo_to_mcap");
const EXAMPLE: &str = env!("CARGO_BIN_EXE_mcap_rgbd_example");
const VALIDATOR: &str = env!("CARGO_BIN_EXE_mcap_bundle_validator");
/// A unit of the file's timestamps, and what ffprobe rounds.
const ROUNDED_NS: u64 = 13_000;

/// Runs a program with these in its environment.
fn run(environment: &[&str], program: &str, flags: &[&str]) -> Ended {
    support::run("env", &[environment, &[program, "--json", "--preset", "fast", "--codec", "h264"], flags].concat())
}

/// Converts where the library of that version is installed.
fn convert(version: &str, input: &Path, flags: &[&str]) -> Ended {
    let place = format!("ZED_C_LIB={}", text(&library(version, &[])));
    run(&[&place], CONVERTER, &[&["--input", text(input)], flags].concat())
}

/// Frames as a camera takes them, of which some are special.
fn frames(number: usize, special: &[(usize, &'static str)]) -> Vec<(u64, &'static str)> {
    let what = |at: usize| special.iter().find(|(place, _)| *place == at).map_or("", |(_, what)| *what);
    (0..number).map(|at| (timestamp(UNIX, at), what(at))).collect()
}

/// A recording that only the SDK reads.
fn old(directory: &Path, settings: &str, frames: Vec<(u64, &'static str)>) -> PathBuf {
    let path = directory.join("old.svo");
    fs::write(&path, b"SVO version 1").unwrap();
    script(&path, settings, frames);
    path
}

/// Asserts that these pictures are in the file, each at its time.
#[track_caller]
fn expect_pictures(path: &Path, expected: &[usize]) {
    assert_eq!(numbers(path), expected);
    for (shown, &number) in shown_at(&probe(path)).into_iter().zip(expected) {
        let wanted = timestamp(UNIX, number) - timestamp(UNIX, expected[0]);
        assert!(shown.abs_diff(wanted) < ROUNDED_NS, "picture {number} is shown at {shown}, not {wanted}");
    }
}

#[test]
fn every_version_s_left_pictures_keep_their_order_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2::default().write(&directory.path().join("run.svo2"));
    let log = directory.path().join("log");
    script(&input, &format!("log {}", log.display()), frames(40, &[]));
    let output = directory.path().join("run.mp4");
    for version in VERSIONS {
        let flags = ["--provider", "sdk", "--overwrite", "--start-frame", "13", "--end-frame", "27"];
        let ended = convert(version, &input, &flags).expect_code(0).expect_said("read by sdk, rectified");
        // What the library prints is on stderr with all other talk; stdout is the summary.
        let ended = ended.expect_said("[ZED][INFO] opened").expect_said("[ZED][WARNING] grabbed");
        let summary = ended.json();
        assert_eq!((&summary["written"], &summary["provider"]), (&15.into(), &"sdk".into()), "{version}: {summary}");
        assert_eq!((&summary["damaged"], &summary["undecoded"]), (&0.into(), &0.into()), "{summary}");
        assert_eq!(summary["first_timestamp_ns"], timestamp(UNIX, 13));
        expect_pictures(&output, &(13..=27).collect::<Vec<_>>());
        let probed = probe(&output);
        let stream = &probed["streams"][0];
        assert_eq!((&stream["width"], &stream["height"]), (&WIDTH.into(), &HEIGHT.into()));
        let comment = probed["format"]["tags"]["comment"].as_str().unwrap();
        let comment: serde_json::Value = serde_json::from_str(comment).unwrap();
        assert_eq!((&comment["rectified"], &comment["camera_serial"]), (&true.into(), &"12345".into()), "{comment}");
        // The file's own list is taken, and the recording is opened once and closed.
        let log = fs::read_to_string(&log).unwrap();
        let count = |what: &str| log.lines().filter(|line| line.starts_with(what)).count();
        assert_eq!((count("open"), count("close"), count("unload")), (1, 1, 1), "{log}");
        fs::remove_file(directory.path().join("log")).unwrap();
    }
}

#[test]
fn a_file_that_tells_other_times_than_the_sdk_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { frames: 12, begin: UNIX + 1, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    script(&input, "", frames(12, &[]));
    let ended = convert("5.1", &input, &["--provider", "sdk"]).expect_code(0).expect_said("read once for that");
    assert_eq!(ended.json()["first_timestamp_ns"], UNIX);
    expect_pictures(&directory.path().join("run.mp4"), &(0..12).collect::<Vec<_>>());
}

#[test]
fn the_sdk_is_asked_when_nobody_else_can() {
    let directory = tempfile::tempdir().unwrap();
    let input = old(directory.path(), "", frames(12, &[]));
    let lossless = Svo2 { form: Form::Lossless, frames: 12, ..Svo2::default() };
    let lossless = lossless.write(&directory.path().join("lossless.svo2"));
    script(&lossless, "", frames(12, &[]));
    for input in [&input, &lossless] {
        let summary = convert("5.2", input, &[]).expect_code(0).json();
        assert_eq!((&summary["written"], &summary["provider"]), (&12.into(), &"sdk".into()), "{summary}");
        expect_pictures(&input.with_extension("mp4"), &(0..12).collect::<Vec<_>>());
        convert("5.2", input, &["--provider", "svo2", "--overwrite"]).expect_code(2).expect_said("--provider sdk");
    }
    // What we read ourselves does not need it.
    let ours = Svo2 { frames: 3, ..Svo2::default() }.write(&directory.path().join("ours.svo2"));
    assert_eq!(
        run(&["ZED_C_LIB=/nowhere"], CONVERTER, &["--input", text(&ours)]).expect_code(0).json()["provider"],
        "svo2"
    );

    for (input, provider, why) in [
        (&input, "auto", "only the ZED SDK reads it (SVO version 1;"),
        (&lossless, "auto", "only the ZED SDK reads it (compressed without loss;"),
        (&ours, "sdk", "ours.svo2: the ZED SDK cannot be loaded (/nowhere: "),
    ] {
        let flags = ["--input", text(input), "--provider", provider, "--overwrite"];
        run(&["ZED_C_LIB=/nowhere"], CONVERTER, &flags)
            .expect_code(2)
            .expect_said(why)
            .expect_said("install version 4.2, 5.0, 5.1 or 5.2");
    }
    for (name, said) in [("absent.svo", "cannot be opened"), ("empty.svo", "empty")] {
        let input = directory.path().join(name);
        if name == "empty.svo" {
            fs::write(&input, b"").unwrap();
        }
        convert("5.2", &input, &["--provider", "sdk"]).expect_code(2).expect_said(said);
    }
}

#[test]
fn a_library_that_is_not_understood_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let input = old(directory.path(), "", frames(3, &[]));
    let output = directory.path().join("old.mp4");
    let place = |version: &str, flags: &[&str]| format!("ZED_C_LIB={}", text(&library(version, flags)));
    for (library, environment, said) in [
        (place("5.2", &[]), "STAND_IN_ZED_VERSION=5.3.0", "install 4.2, 5.0, 5.1 or 5.2"),
        (place("4.2", &[]), "STAND_IN_ZED_VERSION=4.1.4", "install 4.2, 5.0, 5.1 or 5.2"),
        (place("5.1", &[]), "STAND_IN_ZED_VERSION=five", "version \"five\""),
        (place("5.1", &[]), "STAND_IN_ZED_VERSION=5.2.0", "lacks sl_open_camera_from_svo_file"),
        (place("5.1", &[]), "STAND_IN_ZED_VERSION=5.0.5", "has sl_get_sensors_data_batch"),
        (place("5.1", &[]), "ZED_C_ABI=5.2", "lacks sl_open_camera_from_svo_file"),
        (place("5.1", &[]), "ZED_C_ABI=4.1", "give 4.2, 5.0, 5.1 or 5.2"),
        (place("5.1", &["lacks_position_data"]), "A=B", "lacks sl_get_position_data"),
    ] {
        let flags = ["--input", text(&input), "--provider", "sdk"];
        run(&[&library, environment], CONVERTER, &flags).expect_code(2).expect_said(said).expect_said("old.svo: ");
        assert!(!output.exists());
    }
    // Said to be what it is, whatever it says.
    let told = [&*place("5.1", &[]), "STAND_IN_ZED_VERSION=5.3.0", "ZED_C_ABI=5.1"];
    run(&told, CONVERTER, &["--input", text(&input)]).expect_code(0);
    expect_pictures(&output, &[0, 1, 2]);
}

#[test]
fn losses_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = [(0, "corrupted"), (5, "corrupted"), (6, "corrupted"), (17, "error=11")];
    let input = old(directory.path(), "", frames(20, &damaged));
    let summary = convert("5.0", &input, &[]).expect_code(0).json();
    let told = ["frames", "written", "damaged", "runs", "undecoded"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!((told, &summary["cut"]), ([17, 14, 3, 2, 0], &true.into()), "{summary}");
    expect_pictures(&directory.path().join("old.mp4"), &[1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

    for (settings, code, said) in [
        ("open 9", 2, "/usr/local/zed/settings"),
        ("open 11", 2, "ZED_Explorer"),
        ("open 29", 5, "no NVIDIA GPU"),
        ("size 0 0", 2, "0 x 0"),
    ] {
        let input = old(directory.path(), settings, frames(3, &[]));
        convert("4.2", &input, &["--overwrite"]).expect_code(code).expect_said(said);
    }
}

#[test]
fn a_signal_ends_it_between_two_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let input = old(directory.path(), "odd interrupts", frames(200, &[]));
    convert("5.1", &input, &[]).expect_code(130).expect_said("interrupted");
    assert_eq!(names(directory.path()), ["old.svo", "old.svo.script"]);
}

#[test]
fn several_cameras_are_open_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for camera in 1..=4 {
        let path = directory.path().join(format!("run_zed{camera}.svo"));
        fs::write(&path, b"SVO version 1").unwrap();
        let late = camera * 33_333_333;
        script(&path, "", frames(30, &[]).into_iter().map(|(timestamp, what)| (timestamp + late, what)));
    }
    let output = directory.path().join("grid.mp4");
    let place = format!("ZED_C_LIB={}", text(&library("5.2", &[])));
    let flags = ["--segment-dir", text(directory.path()), "--output", text(&output)];
    let summary = run(&[&place], GRID, &flags).expect_code(0).json();
    assert_eq!(summary["rectified"], true, "{summary}");
    // The last to begin decides, and shows its first picture where the first camera shows its fourth.
    assert_eq!(summary["first_timestamp_ns"], UNIX + 4 * 33_333_333);
    for camera in 0..4 {
        let (x, y) = (camera % 2 * WIDTH / 2, camera / 2 * HEIGHT / 2);
        let filter = format!("crop={}:{}:{x}:{y},scale={WIDTH}:{HEIGHT}", WIDTH / 2, HEIGHT / 2);
        let shown = numbers_in(&luminance(&output, &filter));
        assert_eq!((shown[0], shown.last()), (3 - camera, Some(&29)), "camera {camera}: {shown:?}");
    }
}

#[test]
fn depth_and_poses_go_into_mcap_files() {
    let directory = tempfile::tempdir().unwrap();
    for (camera, special) in [(1, &[(8, "corrupted"), (10, "untracked")][..]), (2, &[])] {
        let path = directory.path().join(format!("run_zed{camera}.svo"));
        fs::write(&path, b"SVO version 1").unwrap();
        script(&path, "", frames(12, special));
    }
    let output = directory.path().join("run.mcap");
    let pose_config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/zed_pose_config.toml");
    let place = format!("ZED_C_LIB={}", text(&library("5.2", &[])));
    let flags = ["--segment-dir", text(directory.path()), "--output", text(&output), "--with-pose", "--pose-config"];
    let summary = run(&[&place], TO_MCAP, &[&flags[..], &[text(&pose_config)]].concat()).expect_code(0).json();
    assert_eq!((&summary["bundles"], &summary["partial"]), (&12.into(), &1.into()), "{summary}");
    support::run(VALIDATOR, &[text(&output)]).expect_code(0);

    let found = read_mcap(&output);
    let numbers = |wanted: &[usize]| -> Vec<u64> { wanted.iter().map(|&number| timestamp(UNIX, number)).collect() };
    let whole: Vec<usize> = (0..12).collect();
    let without = |lost: &[usize]| -> Vec<usize> { (0..12).filter(|number| !lost.contains(number)).collect() };
    for (label, pictures, tracked) in [("zed1", without(&[8]), without(&[8, 10])), ("zed2", whole.clone(), whole)] {
        let times = |messages: &serde_json::Value| -> Vec<u64> {
            messages.as_array().unwrap().iter().map(|message| message["time"].as_u64().unwrap()).collect()
        };
        assert_eq!(times(&found["video"][label]), numbers(&pictures), "{label}");
        let depth = &found["depth"][format!("/{label}/depth")];
        assert_eq!(times(depth), numbers(&pictures), "{label}");
        // The size that the SDK finds best, millimetres, RVL.
        let told = serde_json::json!({
            "time": timestamp(UNIX, 0), "size": [WIDTH / 2, HEIGHT / 2], "units": [1, 1], "encoding": 1
        });
        assert_eq!(depth[0], told);
        let poses = &found["poses"][format!("/{label}/pose")];
        assert_eq!(times(poses), numbers(&tracked), "{label}");
        for (pose, &number) in poses.as_array().unwrap().iter().zip(&tracked) {
            assert_eq!((&pose["frame_id"], &pose["position"][1]), (&"world".into(), &0.0.into()), "{pose}");
            let along = pose["position"][0].as_f64().unwrap() - number as f64 / 10.0;
            assert!(along.abs() < 1e-5, "{pose} of picture {number}");
            assert_eq!(pose["orientation"], serde_json::json!([0.0, 0.0, 0.0, 1.0]));
        }
        for leaf in ["calibration", "depth_calibration"] {
            assert_eq!(found["counts"][format!("/{label}/{leaf}")], 1, "{label} {leaf}");
        }
    }
    let gap = &found["bundles"][8]["members"][0];
    assert_eq!((&gap["label"], &gap["status"]), (&"zed1".into(), &"CORRUPTED_GAP".into()), "{gap}");

    // The depth of a picture is what the SDK computed for it: by pixel, 1000 mm for each picture and 1 mm for each column.
    let sample = directory.path().join("sample");
    let which = ["--camera-label", "zed2", "--frame-index", "9", "--output-dir", text(&sample)];
    support::run(EXAMPLE, &[&["export-sample", text(&output)], &which[..]].concat()).expect_code(0);
    let png = sample.join("zed2_000009_depth_mm.png");
    let raw = directory.path().join("depth.raw");
    support::ffmpeg_output(&["-i", text(&png), "-f", "rawvideo", "-pix_fmt", "gray16le", text(&raw)]);
    let pixels = fs::read(raw).unwrap();
    let pixels: Vec<_> = pixels.chunks_exact(2).map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]])).collect();
    // Where the SDK measured nothing, there is none.
    assert_eq!((pixels.len(), pixels[0], pixels[1], pixels[WIDTH / 2 - 1]), (WIDTH / 2 * HEIGHT / 2, 0, 9001, 9159));
}
