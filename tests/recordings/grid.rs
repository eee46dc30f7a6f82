//! `zed_svo_grid_to_mp4` on cameras that begin and end at different times, seen by ffmpeg.

use std::{fs, path::Path};

use crate::recordings_support::{
    BOOT, Form, HEIGHT, Svo2, UNIX, WIDTH, boxes, luminance, names, number, numbers_in, probe, shown_at, timestamp,
};
use crate::support::{self, Ended, text};

const GRID: &str = env!("CARGO_BIN_EXE_zed_svo_grid_to_mp4");
/// When each camera begins, after the first one.
const BEGINS: [u64; 4] = [0, 66_666_666, 33_000_000, 90_000_000];
const FRAMES: [usize; 4] = [40, 40, 20, 40];

fn grid(flags: &[&str]) -> Ended {
    support::run(GRID, &[&["--json", "--preset", "fast", "--codec", "h264"], flags].concat())
}

fn segment(directory: &Path) {
    for (camera, (begin, frames)) in BEGINS.into_iter().zip(FRAMES).enumerate() {
        let form = [Form::H264, Form::H265, Form::Strips, Form::H264][camera];
        let name = format!("2026-03-18_zed{}.svo2", camera + 1);
        Svo2 { form, frames, begin: UNIX + begin, ..Svo2::default() }.write(&directory.join(name));
    }
}

/// The numbers that a camera's tile shows, in a grid of its own size.
fn tile(path: &Path, place: usize) -> Vec<usize> {
    let (x, y) = (place % 2 * WIDTH / 2, place / 2 * HEIGHT / 2);
    let filter = format!("crop={}:{}:{x}:{y},scale={WIDTH}:{HEIGHT}", WIDTH / 2, HEIGHT / 2);
    numbers_in(&luminance(path, &filter))
}

#[test]
fn four_cameras_begin_together_and_one_that_ends_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let segment_dir = directory.path().join("2026-03-18T11-59-41");
    fs::create_dir(&segment_dir).unwrap();
    segment(&segment_dir);
    let summary = grid(&["--segment-dir", text(&segment_dir)]).expect_code(0).json();
    let output = segment_dir.join("2026-03-18T11-59-41_grid.mp4");
    assert_eq!(names(&segment_dir).len(), 5, "{:?}", names(&segment_dir));
    assert_eq!(boxes(&output)[..2], ["ftyp", "moov"]);
    let start = UNIX + BEGINS[3];
    assert_eq!(summary["first_timestamp_ns"], start, "{summary}");
    let probed = probe(&output);
    let stream = &probed["streams"][0];
    assert_eq!((&stream["width"], &stream["height"]), (&WIDTH.into(), &HEIGHT.into()));

    let mut intervals: Vec<_> = (1..40).map(|number| timestamp(0, number) - timestamp(0, number - 1)).collect();
    intervals.sort_unstable();
    let interval = intervals[intervals.len() / 2];
    let times = shown_at(&probed);
    assert_eq!(times.len(), summary["frames"].as_u64().unwrap() as usize);
    for (place, (begin, frames)) in BEGINS.into_iter().zip(FRAMES).enumerate() {
        let newest = |at: usize| {
            let moment = start + at as u64 * interval + interval / 2;
            (0..frames).rfind(|&number| timestamp(UNIX + begin, number) <= moment).unwrap()
        };
        let expected: Vec<_> = (0..times.len()).map(newest).collect();
        assert_eq!(tile(&output, place), expected, "camera {place}");
        assert_eq!(summary["cameras"][place]["undecoded"], 0, "{summary}");
    }

    // The camera that ended has a frame around its tile, and the others have none.
    let edge = |place: usize| {
        let (x, y) = (place % 2 * WIDTH / 2, place / 2 * HEIGHT / 2);
        let dots = luminance(&output, &format!("crop=2:{}:{x}:{y}", HEIGHT / 2));
        dots[dots.len() - HEIGHT / 2]
    };
    assert!(edge(2).abs_diff(81) < 16, "{}", edge(2));
    assert!(edge(3).abs_diff(81) > 40, "{}", edge(3));
}

#[test]
fn the_duration_and_the_size_are_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    segment(directory.path());
    let input = |camera: usize| directory.path().join(format!("2026-03-18_zed{camera}.svo2"));
    let output = directory.path().join("both.mp4");
    let inputs = ["--input", text(&input(2)), "--input", text(&input(1))].map(str::to_owned);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let flags = ["--output", text(&output), "--tile-scale", "1", "--duration-seconds", "0.5"];
    let summary = grid(&[&inputs[..], &flags].concat()).expect_code(0).json();
    let probed = probe(&output);
    let stream = &probed["streams"][0];
    assert_eq!((&stream["width"], &stream["height"]), (&(2 * WIDTH).into(), &HEIGHT.into()));
    let lasts = number(&probed["format"]["duration"]);
    assert!((lasts - 0.5).abs() < 0.02, "{lasts} {summary}");
    grid(&[&inputs[..], &flags].concat()).expect_code(2).expect_said("--overwrite");
}

#[test]
fn recordings_that_do_not_belong_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let now = Svo2 { frames: 3, ..Svo2::default() }.write(&place("now.svo2"));
    let later = Svo2 { frames: 3, begin: UNIX + 10_000_000_000, ..Svo2::default() }.write(&place("later.svo2"));
    let boot = Svo2 { frames: 3, begin: BOOT, ..Svo2::default() }.write(&place("boot.svo2"));
    let output = place("grid.mp4");
    for (other, said) in [(&later, "of the same time"), (&boot, "different clocks")] {
        let inputs = ["--input", text(&now), "--input", text(other), "--output", text(&output)];
        grid(&inputs).expect_code(2).expect_said(said);
    }
    grid(&["--segment-dir", text(directory.path())]).expect_code(2).expect_said("--input");
    grid(&["--input", text(&now)]).expect_code(1);
    assert!(!output.exists());
}
