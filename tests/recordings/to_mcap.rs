//! `zed_svo_to_mcap` on one camera and on several that begin, end and lose pictures at different times, seen by Python's
//! `mcap` and by FFmpeg.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::recordings_support::{
    BOOT, Form, HEIGHT, INTERVAL, Svo2, UNIX, WIDTH, expect_full_disk, names, numbers, place_of, probe, read_mcap,
    timestamp,
};
use crate::support::{self, Ended, Program, text};
use serde_json::Value;

const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mcap");

fn convert(flags: &[&str]) -> Ended {
    support::run(CONVERTER, &[&["--json", "--preset", "fast", "--no-depth"], flags].concat())
}

/// Where the reader puts the video of a camera.
fn video_of(path: &Path, label: &str) -> PathBuf {
    PathBuf::from(format!("{}.{label}.video", text(path)))
}

/// The times of a camera's pictures in a file.
fn times(found: &Value, label: &str) -> Vec<u64> {
    let messages = found["video"][label].as_array().unwrap();
    messages.iter().map(|message| message["time"].as_u64().unwrap()).collect()
}

/// Cameras that begin, end and take pictures at times of their own. The second is half as fast as the others.
fn segment(directory: &Path) -> Vec<Svo2> {
    let cameras = [
        Svo2 { form: Form::H264, frames: 40, begin: UNIX, ..Svo2::default() },
        Svo2 { form: Form::H265, frames: 22, begin: UNIX + 105_000_000, interval: 2 * INTERVAL, ..Svo2::default() },
        Svo2 { form: Form::H264, frames: 60, begin: UNIX + 3_000_000, ..Svo2::default() },
    ];
    for (number, camera) in cameras.iter().enumerate() {
        camera.write(&directory.join(format!("run_zed{}.svo2", number + 1)));
    }
    cameras.to_vec()
}

/// Asserts that the bundles tell what is there: a message for each present member, and none that nobody tells of.
#[track_caller]
fn expect_bundles(found: &Value, cameras: &[Svo2]) {
    let mut told = vec![Vec::new(); cameras.len()];
    for bundle in found["bundles"].as_array().unwrap() {
        let members = bundle["members"].as_array().unwrap();
        assert_eq!(members.len(), cameras.len());
        for (at, member) in members.iter().enumerate() {
            assert_eq!(member["label"], format!("zed{}", at + 1));
            let time = member["time"].as_u64().unwrap();
            match member["status"].as_str().unwrap() {
                "PRESENT" => told[at].push(time),
                "CORRUPTED_GAP" => assert!(cameras[at].timestamps().contains(&time), "{bundle}"),
                status => assert_eq!((status, time), ("STATUS_UNKNOWN", 0), "{bundle}"),
            }
            // The slowest camera's interval.
            assert!(time == 0 || time.abs_diff(bundle["time"].as_u64().unwrap()) <= 2 * INTERVAL + 2_000_000);
        }
        // The members' messages are behind their manifest.
        let order = bundle["order"].as_u64().unwrap();
        let present = members.iter().filter(|member| member["status"] == "PRESENT").count() as u64;
        let behind = found["video"].as_object().unwrap().values().flat_map(|video| video.as_array().unwrap());
        let within = behind.filter(|video| (order + 1..=order + present).contains(&video["order"].as_u64().unwrap()));
        assert_eq!(within.count() as u64, present, "{bundle}");
    }
    for (at, told) in told.iter().enumerate() {
        assert_eq!(&times(found, &format!("zed{}", at + 1)), told, "camera {at}");
        assert!(told.is_sorted_by(|one, next| one < next), "a picture comes twice: {told:?}");
    }
}

/// Asserts that each picture of a camera in a file is the one that was taken then.
#[track_caller]
fn expect_pictures(path: &Path, found: &Value, label: &str, camera: &Svo2) {
    let all = camera.timestamps();
    let expected: Vec<_> =
        times(found, label).iter().map(|time| all.iter().position(|taken| taken == time).unwrap()).collect();
    assert_eq!(numbers(&video_of(path, label)), expected, "{label}");
}

#[test]
fn one_camera_is_copied_as_messages_that_decode_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2::default().write(&directory.path().join("foo_zed4.svo2"));
    let output = directory.path().join("foo_zed4.mcap");
    for (flags, format, compression) in [
        (&[][..], "h265", "zstd"),
        (&["--codec", "h264", "--mcap-compression", "lz4", "--preset", "slow", "--overwrite"], "h264", "lz4"),
    ] {
        let ended = support::run(CONVERTER, &[&["--input", text(&input), "--json", "--no-depth"], flags].concat());
        let summary = ended.expect_code(0).expect_said("not rectified").json();
        assert_eq!(summary["output"], text(&output));
        let camera = &summary["cameras"][0];
        assert_eq!((&camera["label"], &camera["written"], &camera["skipped"]), (&"zed4".into(), &40.into(), &0.into()));
        assert_eq!((&camera["damaged"], &camera["undecoded"]), (&0.into(), &0.into()), "{summary}");

        let found = read_mcap(&output);
        assert_eq!(found["compression"], serde_json::json!([compression]));
        assert_eq!(found["counts"], serde_json::json!({ "/zed4/video": 40 }));
        let channel = &found["channels"]["/zed4/video"];
        assert_eq!(channel["schema"], "foxglove.CompressedVideo");
        assert_eq!(
            (&channel["schema_encoding"], &channel["message_encoding"]),
            (&"protobuf".into(), &"protobuf".into())
        );
        let about = serde_json::json!(
            { "camera_serial": "12345", "clock": "unix", "provider": "svo2", "rectified": "false" }
        );
        assert_eq!(channel["metadata"], about);
        assert_eq!(times(&found, "zed4"), Svo2::default().timestamps());
        for message in found["video"]["zed4"].as_array().unwrap() {
            assert_eq!((&message["frame_id"], &message["format"]), (&"zed4".into(), &format.into()));
            assert!(message["begins"].as_str().unwrap().starts_with("000000"), "no start code: {message}");
        }
        let video = video_of(&output, "zed4");
        assert_eq!(numbers(&video), (0..40).collect::<Vec<_>>());
        let probed = probe(&video);
        let stream = &probed["streams"][0];
        assert_eq!((&stream["width"], &stream["height"]), (&WIDTH.into(), &HEIGHT.into()));
        assert_eq!(stream["has_b_frames"], 0, "pictures are held back");
        let types: Vec<_> =
            probed["frames"].as_array().unwrap().iter().map(|frame| frame["pict_type"].as_str().unwrap()).collect();
        assert!(!types.contains(&"B") && types[0] == "I", "{types:?}");
        assert!(types.windows(30).all(|second| second.contains(&"I")), "{types:?}");
        assert_eq!(names(directory.path()), ["foo_zed4.mcap", "foo_zed4.mcap.zed4.video", "foo_zed4.svo2"]);
    }

    // A part, under a label of its own.
    let part = directory.path().join("part.mcap");
    let flags = ["--input", text(&input), "--output", text(&part), "--camera-label", "left"];
    convert(&[&flags[..], &["--start-frame", "13", "--end-frame", "27"]].concat()).expect_code(0);
    assert_eq!(times(&read_mcap(&part), "left"), Svo2::default().timestamps()[13..=27]);
    assert_eq!(numbers(&video_of(&part, "left")), (13..=27).collect::<Vec<_>>());
}

#[test]
fn nearest_bundles_follow_the_slowest_camera() {
    let directory = tempfile::tempdir().unwrap();
    let segment_dir = directory.path().join("2026-03-18T11-59-41");
    fs::create_dir(&segment_dir).unwrap();
    let cameras = segment(&segment_dir);
    let summary = convert(&["--segment-dir", text(&segment_dir)]).expect_code(0).json();
    let output = segment_dir.join("2026-03-18T11-59-41.mcap");
    let found = read_mcap(&output);
    expect_bundles(&found, &cameras);
    for (at, camera) in cameras.iter().enumerate() {
        expect_pictures(&output, &found, &format!("zed{}", at + 1), camera);
    }

    // From the latest first picture, which is the slow camera's, to the earliest last one, which is the first camera's.
    let timeline = cameras[1].timestamps();
    let end = cameras[0].timestamp(39);
    let nearest = timeline.iter().enumerate().min_by_key(|(_, time)| time.abs_diff(end)).unwrap().0;
    let bundles = found["bundles"].as_array().unwrap();
    let of_timeline: Vec<_> = bundles.iter().map(|bundle| bundle["time"].as_u64().unwrap()).collect();
    assert_eq!(of_timeline, timeline[..=nearest]);
    assert_eq!(times(&found, "zed2"), timeline[..=nearest]);
    let indices: Vec<_> = bundles.iter().map(|bundle| bundle["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..=nearest as u64).collect::<Vec<_>>());
    assert!(bundles.iter().all(|bundle| bundle["policy"] == "NEAREST"));
    assert_eq!((&summary["bundles"], &summary["dropped"]), (&(nearest + 1).into(), &0.into()));
    // Each picture that is near a moment goes with it. Around their pauses, cameras have none for some.
    for (at, camera) in cameras.iter().enumerate() {
        for bundle in bundles {
            let time = bundle["time"].as_u64().unwrap();
            let nearest = camera.timestamps().into_iter().min_by_key(|taken| taken.abs_diff(time)).unwrap();
            if nearest.abs_diff(time) < INTERVAL / 2 {
                assert_eq!(bundle["members"][at]["time"], nearest, "camera {at}: {bundle}");
            }
        }
    }
    for camera in summary["cameras"].as_array().unwrap() {
        let [frames, parts @ ..] =
            ["frames", "written", "skipped", "damaged", "undecoded"].map(|name| camera[name].as_u64().unwrap());
        assert_eq!(parts.iter().sum::<u64>(), frames, "{camera}");
    }
    let partial = bundles.iter().filter(|bundle| bundle["members"].to_string().contains("UNKNOWN")).count();
    assert_eq!(summary["partial"], partial);
    assert!((1..6).contains(&partial), "{partial}");

    // The part that is asked for, as it was numbered.
    let flags = ["--segment-dir", text(&segment_dir), "--overwrite", "--start-frame", "5", "--end-frame", "9"];
    convert(&flags).expect_code(0);
    let part = read_mcap(&output);
    let mut expected = bundles[5..=9].to_vec();
    let mut bundles = part["bundles"].as_array().unwrap().clone();
    for bundle in expected.iter_mut().chain(&mut bundles) {
        bundle["order"] = Value::Null;
    }
    assert_eq!(bundles, expected);
    expect_bundles(&part, &cameras);
    expect_pictures(&output, &part, "zed3", &cameras[2]);
}

#[test]
fn a_gap_makes_partial_bundles_and_strict_ones_keep_together() {
    let directory = tempfile::tempdir().unwrap();
    let cameras =
        [Svo2 { frames: 30, ..Svo2::default() }, Svo2 { frames: 30, begin: UNIX + 4_000_000, ..Svo2::default() }];
    let inputs = [1, 2].map(|number| directory.path().join(format!("run_zed{number}.svo2")));
    for (camera, input) in cameras.iter().zip(&inputs) {
        camera.write(input);
    }
    let mut file = fs::read(&inputs[1]).unwrap();
    let place = place_of(&file, cameras[1].timestamp(14)) + 20;
    file[place] ^= 1;
    fs::write(&inputs[1], file).unwrap();

    let output = directory.path().join("out.mcap");
    let flags = ["--segment-dir", text(directory.path()), "--output", text(&output), "--codec", "h264", "--overwrite"];
    let summary = convert(&flags).expect_code(0).json();
    let found = read_mcap(&output);
    expect_bundles(&found, &cameras);
    expect_pictures(&output, &found, "zed2", &cameras[1]);
    let bundles = found["bundles"].as_array().unwrap();
    assert_eq!(bundles.len(), 30);
    let gap: BTreeSet<_> = (0..30).filter(|&at| bundles[at]["members"][1]["status"] == "CORRUPTED_GAP").collect();
    // Up to the next keyframe.
    assert!(gap.contains(&14) && gap.contains(&19) && !gap.contains(&20), "{gap:?}");
    assert_eq!((&summary["partial"], &summary["cameras"][1]["damaged"]), (&gap.len().into(), &gap.len().into()));
    assert_eq!(summary["cameras"][1]["undecoded"], 0, "{summary}");
    let skipped: u64 = bundles.iter().map(|bundle| bundle["members"][1]["skipped"].as_u64().unwrap()).sum();
    assert_eq!(skipped, gap.len() as u64);

    // The cameras are 4 ms apart.
    let strict = |tolerance| {
        let strict = ["--bundle-policy", "strict", "--sync-tolerance-ms", tolerance];
        convert(&[&flags[..], &strict].concat())
    };
    let summary = strict("4").expect_code(0).json();
    let found = read_mcap(&output);
    expect_bundles(&found, &cameras);
    assert_eq!((&summary["bundles"], &summary["dropped"]), (&(30 - gap.len()).into(), &gap.len().into()), "{summary}");
    assert_eq!(times(&found, "zed1").len(), 30 - gap.len());
    assert!(found["bundles"].as_array().unwrap().iter().all(|bundle| bundle["policy"] == "STRICT"));
    strict("3.9").expect_code(4).expect_said("--sync-tolerance-ms");

    // By themselves, as they were taken.
    for (range, first) in [("common", 1), ("full", 0)] {
        convert(&[&flags[..], &["--bundle-policy", "copy", "--copy-range", range]].concat()).expect_code(0);
        let found = read_mcap(&output);
        assert!(found["bundles"].as_array().unwrap().is_empty() && found["channels"].get("/bundle").is_none());
        assert_eq!(times(&found, "zed1"), cameras[0].timestamps()[first..], "{range}");
        let mut all: Vec<_> =
            found["video"].as_object().unwrap().values().flat_map(|of| of.as_array().unwrap()).collect();
        all.sort_by_key(|message| message["order"].as_u64());
        assert!(all.is_sorted_by_key(|message| message["time"].as_u64()));
        let last = cameras[if range == "full" { 1 } else { 0 }].timestamp(29);
        let of_second: Vec<_> = (0..30)
            .filter(|number| !gap.contains(number))
            .map(|number| cameras[1].timestamp(number))
            .filter(|time| *time <= last)
            .collect();
        assert_eq!(times(&found, "zed2"), of_second, "{range}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let segment_dir = directory.path().join("segment");
    fs::create_dir(&segment_dir).unwrap();
    let input = Svo2 { frames: 3, ..Svo2::default() }.write(&segment_dir.join("run_zed1.svo2"));
    Svo2 { frames: 3, begin: UNIX + 10_000_000_000, ..Svo2::default() }.write(&segment_dir.join("run_zed2.svo2"));
    let one = ["--input", text(&input)];
    let several = ["--segment-dir", text(&segment_dir)];
    let run = |source: &[&str], flags: &[&str]| support::run(CONVERTER, &[source, flags].concat());
    for (source, flags, said) in [
        (&one[..], &["--segment-dir", "."][..], "--segment-dir"),
        (&[], &[], "--input"),
        (&one, &["--bundle-policy", "nearest"], "--segment-dir"),
        (&one, &["--copy-range", "full"], "--bundle-policy copy"),
        (&several, &["--sync-tolerance-ms", "5"], "--bundle-policy strict"),
        (&several, &["--sync-tolerance-ms", "5", "--bundle-policy", "copy"], "--bundle-policy strict"),
        (&several, &["--copy-range", "common", "--bundle-policy", "strict"], "--bundle-policy copy"),
        (&several, &["--bundle-policy", "copy", "--start-frame", "0"], "leave them out"),
        (&several, &["--bundle-policy", "copy", "--end-frame", "5"], "leave them out"),
        (&several, &["--camera-label", "left"], "--input"),
        (&one, &["--camera-label", "a/b"], "'_'"),
        (&one, &["--no-depth", "--depth-mode", "neural"], "--no-depth"),
        (&one, &["--depth-size", "big"], "960x512"),
        (&one, &["--pose-config", "pose.toml"], "--with-pose"),
        (&one, &["--no-depth", "--start-frame", "2", "--end-frame", "1"], "--start-frame"),
        (&several, &["--sync-tolerance-ms=-1", "--bundle-policy", "strict"], "milliseconds"),
    ] {
        run(source, flags).expect_code(1).expect_said(said);
    }
    let unknown = directory.path().join("pose.toml");
    fs::write(&unknown, "smoothing = true").unwrap();
    let pose = ["--no-depth", "--with-pose", "--pose-config", text(&unknown)];
    run(&one, &pose).expect_code(2).expect_said("smoothing");
    run(&one, &["--provider", "svo2"]).expect_code(2).expect_said("take --no-depth, or install the SDK");
    run(&one, &["--provider", "svo2", "--no-depth", "--with-pose"]).expect_code(2).expect_said("SDK");
    run(&one, &["--no-depth", "--start-frame", "3"]).expect_code(2).expect_said("last picture, 2");
    run(&several, &["--no-depth"]).expect_code(2).expect_said("ended before another camera began");
    Svo2 { frames: 3, begin: BOOT, ..Svo2::default() }.write(&segment_dir.join("run_zed2.svo2"));
    run(&several, &["--no-depth"]).expect_code(2).expect_said("different clocks");
    assert_eq!(names(&segment_dir), ["run_zed1.svo2", "run_zed2.svo2"]);
    fs::write(segment_dir.join("segment.mcap"), b"precious").unwrap();
    run(&several, &["--no-depth"]).expect_code(2).expect_said("--overwrite");
    assert_eq!(fs::read(segment_dir.join("segment.mcap")).unwrap(), b"precious");
    let named = directory.path().join("run.svo2");
    fs::copy(&input, &named).unwrap();
    run(&["--input", text(&named)], &["--no-depth"]).expect_code(0);
    assert_eq!(read_mcap(&directory.path().join("run.mcap"))["counts"], serde_json::json!({ "/camera/video": 3 }));
}

#[test]
fn an_interrupted_conversion_keeps_what_it_has_under_another_name() {
    let directory = tempfile::tempdir().unwrap();
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/bigbuckbunny_640x360.mp4");
    let input = directory.path().join("run.mkv");
    support::ffmpeg_output(&["-stream_loop", "20", "-i", text(&clip), "-an", "-c", "copy", text(&input)]);
    let output = directory.path().join("run.mcap");
    let flags = ["--input", text(&input), "--output", text(&output), "--no-depth"];
    let large = ["--codec", "h264", "--preset", "fast", "--quality", "0", "--mcap-compression", "none"];
    let program = Program::start(CONVERTER, &[&flags[..], &large].concat());
    // Until there is a chunk in the file.
    let has_begun = || {
        let entries = fs::read_dir(directory.path()).unwrap().flatten();
        let mut unfinished = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".run.mcap."));
        unfinished.any(|entry| entry.metadata().is_ok_and(|file| file.len() > 1 << 20))
    };
    while !has_begun() {
        assert!(!output.exists(), "it was too fast");
        thread::sleep(Duration::from_millis(5));
    }
    program.signal("TERM");
    program.end().expect_code(143).expect_said("run.mcap.partial");
    assert_eq!(names(directory.path()), ["run.mcap.partial", "run.mkv"]);
    let partial = directory.path().join("run.mcap.partial");
    let written = times(&read_mcap(&partial), "camera");
    assert!((10..21 * 132).contains(&written.len()) && written.is_sorted_by(|one, next| one < next));
    let probed = probe(&video_of(&partial, "camera"));
    assert_eq!(probed["frames"].as_array().unwrap().len(), written.len());
}

/// In a mount namespace of its own the program gets a file system that is soon full, and we what is left in it.
#[test]
fn a_full_disk_ends_the_conversion_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { repeat: 10, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let flags = ["--codec", "h264", "--mcap-compression", "none"];
    convert(&[&["--input", text(&input)], &flags[..]].concat()).expect_code(0);
    let size = fs::metadata(directory.path().join("run.mcap")).unwrap().len();
    expect_full_disk(
        directory.path(),
        CONVERTER,
        &input,
        "run.mcap",
        &["--codec", "h264", "--preset", "fast", "--no-depth", "--mcap-compression", "none"],
        size,
    );
}

#[test]
fn bundles_of_one_camera_and_single_pictures_are_fine_too() {
    let directory = tempfile::tempdir().unwrap();
    Svo2 { frames: 1, ..Svo2::default() }.write(&directory.path().join("run_zed7.svo2"));
    let output = directory.path().join("out.mcap");
    let flags = ["--segment-dir", text(directory.path()), "--output", text(&output)];
    for codec in ["h264", "h265"] {
        convert(&[&flags[..], &["--codec", codec, "--overwrite"]].concat()).expect_code(0);
        let found = read_mcap(&output);
        assert_eq!((times(&found, "zed7"), found["bundles"].as_array().unwrap().len()), (vec![timestamp(UNIX, 0)], 1));
        assert_eq!(numbers(&video_of(&output, "zed7")), [0]);
    }
}
