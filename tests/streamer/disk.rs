//! A disk that stands still while `cvmmap_streamer` records: signals are heard, and the other file is finished.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::recorder_support::{decoded_frames, names_in, read_mcap};
use crate::stalled_disk::StalledDisk;
use crate::streamer_support::{ENDLESS, Names, Running, json, read_until, wait_for};

struct Recorded {
    names: Names,
    disk: StalledDisk,
    streamer: Running,
    files: [PathBuf; 2],
}

/// Records both formats, with something of both in the files, and then the disk stands still.
fn recorded(what: &str) -> Recorded {
    let names = Names::new();
    fs::create_dir(names.path("day")).unwrap();
    let files = ["day/a.mcap", "day/a.mp4"].map(|name| names.path(name));
    let disk = StalledDisk::new(names.path("day").parent().unwrap());
    let mut command = names.simulator();
    command
        .args(ENDLESS)
        .args(["--codec", "h264", "--gop", "10", "--json", "--mcap"])
        .arg(&files[0])
        .arg("--mp4")
        .arg(&files[1]);
    disk.hold(&mut command, what);
    let streamer = Running::start(&mut command);
    for file in &files {
        let unfinished = file.with_added_extension("partial");
        wait_for("two flushes", || unfinished.metadata().is_ok_and(|file| file.len() > 20_000));
    }
    disk.stall();
    Recorded { names, disk, streamer, files }
}

/// Signals until the program has gone; how long that took.
fn told_twice(streamer: Running, stderr: impl std::io::BufRead) -> (Duration, serde_json::Value, String) {
    let mut stderr = stderr;
    streamer.signal("-INT");
    read_until(&mut stderr, "waiting for the disk");
    let begun = Instant::now();
    streamer.signal("-INT");
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let (code, stdout, _) = streamer.wait();
    assert_eq!(code, Some(5), "{said}");
    (begun.elapsed(), json(&stdout), said)
}

fn a_second_signal_leaves_what_is_there(what: &str) {
    let Recorded { names, streamer: mut running, files, .. } = recorded(what);
    let stderr = running.stderr();
    let (took, summary, said) = told_twice(running, stderr);
    // It promises one; a machine that is busy gets more.
    assert!(took < Duration::from_secs(10), "{took:?}");
    for (recording, file) in summary["recordings"].as_array().unwrap().iter().zip(&files) {
        let unfinished = file.with_added_extension("partial");
        assert_eq!(
            (&recording["state"], &recording["path"]),
            (&"failed".into(), &unfinished.to_str().unwrap().into()),
            "{said}"
        );
        assert!(unfinished.exists() && !file.exists());
    }
    // What is told is in the files.
    let video = &files[0].with_added_extension("partial");
    let read = read_mcap(video)["video"].as_array().unwrap().len() as u64;
    let told = summary["recordings"][0]["video"].as_u64().unwrap();
    assert!(told > 0 && told <= read, "{told} of {read}");
    let (frames, _) = decoded_frames(&files[1].with_added_extension("partial"));
    let told = summary["recordings"][1]["video"].as_u64().unwrap();
    assert!(told > 0 && told <= frames, "{told} of {frames}");
    assert!(!names.segment().exists() && !names.path("sync").exists());
}

#[test]
fn a_second_signal_leaves_files_that_the_disk_does_not_sync() {
    a_second_signal_leaves_what_is_there("fsync");
}

#[test]
fn a_second_signal_leaves_files_that_the_disk_does_not_write() {
    a_second_signal_leaves_what_is_there("write");
}

#[test]
fn a_disk_that_goes_on_gets_both_files() {
    let Recorded { names: _names, disk, mut streamer, files } = recorded("fsync");
    let mut stderr = streamer.stderr();
    streamer.signal("-TERM");
    read_until(&mut stderr, "waiting for the disk");
    disk.go_on();
    let (code, stdout, _) = streamer.wait();
    assert_eq!(code, Some(0));
    let summary = json(&stdout);
    assert!(summary["recordings"].as_array().unwrap().iter().all(|recording| recording["state"] == "finished"));
    assert_eq!(names_in(files[0].parent().unwrap()), ["a.mcap", "a.mp4"]);
    let (frames, complaints) = decoded_frames(&files[1]);
    assert_eq!((frames, complaints.as_str()), (summary["recordings"][1]["video"].as_u64().unwrap(), ""));
    assert_eq!(read_mcap(&files[0])["finished"], true);
}
