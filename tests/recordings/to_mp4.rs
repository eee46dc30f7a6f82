//! `zed_svo_to_mp4` on recordings in every form that is known, seen by ffprobe and ffmpeg.

use std::{fs, path::Path};

use crate::recordings_support::{
    BOOT, Form, GOP, HEIGHT, Svo2, UNIX, WIDTH, boxes, expect_full_disk, names, number, numbers, place_of, probe,
    shown_at, timestamp,
};
use crate::support::{self, Ended, Program, text};

const CONVERTER: &str = env!("CARGO_BIN_EXE_zed_svo_to_mp4");
/// A unit of the file's timestamps, and what ffprobe rounds.
const ROUNDED_NS: u64 = 13_000;

fn convert(input: &Path, flags: &[&str]) -> Ended {
    support::run(CONVERTER, &[&["--input", text(input), "--json", "--preset", "fast"], flags].concat())
}

/// Asserts that these pictures are in the file, each at its time.
#[track_caller]
pub fn expect_pictures(path: &Path, begin: u64, expected: &[usize]) {
    assert_eq!(numbers(path), expected);
    let first = timestamp(begin, expected[0]);
    for (shown, &number) in shown_at(&probe(path)).into_iter().zip(expected) {
        let wanted = timestamp(begin, number) - first;
        assert!(shown.abs_diff(wanted) < ROUNDED_NS, "picture {number} is shown at {shown}, not {wanted}");
    }
}

#[test]
fn every_form_becomes_the_left_eye_with_its_own_timestamps() {
    let directory = tempfile::tempdir().unwrap();
    for (form, codec, compression) in [
        (Form::H264, "h265", None),
        (Form::H265, "h264", Some(mcap::Compression::Zstd)),
        (Form::Strips, "h265", Some(mcap::Compression::Lz4)),
    ] {
        let input = Svo2 { form, compression, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
        let ended = convert(&input, &["--codec", codec]).expect_code(0).expect_said("not rectified");
        let summary = ended.json();
        assert_eq!(summary["written"], 40, "{form:?}: {summary}");
        assert_eq!(summary["damaged"], 0);
        assert_eq!(summary["undecoded"], 0);
        assert_eq!(summary["unreadable_bytes"], 0);
        assert_eq!(summary["cut"], false);

        let output = directory.path().join("run.mp4");
        assert_eq!(names(directory.path()), ["run.mp4", "run.svo2"]);
        expect_pictures(&output, UNIX, &(0..40).collect::<Vec<_>>());
        assert_eq!(boxes(&output)[..2], ["ftyp", "moov"], "the index is not in front");
        let probed = probe(&output);
        let stream = &probed["streams"][0];
        assert_eq!(stream["codec_name"], if codec == "h265" { "hevc" } else { "h264" });
        assert_eq!((&stream["width"], &stream["height"]), (&WIDTH.into(), &HEIGHT.into()));
        let tags = &probed["format"]["tags"];
        for dated in [tags, &stream["tags"]] {
            assert_eq!(dated["creation_time"], "2026-02-10T13:22:52.000000Z", "{tags}");
        }
        let comment: serde_json::Value = serde_json::from_str(tags["comment"].as_str().unwrap()).unwrap();
        assert_eq!(comment["first_timestamp_ns"], timestamp(UNIX, 0));
        assert_eq!(comment["rectified"], false);
        assert_eq!(comment["camera_serial"], "12345");
        let lasts = number(&probed["format"]["duration"]);
        let expected = (timestamp(UNIX, 39) - timestamp(UNIX, 0)) as f64 / 1e9 + 0.033;
        assert!((lasts - expected).abs() < 0.002, "{lasts} instead of {expected}");
        fs::remove_file(output).unwrap();
    }
}

#[test]
fn a_range_is_exact_to_the_picture() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("part.mp4");
    for form in [Form::H264, Form::H265, Form::Strips] {
        let input = Svo2 { form, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
        for (start, end) in [(13, 27), (0, 0), (10, 10), (39, 39), (35, 1000)] {
            let flags = ["--start-frame", &start.to_string(), "--end-frame", &end.to_string()];
            let more = ["--output", text(&output), "--overwrite", "--codec", "h264"];
            let ended = convert(&input, &[&flags[..], &more].concat()).expect_code(0);
            let expected: Vec<_> = (start..=end.min(39)).collect();
            assert_eq!(ended.json()["frames"], expected.len());
            expect_pictures(&output, UNIX, &expected);
        }
    }
}

#[test]
fn an_interrupted_recording_is_converted_as_far_as_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    for compression in [None, Some(mcap::Compression::Zstd)] {
        let input = Svo2 { compression, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
        let whole = fs::read(&input).unwrap();
        fs::write(&input, &whole[..whole.len() * 6 / 10]).unwrap();
        let ended = convert(&input, &["--overwrite"]).expect_code(0);
        let summary = ended.json();
        assert_eq!(summary["cut"], true, "{summary}");
        let written = summary["written"].as_u64().unwrap() as usize;
        assert!((10..40).contains(&written), "{summary}");
        expect_pictures(&directory.path().join("run.mp4"), UNIX, &(0..written).collect::<Vec<_>>());
    }
}

#[test]
fn damage_costs_what_depends_on_it_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2::default().write(&directory.path().join("run.svo2"));
    let whole = fs::read(&input).unwrap();
    let output = directory.path().join("run.mp4");

    // A flipped bit in a picture: the checksum of its chunk is wrong.
    let mut file = whole.clone();
    file[place_of(&whole, timestamp(UNIX, 14)) + 20] ^= 1;
    fs::write(&input, file).unwrap();
    let summary = convert(&input, &["--overwrite"]).expect_code(0).json();
    let pictures = numbers(&output);
    assert_eq!(summary["runs"], 1, "{summary}");
    assert_eq!(summary["damaged"], 40 - pictures.len(), "{summary} {pictures:?}");
    assert!(!pictures.contains(&14) && pictures.contains(&(2 * GOP)), "{pictures:?}");
    expect_pictures(&output, UNIX, &pictures);

    // A stretch of garbage over records and chunks: the numbers of those behind it stay, by the footer's list.
    let mut file = whole.clone();
    let (from, to) = (place_of(&whole, timestamp(UNIX, 12)), place_of(&whole, timestamp(UNIX, 17)));
    file[from..to].fill(0xa5);
    fs::write(&input, file).unwrap();
    let summary = convert(&input, &["--overwrite", "--start-frame", "20"]).expect_code(0).json();
    assert_ne!(summary["unreadable_bytes"], 0, "{summary}");
    assert_eq!(summary["damaged"], 0, "{summary}");
    expect_pictures(&output, UNIX, &(20..40).collect::<Vec<_>>());
}

#[test]
fn a_camera_that_counts_from_its_boot_gets_no_date_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { begin: BOOT, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let ended = convert(&input, &["--end-frame", "9"]).expect_code(0).expect_said("a boot");
    assert_eq!(ended.json()["clock"], "boot");
    let output = directory.path().join("run.mp4");
    expect_pictures(&output, BOOT, &(0..10).collect::<Vec<_>>());
    let created = probe(&output)["format"]["tags"]["creation_time"].as_str().unwrap().to_owned();
    assert!(created.starts_with("20"), "1970 and a few seconds is no date: {created}");
}

#[test]
fn what_cannot_be_read_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let lossless = Svo2 { form: Form::Lossless, ..Svo2::default() }.write(&place("lossless.svo2"));
    fs::write(place("old.svo"), b"SVO version 1").unwrap();
    fs::write(place("empty.svo2"), b"").unwrap();
    fs::write(place("text.svo2"), b"something else entirely").unwrap();
    fs::write(place("magic.svo2"), b"\x89MCAP0\r\n").unwrap();
    for (input, advice) in [
        (lossless, "ZED_SVOEditor"),
        (place("old.svo"), "ZED SDK"),
        (place("empty.svo2"), "empty"),
        (place("text.svo2"), "nor a video"),
        (place("magic.svo2"), "without a ZED camera's pictures"),
        (place("absent.svo2"), "cannot be opened"),
        (directory.path().to_owned(), "not a file"),
    ] {
        let output = place("out.mp4");
        convert(&input, &["--output", text(&output)]).expect_code(2).expect_said(advice);
        assert!(!output.exists());
    }
    let input = Svo2 { frames: 3, ..Svo2::default() }.write(&place("run.svo2"));
    convert(&input, &["--start-frame", "2", "--end-frame", "1"]).expect_code(1);
    convert(&input, &["--start-frame", "3"]).expect_code(2).expect_said("last picture, 2");
    let again = directory.path().join("./run.svo2");
    convert(&input, &["--output", text(&again), "--overwrite"]).expect_code(1).expect_said("replace an input");
    if gst::ElementFactory::find("nvh265enc").is_none() {
        convert(&input, &["--encoder-device", "nvidia"]).expect_code(5).expect_said("--encoder-device auto");
    }
    fs::write(place("run.mp4"), b"precious").unwrap();
    convert(&input, &[]).expect_code(2).expect_said("--overwrite");
    assert_eq!(fs::read(place("run.mp4")).unwrap(), b"precious");
}

#[test]
fn quality_is_bound_by_no_bit_rate() {
    let directory = tempfile::tempdir().unwrap();
    // Noise, which no encoder makes small.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pictures = (0..10).map(|_| (0..2 * WIDTH * HEIGHT).map(|_| noise()).collect()).collect();
    let svo2 = Svo2 { frames: 10, ..Svo2::default() };
    let input = svo2.write_pictures(&directory.path().join("run.svo2"), (2 * WIDTH, HEIGHT), pictures);
    for codec in ["h264", "h265"] {
        let output = directory.path().join(codec).with_extension("mp4");
        convert(&input, &["--codec", codec, "--quality", "10", "--output", text(&output)]).expect_code(0);
        let bits = 8 * fs::metadata(&output).unwrap().len();
        // The elements' bit rate is 2 Mbit/s, and the recording lasts half a second.
        assert!(bits > 2_000_000, "{codec}: {bits} bits");
    }
}

#[test]
fn a_terminal_gets_a_bar() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { frames: 3, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let command = format!("stty cols 120; {CONVERTER} --input {}", text(&input));
    let output = std::process::Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("run.svo2: 100%|") && shown.contains("3/3 ["), "{shown}");
    assert!(shown.contains("frames/s]"), "{shown}");
}

#[test]
fn an_interrupted_conversion_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { repeat: 500, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let program = Program::start(CONVERTER, &["--input", text(&input), "--preset", "slow"]);
    program.wait_for_line("zed_svo_to_mp4: encoder");
    program.signal("INT");
    program.end().expect_code(130).expect_said("interrupted");
    assert_eq!(names(directory.path()), ["run.svo2"]);
}

/// In a mount namespace of its own the program gets a file system that is soon full, and we what is left in it.
#[test]
fn a_full_disk_ends_the_conversion_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { repeat: 10, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    convert(&input, &["--codec", "h264"]).expect_code(0);
    let size = fs::metadata(directory.path().join("run.mp4")).unwrap().len();
    expect_full_disk(directory.path(), CONVERTER, &input, "run.mp4", &["--codec", "h264", "--preset", "fast"], size);
}

#[test]
fn video_files_are_recordings_too_and_ours_keep_their_clock() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2::default().write(&directory.path().join("run.svo2"));
    convert(&input, &["--start-frame", "5"]).expect_code(0);
    let ours = directory.path().join("run.mp4");
    let again = directory.path().join("again.mp4");
    let summary =
        convert(&ours, &["--output", text(&again), "--start-frame", "3", "--end-frame", "20"]).expect_code(0).json();
    assert_eq!(summary["written"], 18, "{summary}");
    assert_eq!(summary["clock"], "unix");
    let first = summary["first_timestamp_ns"].as_u64().unwrap();
    assert!(first.abs_diff(timestamp(UNIX, 8)) < ROUNDED_NS, "{summary}");
    assert_eq!(numbers(&again), (8..=25).collect::<Vec<_>>());

    let matroska = directory.path().join("somebody's.mkv");
    support::ffmpeg_output(&["-i", text(&ours), "-map_metadata", "-1", "-c", "copy", text(&matroska)]);
    let output = directory.path().join("matroska.mp4");
    let summary = convert(&matroska, &["--output", text(&output)]).expect_code(0).json();
    assert_eq!((&summary["written"], &summary["clock"]), (&35.into(), &"start".into()), "{summary}");
    assert_eq!(numbers(&output), (5..40).collect::<Vec<_>>());
    convert(&matroska, &["--output", text(&output), "--overwrite", "--provider", "svo2"]).expect_code(2);

    // Pictures out of their order, and a sound that nobody asks for.
    let with_sound = directory.path().join("sound.mkv");
    let sound = ["-f", "lavfi", "-i", "sine=duration=1.5", "-c:v", "libx264", "-bf", "3", "-c:a", "aac"];
    support::ffmpeg_output(
        &[&["-i", text(&ours)], &sound[..], &["-fps_mode", "passthrough", text(&with_sound)]].concat(),
    );
    convert(&with_sound, &["--output", text(&output), "--overwrite"]).expect_code(0);
    assert_eq!(numbers(&output), (5..40).collect::<Vec<_>>());
}

#[test]
fn a_recording_that_begins_without_a_keyframe_keeps_its_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let input = Svo2 { form: Form::Refreshed, ..Svo2::default() }.write(&directory.path().join("run.svo2"));
    let summary = convert(&input, &["--start-frame", "30"]).expect_code(0).json();
    assert_eq!((&summary["written"], &summary["concealed"]), (&10.into(), &10.into()), "{summary}");
    // The one that the recording lacks had the number 0.
    assert_eq!(numbers(&directory.path().join("run.mp4")), (31..=40).collect::<Vec<_>>());
}
