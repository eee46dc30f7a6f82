//! The batch programs over the real converters, on recordings that are made for it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::batch_support::{beside_stand_in, folder};
use crate::recordings_support::{self, Svo2, names, probe};
use crate::support::{self, Ended, Program, text};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

const MP4: &str = env!("CARGO_BIN_EXE_zed_batch_svo_to_mp4");
const GRID: &str = env!("CARGO_BIN_EXE_zed_batch_svo_grid_to_mp4");
const MCAP: &str = env!("CARGO_BIN_EXE_zed_batch_svo_to_mcap");
const FAST: [&str; 4] = ["--codec", "h264", "--preset", "fast"];
const PATIENCE: Duration = Duration::from_secs(60);

fn mp4(root: &Path, flags: &[&str]) -> Ended {
    support::run(MP4, &[&[text(root)], &FAST[..], flags].concat())
}

/// A recording of a few frames; `repeat` makes it long.
fn recording(path: &Path, repeat: usize) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Svo2 { frames: 5, repeat, ..Svo2::default() }.write(path)
}

/// What is told of an input.
fn outcome(summary: &serde_json::Value, input: &str) -> String {
    let jobs = summary["jobs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["input"].as_str().unwrap().ends_with(input));
    job.unwrap_or_else(|| panic!("{input} is not in {summary}"))["outcome"].as_str().unwrap().to_owned()
}

fn count_frames(path: &Path) -> usize {
    probe(path)["frames"].as_array().unwrap().len()
}

/// Which file it is, and when it was written.
fn identity(path: &Path) -> (u64, i64, i64) {
    let metadata = path.metadata().unwrap();
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Waits for a file whose name has such parts.
fn wait_for_file(directory: &Path, begin: &str, end: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !names(directory).iter().any(|name| name.starts_with(begin) && name.ends_with(end)) {
        assert!(Instant::now() < deadline, "no {begin}…{end} among {:?}", names(directory));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The converters of a batch, each to be waited for.
fn converters(program: &Program) -> Vec<(Pid, OwnedFd)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let children = children.collect::<String>();
    let pid = |word: &str| Pid::from_raw(word.parse().unwrap()).unwrap();
    children.split_whitespace().map(pid).map(|pid| (pid, pidfd_open(pid, PidfdFlags::empty()).unwrap())).collect()
}

/// Stopped, a batch hears nothing of its converters' ends.
fn wait_until_stopped(pid: Pid) {
    let deadline = Instant::now() + PATIENCE;
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the end of a program that is not a child of ours.
#[track_caller]
fn expect_end(pidfd: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&patience)), Ok(1), "the converter runs on");
}

#[test]
fn each_recording_is_converted_once_and_a_failure_stops_nobody() {
    let root = tempfile::tempdir().unwrap();
    recording(&root.path().join("a/1.svo2"), 1);
    recording(&root.path().join("a/2.svo2"), 1);
    recording(&root.path().join("b c/3.svo2"), 1);
    fs::write(root.path().join("b c/2.svo2"), "no recording").unwrap();
    let ended = mp4(root.path(), &["--jobs", "2", "--json", "--end-frame", "2"]).expect_code(4);
    let summary = ended.json();
    assert_eq!(summary["counts"], serde_json::json!({ "converted": 3, "skipped": 0, "failed": 1, "left": 0 }));
    let ended = ended.expect_said("4 recordings to convert, 0 skipped").expect_said("start ").expect_said("done ");
    ended.expect_said("failed: ").expect_said("exit code 2").expect_said("    zed_svo_to_mp4: ");
    let outputs = ["a/1.mp4", "a/2.mp4", "b c/3.mp4"].map(|name| root.path().join(name));
    for output in &outputs {
        assert_eq!(count_frames(output), 3);
    }
    let before = outputs.each_ref().map(|output| identity(output));

    // Started again, it tries what has no output, and leaves the rest alone.
    recording(&root.path().join("b c/2.svo2"), 1);
    let summary = mp4(root.path(), &["--json"]).expect_code(0).json();
    assert_eq!(outcome(&summary, "b c/2.svo2"), "converted");
    assert_eq!(summary["counts"], serde_json::json!({ "converted": 1, "skipped": 3, "failed": 0, "left": 0 }));
    assert_eq!(outputs.each_ref().map(|output| identity(output)), before);
    mp4(root.path(), &["--overwrite", "--pattern", "3.svo2"]).expect_code(0);
    assert_ne!(identity(&outputs[2]), before[2]);
    assert_eq!(count_frames(&outputs[2]), 5);
    assert_eq!(names(&root.path().join("a")), ["1.mp4", "1.svo2", "2.mp4", "2.svo2"]);
}

#[test]
fn outputs_that_are_not_whole_are_found_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    for name in ["whole", "cut", "short", "unfinished", "empty", "garbage", "missing"] {
        recording(&root.path().join(name).with_extension("svo2"), 1);
    }
    mp4(root.path(), &["--pattern", "whole.svo2"]).expect_code(0);
    let output = |name: &str| root.path().join(name).with_extension("mp4");
    let whole = fs::read(output("whole")).unwrap();
    let before = identity(&output("whole"));
    // An interrupted copy; one byte less; a writer that was killed before the index; nothing; something else.
    fs::write(output("cut"), &whole[..whole.len() * 2 / 3]).unwrap();
    fs::write(output("short"), &whole[..whole.len() - 1]).unwrap();
    let index = whole.windows(4).position(|name| name == b"moov").unwrap() - 4;
    let length = u32::from_be_bytes(whole[index..index + 4].try_into().unwrap()) as usize;
    fs::write(output("unfinished"), [&whole[..index], &whole[index + length..]].concat()).unwrap();
    fs::write(output("empty"), "").unwrap();
    fs::write(output("garbage"), [0x5a; 4096]).unwrap();

    let report = mp4(root.path(), &["--report-existing"]).expect_code(4);
    for broken in ["cut", "short", "unfinished", "empty", "garbage"] {
        assert!(report.stdout.contains(&format!("{broken}.mp4: ")), "{broken}: {}", report.stdout);
    }
    assert!(report.stdout.ends_with("valid: 1\ninvalid: 5\nmissing: 1\n"), "{}", report.stdout);
    assert!(!report.stdout.contains("whole.mp4") && report.stdout.contains("no moov"), "{}", report.stdout);

    let plan = mp4(root.path(), &["--dry-run"]).expect_code(0).stdout;
    assert!(plan.ends_with("would convert: 1\nskipped: 6\n"), "{plan}");
    let plan = mp4(root.path(), &["--dry-run", "--probe-existing", "--jobs", "2"]).expect_code(0).stdout;
    assert!(plan.ends_with("would convert: 6\nskipped: 1\n"), "{plan}");
    assert!(plan.lines().any(|line| line.contains("skip") && line.contains("whole.svo2: its output is there and")));
    assert!(!output("missing").exists());

    let summary = mp4(root.path(), &["--probe-existing", "--json"]).expect_code(0).json();
    assert_eq!(summary["counts"]["converted"], 6, "{summary}");
    assert_eq!(identity(&output("whole")), before);
    let report = mp4(root.path(), &["--report-existing", "--json"]).expect_code(0).json();
    assert_eq!(report["counts"], serde_json::json!({ "valid": 7, "invalid": 0, "missing": 0 }));
}

#[test]
fn mcap_files_are_probed_by_what_their_bundles_say() {
    let root = tempfile::tempdir().unwrap();
    let segment = root.path().join("run");
    for camera in ["run_zed1.svo2", "run_zed2.svo2"] {
        recording(&segment.join(camera), 1);
    }
    let mcap = |flags: &[&str]| {
        support::run(MCAP, &[&["--dataset-root", text(root.path()), "--no-depth"], &FAST[..], flags].concat())
    };
    mcap(&[]).expect_code(0);
    let output = segment.join("run.mcap");
    let report = mcap(&["--report-existing"]).expect_code(0).stdout;
    assert!(report.ends_with("valid: 1\ninvalid: 0\nmissing: 0\n"), "{report}");

    // The same file, sound in itself, without the last picture of a camera.
    let whole = fs::read(&output).unwrap();
    let messages: Vec<_> = mcap::MessageStream::new(&whole).unwrap().map(Result::unwrap).collect();
    let lost = messages.iter().rposition(|message| message.channel.topic == "/zed2/video").unwrap();
    let mut writer = mcap::Writer::new(fs::File::create(&output).unwrap()).unwrap();
    for (at, message) in messages.iter().enumerate() {
        if at != lost {
            writer.write(message).unwrap();
        }
    }
    writer.finish().unwrap();
    let report = mcap(&["--report-existing"]).expect_code(4).stdout;
    assert!(report.contains("run.mcap: its bundles have the pictures"), "{report}");

    // And one that was cut off.
    fs::write(&output, &whole[..whole.len() / 2]).unwrap();
    mcap(&["--report-existing"]).expect_code(4);
    let summary = mcap(&["--probe-existing", "--json"]).expect_code(0).json();
    assert_eq!(summary["counts"]["converted"], 1, "{summary}");
    mcap(&["--report-existing"]).expect_code(0);
}

#[test]
fn a_signal_ends_the_converters_and_the_next_run_finishes() {
    let root = tempfile::tempdir().unwrap();
    let first = recording(&root.path().join("1.svo2"), 1).with_extension("mp4");
    let long = recording(&root.path().join("2.svo2"), 2000);
    recording(&root.path().join("3.svo2"), 1);
    let start = || {
        let program = Program::start(MP4, &[&[text(root.path()), "--json"], &FAST[..]].concat());
        while !program.wait_for_line("zed_batch_svo_to_mp4: start ").contains("2.svo2") {}
        wait_for_file(root.path(), ".2.mp4.", ".pictures.partial");
        program
    };
    let program = start();
    let running = converters(&program);
    assert_eq!(running.len(), 1);
    program.signal("INT");
    let ended = program.end().expect_code(130);
    let summary = ended.json();
    assert_eq!(summary["counts"], serde_json::json!({ "converted": 1, "skipped": 0, "failed": 0, "left": 2 }));
    running.iter().for_each(|(_, converter)| expect_end(converter));
    assert_eq!(names(root.path()), ["1.mp4", "1.svo2", "2.svo2", "3.svo2"]);
    let before = identity(&first);

    // Killed, it ends its converters all the same, and they clear up.
    let program = start();
    let running = converters(&program);
    drop(program);
    running.iter().for_each(|(_, converter)| expect_end(converter));
    assert_eq!(names(root.path()), ["1.mp4", "1.svo2", "2.svo2", "3.svo2"]);

    // Killed together with them, what they leave is in nobody's way.
    let program = start();
    let running = converters(&program);
    // A group of stopped processes that loses its parent is continued and told to end: they have to be gone before it.
    program.signal("STOP");
    wait_until_stopped(Pid::from_raw(program.id().cast_signed()).unwrap());
    running.iter().for_each(|(pid, _)| kill_process(*pid, Signal::KILL).unwrap());
    drop(program);
    running.iter().for_each(|(_, converter)| expect_end(converter));
    let left = names(root.path());
    assert!(left.iter().any(|name| name.ends_with(".partial")), "{left:?}");

    fs::remove_file(&long).unwrap();
    recording(&long, 2);
    let summary = mp4(root.path(), &["--json"]).expect_code(0).json();
    assert_eq!(summary["counts"], serde_json::json!({ "converted": 2, "skipped": 1, "failed": 0, "left": 0 }));
    assert_eq!(identity(&first), before);
    assert_eq!(count_frames(&root.path().join("2.mp4")), 10);
    mp4(root.path(), &["--report-existing"]).expect_code(0);
}

#[test]
fn a_converter_that_is_killed_leaves_nothing_and_stops_nobody() {
    let root = tempfile::tempdir().unwrap();
    recording(&root.path().join("1.svo2"), 2000);
    recording(&root.path().join("2.svo2"), 1);
    fs::write(root.path().join(".1.mp4.others.partial"), "").unwrap();
    let program = Program::start(MP4, &[&[text(root.path()), "--json"], &FAST[..]].concat());
    wait_for_file(root.path(), ".1.mp4.", ".pictures.partial");
    for (pid, _) in converters(&program) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let ended = program.end().expect_code(4).expect_said("ended by signal 9");
    assert_eq!(outcome(&ended.json(), "2.svo2"), "converted");
    assert_eq!(names(root.path()), [".1.mp4.others.partial", "1.svo2", "2.mp4", "2.svo2"]);
}

#[test]
fn segments_of_a_csv_become_grids_in_its_order() {
    let root = tempfile::tempdir().unwrap();
    for segment in ["jump/2026-03-18T11-23-22", "bar/2026-03-18T11-59-41"] {
        let name = Path::new(segment).file_name().unwrap().to_str().unwrap();
        for camera in 1..=2 {
            recording(&root.path().join(segment).join(format!("{name}_zed{camera}.svo2")), 1);
        }
    }
    let csv = root.path().join("list.csv");
    let rows = ["jump/2026-03-18T11-23-22,zed1", "jump/2026-03-18T11-23-22,zed2", "bar/2026-03-18T11-59-41,zed1"];
    fs::write(&csv, format!("segment_dir,camera\n{}\n", rows.join("\n"))).unwrap();
    let flags = [&["--segments-csv", text(&csv), "--json"], &FAST[..]].concat();
    let summary = support::run(GRID, &[&flags[..], &["--tile-scale", "1"]].concat()).expect_code(0).json();
    let inputs: Vec<_> = summary["jobs"].as_array().unwrap().iter().map(|job| job["input"].as_str().unwrap()).collect();
    assert_eq!(inputs.len(), 2);
    assert!(inputs[0].ends_with("22") && inputs[1].ends_with("41"), "{inputs:?}");
    assert_eq!(summary["jobs"][0]["summary"]["cameras"].as_array().unwrap().len(), 2);
    let output = root.path().join("bar/2026-03-18T11-59-41/2026-03-18T11-59-41_grid.mp4");
    assert_eq!(probe(&output)["streams"][0]["width"], 2 * recordings_support::WIDTH);
    let root_flags = ["--dataset-root", text(root.path()), "--dry-run"];
    let plan = support::run(GRID, &root_flags).expect_code(0).stdout;
    assert!(plan.ends_with("would convert: 0\nskipped: 2\n"), "{plan}");

    fs::write(&csv, "segment,camera\n").unwrap();
    support::run(GRID, &flags).expect_code(2).expect_said("segment_dir");
}

#[test]
fn converters_are_called_with_the_flags_and_devices_of_their_workers() {
    let root = folder();
    for segment in 1..=4 {
        recording(&root.path().join(format!("data/s{segment}/s{segment}_zed1.svo2")), 1);
    }
    // Each waits until all are there, so that each worker has one.
    let script = "touch \"$4\" \"$4.begun\"\nwhile [ $(ls $(dirname $2)/*/*.begun | wc -l) -lt 4 ]; do sleep 0.02; done\necho {}\n";
    let batch = beside_stand_in(root.path(), MCAP, "zed_svo_to_mcap", script);
    let data = root.path().join("data");
    let flags = "--hardware-jobs 2 --hardware-cuda-visible-devices 0,1 --software-jobs 2 \
                 --software-cuda-visible-devices GPU-9cc7b26e,3 --depth-mode neural_plus --bundle-policy copy --json";
    let words: Vec<_> = ["--dataset-root", text(&data)].into_iter().chain(flags.split_whitespace()).collect();
    let summary = support::run(text(&batch), &words).expect_code(0).json();
    assert_eq!(summary["counts"]["converted"], 4);
    let calls = fs::read_to_string(root.path().join("calls")).unwrap();
    let mut devices: Vec<_> = calls
        .lines()
        .map(|call| {
            let words: Vec<_> = call.split(' ').collect();
            assert_eq!(words[1], "--segment-dir");
            let segment = Path::new(words[2]).file_name().unwrap().to_str().unwrap();
            assert_eq!(words[3..6], ["--output", &format!("{}/{segment}.mcap", words[2]), "--json"], "{call}");
            assert!(words.contains(&"--bundle-policy=copy") && words.contains(&"--depth-mode=neural_plus"), "{call}");
            assert!(!words.contains(&"--overwrite"));
            (words[0], words.iter().find(|word| word.starts_with("--encoder-device")).copied().unwrap())
        })
        .collect();
    devices.sort_unstable();
    let (hardware, software) = ("--encoder-device=auto", "--encoder-device=software");
    assert_eq!(devices, [("0", hardware), ("1", hardware), ("3", software), ("GPU-9cc7b26e", software)]);
}

#[test]
fn a_second_signal_ends_a_converter_that_does_not_listen() {
    let root = folder();
    recording(&root.path().join("data/1.svo2"), 1);
    let script = "trap 'echo heard >&2' INT\ntouch $(dirname $2)/.1.mp4.${CVMMAP_PARTIAL_MARK}.x.partial\nwhile :; do sleep 0.02; done\n";
    let batch = beside_stand_in(root.path(), MP4, "zed_svo_to_mp4", script);
    let data = root.path().join("data");
    let program = Program::start(text(&batch), &[text(&data), "--heartbeat-seconds", "1"]);
    wait_for_file(&data, ".1.mp4.", ".partial");
    // What it says while nothing ends.
    program.wait_for_line("zed_batch_svo_to_mp4: 0 of 1 done, 0 failed, ");
    program.signal("INT");
    program.wait_for_line("zed_batch_svo_to_mp4: 0 of 1 done, 0 failed, ");
    program.signal("INT");
    program.end().expect_code(130);
    assert_eq!(names(&data), ["1.svo2"]);
}

#[test]
fn a_terminal_sees_a_row_for_each_worker() {
    let root = tempfile::tempdir().unwrap();
    recording(&root.path().join("1.svo2"), 1);
    recording(&root.path().join("2.svo2"), 1);
    let line = format!("stty cols 160; {MP4} {} --jobs 2 --codec h264 --preset fast", text(root.path()));
    let seen = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    assert!(seen.status.success());
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    for shown in ["worker 1, encoder auto", "worker 2, encoder auto", "total: ", "2 of 2 done", "[2/2] done "] {
        assert!(seen.contains(shown), "{shown:?} is not in\n{seen}");
    }
    let line = format!("{MP4} {} --progress-ui text --overwrite --codec h264 --preset fast", text(root.path()));
    let seen = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.contains("start ") && !seen.contains("total: "), "{seen}");
}
