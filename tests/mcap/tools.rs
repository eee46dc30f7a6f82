//! The programs that look at recordings, on recordings of every layout; their pictures seen by ffmpeg.
//!
//! Longer than other files: the same few files go through every tool.

use std::{collections::BTreeSet, fs, path::Path};

use crate::rgbd_support::{DEPTH, FRAMES, GAP, HEIGHT, Recording, UNIX, WIDTH, colour, depth, is_like, pixels, time};
use crate::support::{self, Ended, text};
use serde_json::{Value, json};
use tools_mcap::{
    camera::{Entry, Reader},
    rvl::Picture,
    schema::{
        COMPRESSED_VIDEO, POSE_IN_FRAME,
        cvmmap_streamer::{BundleManifest, DepthMap, bundle_manifest::member::Status, depth_map::DepthUnit},
        foxglove::{CameraCalibration, CompressedVideo},
        timestamp,
    },
    writer::Topics,
};

const VIEWER: &str = env!("CARGO_BIN_EXE_mcap_rgbd_viewer");
const EXAMPLE: &str = env!("CARGO_BIN_EXE_mcap_rgbd_example");
const ALIGNMENT: &str = env!("CARGO_BIN_EXE_mcap_depth_alignment");
const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mcap");
const VALIDATOR: &str = env!("CARGO_BIN_EXE_mcap_bundle_validator");

fn run(program: &str, flags: &[&str], file: &Path) -> Ended {
    support::run(program, &[flags, &[text(file)]].concat())
}

/// The rules that a recording breaks.
fn broken(file: &Path) -> BTreeSet<String> {
    let ended = run(VALIDATOR, &["--json"], file);
    let code = ended.code;
    let report = ended.json();
    let violations = report["violations"].as_array().unwrap();
    assert_eq!(code, if violations.is_empty() { 0 } else { 7 }, "{report}");
    assert_eq!(report["valid"], violations.is_empty());
    assert!(violations.iter().all(|violation| violation["first"].as_str().is_some_and(|first| !first.is_empty())));
    violations.iter().map(|violation| violation["rule"].as_str().unwrap().to_owned()).collect()
}

/// Big-endian pixels of 16 bits.
fn gray16(path: &Path) -> Vec<u16> {
    pixels(path, "gray16be").chunks_exact(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])).collect()
}

/// A file with a wrong bit in a chunk in the middle. Source: RFC 8878, 3.1.1, the number that zstd frames begin with.
fn damaged(file: &[u8]) -> Vec<u8> {
    let chunks = file.windows(4).enumerate().filter(|(_, bytes)| *bytes == [0x28, 0xB5, 0x2F, 0xFD]);
    let chunks = chunks.map(|(at, _)| at).collect::<Vec<_>>();
    let mut damaged = file.to_vec();
    damaged[chunks[chunks.len() / 2] + 40] ^= 1;
    damaged
}

/// A result that stdout does not take is not told as a success.
#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whole.mcap");
    Recording::bundled().write(&file);
    let output = folder.path().join("made.mp4");
    let convert = [
        "--json",
        "--preset",
        "fast",
        "--codec",
        "h264",
        "--camera-label",
        "zed1",
        "--output",
        text(&output),
        "--input",
    ];
    for (program, flags) in [
        (VIEWER, &["--summary-only", "--json"][..]),
        (VIEWER, &["--summary-only"]),
        (EXAMPLE, &["summary"]),
        (VALIDATOR, &["--json"]),
        (env!("CARGO_BIN_EXE_zed_svo_to_mp4"), &convert),
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let ended = std::process::Command::new(program).args(flags).arg(&file).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{program} {flags:?}: {said}");
        assert!(said.contains("cannot be written to stdout"), "{program}: {said}");
    }
}

#[test]
fn every_layout_is_summarised_and_valid() {
    let folder = tempfile::tempdir().unwrap();
    let present = FRAMES - GAP.count();
    for (name, recording, counts) in [
        ("bundled", Recording::bundled(), vec![("zed1", FRAMES, FRAMES), ("zed2", present, 0)]),
        ("copy", Recording::copy(), vec![("zed1", FRAMES, FRAMES), ("zed2", FRAMES - 3, 0)]),
        ("single-camera", Recording::legacy(), vec![("camera", FRAMES, 0)]),
    ] {
        let file = folder.path().join(format!("{name}.mcap"));
        recording.write(&file);
        assert_eq!(broken(&file), BTreeSet::new(), "{name}");
        let summary = run(VIEWER, &["--summary-only", "--json"], &file).expect_code(0).json();
        assert_eq!(summary, run(EXAMPLE, &["summary", "--json"], &file).expect_code(0).json());
        assert_eq!([&summary["layout"], &summary["finished"]], [&json!(name), &json!(true)]);
        let is_bundled = name == "bundled";
        assert_eq!(summary["bundles"], if is_bundled { json!(FRAMES) } else { Value::Null });
        assert_eq!(summary["bundle_policy"], if is_bundled { json!("nearest") } else { Value::Null });
        let cameras = summary["cameras"].as_array().unwrap();
        assert_eq!(cameras.len(), counts.len());
        for (camera, (label, frames, poses)) in cameras.iter().zip(counts) {
            let counted = ["label", "video", "depth", "pose"].map(|field| camera[field].clone());
            assert_eq!(counted, [json!(label), json!(frames), json!(frames), json!(poses)], "{name}");
            assert_eq!(camera["video_size"], json!([WIDTH, HEIGHT]));
            assert_eq!(camera["depth_size"], json!(if name == "single-camera" { (WIDTH, HEIGHT) } else { DEPTH }));
            assert_eq!(camera["format"], if label == "zed2" { "h265" } else { "h264" });
            assert_eq!(camera["depth_calibration"], name != "single-camera");
        }
        assert_eq!(cameras[0]["first_timestamp_ns"], UNIX);
        let told = run(VIEWER, &["--summary-only"], &file).expect_code(0).stdout;
        assert!(told.contains(&format!("layout={name}")) && told.contains("96x64"), "{told}");
    }
}

#[test]
fn a_frame_comes_out_as_it_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.mcap");
    Recording::copy().write(&file);
    let output = folder.path().join("made/here");
    // The fourth picture behind its keyframe, of H.265.
    let frame = ["--camera-label", "zed2", "--frame-index", "4", "--palette", "viridis", "--output-dir", text(&output)];
    let export = |more: &[&str]| run(EXAMPLE, &[&["export-sample"], &frame[..], more].concat(), &file);
    let said = export(&[]).expect_code(0).stdout;
    assert_eq!(said.lines().count(), 4, "{said}");
    let place = |what: &str| output.join(format!("zed2_000004_{what}"));
    let number = 7;
    let rgb = pixels(&place("rgb.png"), "rgb24");
    assert_eq!(rgb.len(), WIDTH * HEIGHT * 3);
    assert!(rgb.chunks_exact(3).all(|pixel| is_like(pixel, colour(1, number))), "{:?}", &rgb[..3]);
    assert_eq!(gray16(&place("depth_mm.png")), depth(1, number, DEPTH));
    let coloured = pixels(&place("depth_color.png"), "rgb24");
    let at = |pixel: usize| coloured[3 * pixel..3 * pixel + 3].to_vec();
    // Black for none, then Viridis from its begin to its end.
    assert_eq!([at(0), at(1), at(DEPTH.0 - 1)], [vec![0, 0, 0], vec![68, 1, 84], vec![253, 231, 37]]);
    let sample: Value = serde_json::from_slice(&fs::read(place("sample.json")).unwrap()).unwrap();
    assert_eq!([&sample["timestamp_ns"], &sample["camera"]], [&json!(time(1, number)), &json!("zed2")]);
    assert_eq!(sample["depth"]["measured"], DEPTH.0 * DEPTH.1 - 1);
    assert_eq!(sample["depth_calibration"]["K"][0], 50.0);
    assert_eq!((&sample["bundle"], &sample["pose"]), (&Value::Null, &Value::Null));

    fs::write(place("rgb.png"), "precious").unwrap();
    export(&[]).expect_code(2).expect_said("--overwrite");
    assert_eq!(fs::read(place("rgb.png")).unwrap(), b"precious");
    export(&["--overwrite"]).expect_code(0);
    assert_eq!(pixels(&place("rgb.png"), "rgb24"), rgb);
    assert_eq!(fs::read_dir(&output).unwrap().count(), 4);
}

#[test]
fn a_bundle_leads_to_its_picture_or_says_why_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundled.mcap");
    Recording::bundled().write(&file);
    let preview = folder.path().join("preview.png");
    let export = |camera: &str, frame: usize| {
        let frame = frame.to_string();
        let flags = ["--camera-label", camera, "--frame-index", &frame, "--overwrite", "--json", "--palette", "Gray"];
        run(VIEWER, &[&flags[..], &["--export-preview", text(&preview)]].concat(), &file)
    };
    for (camera, label, frame) in [(0, "zed1", 0), (0, "zed1", FRAMES - 1), (1, "zed2", 3), (1, "zed2", 6)] {
        let said = export(label, frame).expect_code(0).json();
        assert_eq!(said["timestamp_ns"], time(camera, frame));
        let near = said["depth_range"]["near"].as_f64().unwrap();
        assert!((near * 1000.0 - f64::from(depth(camera, frame, DEPTH)[1])).abs() < 0.01, "{near}");
        // The picture on the left; on the right, as large, black on the left and white on the right.
        let both = pixels(&preview, "rgb24");
        assert_eq!(both.len(), 2 * WIDTH * HEIGHT * 3);
        let at = |column: usize, row: usize| &both[3 * (row * 2 * WIDTH + column)..][..3];
        assert!(is_like(at(WIDTH / 2, HEIGHT / 2), colour(camera, frame)), "{label} {frame}: {:?}", at(10, 10));
        assert_eq!([at(WIDTH + 20, 40), at(2 * WIDTH - 1, 40)], [&[0; 3], &[255; 3]]);
    }
    let gap = export("zed2", *GAP.start()).expect_code(0);
    assert!(gap.stderr.contains("7 frames skipped"), "{}", gap.stderr);
    assert_eq!(gap.json()["depth_range"], Value::Null);
    let both = pixels(&preview, "rgb24");
    assert_eq!((both.len(), &both[..3]), (2 * WIDTH * HEIGHT * 3, &[112; 3][..]));
    export("zed2", FRAMES).expect_code(2).expect_said("the last one is --frame-index 11");
    export("zed9", 0).expect_code(2).expect_said("it has zed1, zed2");
}

#[test]
fn depth_is_laid_over_the_picture_by_the_calibrations() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mcap");
    Recording::bundled().write(&file);
    let output = folder.path().join("aligned");
    let flags = ["--json", "--frame-index", "2", "--palette", "gray", "--export-dir", text(&output)];
    let said = run(ALIGNMENT, &flags, &file).expect_code(0).json();
    assert_eq!(
        [&said["u"], &said["v"]],
        [&json!({"scale": 2.0, "offset": 0.0}), &json!({"scale": 4.0, "offset": 0.0})]
    );
    assert_eq!((&said["assumed"], said["files"].as_array().unwrap().len()), (&json!(false), 2));
    let aligned = gray16(&output.join("zed1_000002_aligned_depth_mm.png"));
    let recorded = depth(0, 2, DEPTH);
    for (at, millimetres) in aligned.iter().enumerate() {
        // Halves go up: the first pixel of the depth is under one column and two rows.
        let (u, v) = ((at % WIDTH).div_ceil(2), (at / WIDTH + 2) / 4);
        let wanted = if u < DEPTH.0 && v < DEPTH.1 { recorded[v * DEPTH.0 + u] } else { 0 };
        assert_eq!(*millimetres, wanted, "{at}");
    }
    let overlay = pixels(&output.join("zed1_000002_overlay.png"), "rgb24");
    let at = |column: usize| &overlay[3 * (30 * WIDTH + column)..][..3];
    let seen = colour(0, 2);
    assert!(is_like(at(10), seen.map(|value| value / 2)) && is_like(at(80), seen.map(|value| value / 2 + 127)));
    assert!(is_like(&overlay[..3], seen), "nothing is measured there");
    let told = run(ALIGNMENT, &[], &file).expect_code(0).stdout;
    assert!(told.contains("v_rgb = 4.000000 * v_depth +0.000000"), "{told}");

    Recording::legacy().write(&file);
    let said = run(ALIGNMENT, &["--json"], &file).expect_code(0).json();
    assert_eq!((&said["u"], &said["assumed"]), (&json!({"scale": 1.0, "offset": 0.0}), &json!(true)));
    let refused = |change: fn(&mut CameraCalibration), why: &str| {
        let mut recording = Recording::copy();
        recording.of("/zed1/calibration").for_each(|message| message.change(change));
        recording.write(&file);
        run(ALIGNMENT, &[], &file).expect_code(2).expect_said(why);
    };
    refused(|calibration| calibration.d = vec![-0.17, 0.02, 0.0, 0.0, 0.0], "distortion");
    refused(|calibration| calibration.r[1] = 0.01, "rotation");
}

#[test]
fn a_conversion_keeps_the_depth_and_the_poses_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.mcap", "out.mcap"].map(|name| folder.path().join(name));
    let mut recording = Recording::bundled();
    // What is no depth picture is not passed on.
    recording.of("/zed1/depth").nth(3).unwrap().change(|depth: &mut DepthMap| depth.data.truncate(30));
    recording.write(&input);
    let convert = |label: &str, flags: &[&str]| {
        let common = ["--input", text(&input), "--camera-label", label, "--output", text(&output), "--codec", "h264"];
        support::run(CONVERTER, &[&common[..], &["--overwrite", "--json", "--preset", "fast"], flags].concat())
    };
    for (camera, label, poses, flags) in
        [(0, "zed1", FRAMES, &["--with-pose", "--start-frame", "2"][..]), (1, "zed2", 2, &[])]
    {
        let summary = convert(label, flags).expect_code(0).json();
        let first = if camera == 0 { 2 } else { 0 };
        let numbers = (first..FRAMES).filter(|number| if camera == 0 { *number != 3 } else { !GAP.contains(number) });
        let numbers: Vec<_> = numbers.collect();
        let of_camera = &summary["cameras"][0];
        assert_eq!((&of_camera["depth"], &of_camera["poses"]), (&json!(numbers.len()), &json!(poses - 2)), "{summary}");
        let mut reader = Reader::open(&output, Topics::of(label)).unwrap();
        let mut kept = Vec::new();
        while let Some((time, entry)) = reader.next_entry().unwrap() {
            if let Entry::Depth(map) = entry {
                assert_eq!((map.frame_id.as_str(), map.source_unit()), (label, DepthUnit::Meter));
                kept.push((time, Picture::unpack(&map.data).unwrap().pixels));
            }
        }
        let recorded = numbers.iter().map(|number| (time(camera, *number), depth(camera, *number, DEPTH)));
        assert_eq!(kept, recorded.collect::<Vec<_>>());
    }
    convert("zed2", &["--with-pose"]).expect_code(2).expect_said("no poses of the camera zed2; leave out --with-pose");
    let mut without = recording;
    without.0.retain(|message| message.topic != "/zed2/depth");
    without.write(&input);
    convert("zed2", &[]).expect_code(2).expect_said("no depth of the camera zed2; take --no-depth");
    convert("zed2", &["--no-depth"]).expect_code(0);
}

#[test]
fn an_unfinished_or_damaged_file_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mcap.partial");
    Recording::bundled().write_unfinished(&file);
    let ended = run(VIEWER, &["--summary-only", "--json"], &file).expect_code(0).expect_said("was not finished");
    let summary = ended.json();
    assert_eq!((&summary["finished"], &summary["bundles"]), (&json!(false), &json!(FRAMES)));
    assert_eq!(broken(&file), BTreeSet::from(["finished".to_owned()]));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let bundles = run(VIEWER, &["--summary-only", "--json"], &file).expect_code(0).json()["bundles"].as_u64().unwrap();
    assert!((2..FRAMES as u64).contains(&bundles), "{bundles}");
    assert_eq!(broken(&file), BTreeSet::from(["finished".to_owned()]));
    fs::write(&file, damaged(&whole)).unwrap();
    run(VIEWER, &["--summary-only"], &file).expect_code(0).expect_said("damaged");
    assert_eq!(broken(&file), BTreeSet::from(["undamaged".to_owned()]));

    // With an index, what is damaged is found when it is looked at, and nothing is shown for it.
    Recording::legacy().write(&file);
    fs::write(&file, damaged(&fs::read(&file).unwrap())).unwrap();
    let export = |frame: &str| {
        let preview = folder.path().join(format!("{frame}.png"));
        run(VIEWER, &["--frame-index", frame, "--export-preview", text(&preview)], &file)
    };
    export("0").expect_code(0);
    let codes = (1..FRAMES).map(|frame| export(&frame.to_string()).code).collect::<BTreeSet<_>>();
    assert_eq!(codes, BTreeSet::from([0, 7]));

    for content in ["", "\x7fELF and more", "\u{89}MCAP0\r\n"] {
        fs::write(&file, content).unwrap();
        for (program, flags) in
            [(VIEWER, &["--summary-only"][..]), (EXAMPLE, &["summary"]), (ALIGNMENT, &[]), (VALIDATOR, &[])]
        {
            run(program, flags, &file).expect_code(2);
        }
    }
    run(VALIDATOR, &[], Path::new("/nowhere/a.mcap")).expect_code(2).expect_said("No such file");
}

#[test]
fn each_broken_rule_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mcap");
    let check = |rules: &[&str], recording: &Recording, change: &dyn Fn(&mut Recording)| {
        let mut recording = recording.clone();
        change(&mut recording);
        recording.write(&file);
        assert_eq!(broken(&file), rules.iter().map(|rule| (*rule).to_owned()).collect(), "{rules:?}");
    };
    let (bundled, copy) = (Recording::bundled(), Recording::copy());
    let drop_one = |topic: &'static str, nth: usize| {
        move |recording: &mut Recording| {
            let places = recording.0.iter().enumerate().filter(|(_, message)| message.topic == topic);
            let place = places.map(|(place, _)| place).nth(nth).unwrap();
            recording.0.remove(place);
        }
    };
    let change_video = |topic: &'static str, nth: usize, change: fn(&mut CompressedVideo)| {
        move |recording: &mut Recording| recording.of(topic).nth(nth).unwrap().change(change)
    };
    let change_bundle = |nth: usize, change: fn(&mut BundleManifest)| {
        move |recording: &mut Recording| recording.of("/bundle").nth(nth).unwrap().change(change)
    };

    check(&["camera"], &copy, &|recording| recording.0.retain(|message| message.topic.ends_with("pose")));
    check(&["schema", "depth_pairs", "calibration"], &copy, &|recording| {
        recording.of("/zed2/depth").for_each(|message| message.schema = Some(COMPRESSED_VIDEO));
        recording.0.retain(|message| message.topic != "/zed1/calibration" && !message.topic.contains("zed2/depth_c"));
        recording.of("/zed2/calibration").for_each(|message| message.schema = Some(POSE_IN_FRAME));
        drop_one("/zed2/depth", 0)(recording);
    });
    check(&["schema"], &copy, &|recording| {
        recording.of("/zed1/pose").for_each(|message| message.encoding = "json".to_owned());
    });
    check(&["message"], &copy, &|recording| recording.of("/zed1/pose").nth(1).unwrap().data = vec![0xFF]);
    check(&["format"], &copy, &change_video("/zed1/video", 3, |video| video.format = "hevc".to_owned()));
    check(&["byte_stream"], &copy, &change_video("/zed1/video", 3, |video| video.data.insert(0, 9)));
    check(
        &["one_picture"],
        &copy,
        &change_video("/zed1/video", 3, |video| {
            let again = video.data.clone();
            video.data.extend(again);
        }),
    );
    check(&["first_keyframe", "depth_pairs"], &copy, &drop_one("/zed1/video", 0));
    check(&["depth_pairs"], &copy, &drop_one("/zed1/depth", 4));
    // An access unit without the NAL units that are not slices.
    check(
        &["parameter_sets"],
        &copy,
        &change_video("/zed1/video", 5, |video| {
            let at = video.data.windows(4).position(|bytes| bytes == [0, 0, 1, 0x65]).unwrap();
            video.data.drain(..at);
        }),
    );
    check(&["timestamps_rise"], &copy, &|recording| {
        let early = recording.of("/zed1/pose").next().unwrap().clone();
        recording.0.push(early);
    });
    check(&["depth"], &copy, &|recording| {
        recording.of("/zed1/depth").nth(2).unwrap().change::<DepthMap>(|depth| depth.data.truncate(24));
        recording.of("/zed2/depth").nth(2).unwrap().change::<DepthMap>(|depth| depth.width += 1);
    });
    check(&["depth_pairs"], &copy, &|recording| {
        let depth = recording.of("/zed1/depth").nth(2).unwrap();
        depth.change::<DepthMap>(|depth| depth.timestamp = Some(timestamp(time(0, 2) + 1)));
    });
    check(&["calibration"], &copy, &|recording| {
        let again = recording.of("/zed1/calibration").next().unwrap().clone();
        recording.0.push(again);
        drop_one("/zed2/calibration", 0)(recording);
    });
    check(&["depth_calibration"], &copy, &drop_one("/zed1/depth_calibration", 0));
    check(&["bundle_index"], &bundled, &change_bundle(3, |bundle| bundle.index += 1));
    check(&[], &bundled, &|recording| {
        // The strict policy leaves bundles out.
        recording.of("/bundle").for_each(|message| {
            message.change::<BundleManifest>(|bundle| (bundle.index, bundle.policy) = (2 * bundle.index, 2));
        });
    });
    check(&["timestamps_rise"], &bundled, &change_bundle(3, |bundle| bundle.timestamp = Some(timestamp(UNIX))));
    check(
        &["bundle_members", "bundle_counts"],
        &bundled,
        &change_bundle(3, |bundle| bundle.members[1].label = "zed1".to_owned()),
    );
    check(&["bundle_counts"], &bundled, &change_bundle(4, |bundle| bundle.members[1].status = Status::Present.into()));
    check(&["bundle_counts"], &bundled, &drop_one("/zed1/depth", 4));
    check(&["bundle_times"], &bundled, &change_bundle(3, |bundle| bundle.members[0].timestamp = Some(timestamp(UNIX))));

    let (good, bad, none) = (folder.path().join("good.mcap"), file.as_path(), folder.path().join("none.mcap"));
    copy.write(&good);
    let ended = run(VALIDATOR, &[text(&good)], bad).expect_code(7).expect_said("1 of 2 recordings break rules");
    assert!(
        ended.stdout.contains("good.mcap: valid: copy, zed1: video=12 depth=12 pose=12 body=0"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("broken 2 times, first /zed1/video message 3"), "{}", ended.stdout);
    run(VALIDATOR, &[text(&good), text(bad)], &none).expect_code(2);
}

/// With the feature, `mcap_viewer.rs` opens it.
#[cfg(not(feature = "viewer"))]
#[test]
fn without_its_feature_the_window_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mcap");
    Recording::legacy().write(&file);
    run(VIEWER, &[], &file).expect_code(2).expect_said("--features viewer");
}
