//! Several batches that share one queue, on a real server.

use std::{fs, net::TcpListener, os::unix::fs::MetadataExt as _, path::Path, time::Instant};

use crate::batch_support::{beside_stand_in, folder};
use crate::nats_server::NatsServer;
use crate::recordings_support::{Svo2, names, probe};
use crate::support::{Ended, Program, text};

const MP4: &str = env!("CARGO_BIN_EXE_zed_batch_svo_to_mp4");
const FAST: [&str; 5] = ["--codec", "h264", "--preset", "fast", "--json"];

fn server() -> NatsServer {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("jetstream {{ store_dir: {:?} }}", folder.path().join("jetstream"));
    NatsServer::in_folder(folder, &config)
}

fn start(queue: &str, flags: &[&str]) -> Program {
    Program::start(MP4, &[&["--queue", queue], &FAST[..], flags].concat())
}

fn recordings(root: &Path, count: usize) {
    for number in 0..count {
        Svo2 { frames: 5, ..Svo2::default() }.write(&root.join(format!("{number}.svo2")));
    }
}

/// The inputs with an outcome.
fn with(ended: &Ended, outcome: &str) -> Vec<String> {
    let summary = ended.json();
    let jobs = summary["jobs"].as_array().unwrap().iter();
    let mut inputs: Vec<_> = jobs
        .filter(|job| job["outcome"] == outcome)
        .map(|job| Path::new(job["input"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    inputs.sort();
    inputs
}

fn frames(path: &Path) -> usize {
    probe(path)["frames"].as_array().unwrap().len()
}

#[test]
fn two_batches_share_a_list_and_each_job_is_done_once() {
    let server = server();
    let root = tempfile::tempdir().unwrap();
    recordings(root.path(), 10);
    fs::write(root.path().join("bad.svo2"), "no recording").unwrap();
    let queue = format!("{}/night", server.url());
    let first = start(&queue, &[text(root.path())]);
    let added = first.wait_for_line("zed_batch_svo_to_mp4: queue night on ");
    assert!(added.ends_with(": 11 jobs added, 0 were in it"), "{added}");
    first.wait_for_line("zed_batch_svo_to_mp4: start ");
    let second = start(&queue, &[text(root.path())]);
    let added = second.wait_for_line("zed_batch_svo_to_mp4: queue night on ");
    assert!(added.contains(": 0 jobs added, "), "{added}");
    let [first, second] = [first, second].map(|program| program.end().expect_code(4));
    let (mine, others) = (with(&first, "converted"), with(&second, "converted"));
    assert!(!mine.is_empty() && !others.is_empty(), "{mine:?} {others:?}");
    let mut all = [&mine[..], &others].concat();
    all.sort();
    assert_eq!(all, (0..10).map(|number| format!("{number}.svo2")).collect::<Vec<_>>());
    assert_eq!(with(&first, "elsewhere"), others);
    for ended in [&first, &second] {
        assert_eq!(with(ended, "failed"), ["bad.svo2"], "{}", ended.stdout);
    }
    let tries = [&first, &second].map(|ended| ended.stderr.matches("failed, handed back").count());
    assert_eq!(tries.iter().sum::<usize>(), 2);
    for number in 0..10 {
        assert_eq!(frames(&root.path().join(format!("{number}.mp4"))), 5);
    }

    // Listed again, it is tried again.
    recordings(root.path(), 0);
    Svo2 { frames: 5, ..Svo2::default() }.write(&root.path().join("bad.svo2"));
    let ended = start(&queue, &[text(root.path())]).end().expect_code(0);
    assert_eq!(with(&ended, "converted"), ["bad.svo2"]);
    // An empty queue ends a worker.
    let ended = start(&queue, &["--queue-worker"]).end().expect_code(0);
    assert_eq!(ended.json()["jobs"], serde_json::json!([]));
}

#[test]
fn a_dead_workers_job_is_taken_over() {
    let server = server();
    let root = tempfile::tempdir().unwrap();
    recordings(root.path(), 1);
    let long = Svo2 { frames: 5, repeat: 2000, ..Svo2::default() }.write(&root.path().join("1.svo2"));
    let takeover = ["--queue-takeover-seconds", "2"];
    let first = start(&server.url(), &[&[text(root.path())], &takeover[..]].concat());
    while !first.wait_for_line("zed_batch_svo_to_mp4: start ").contains("1.svo2") {}
    let done = root.path().join("0.mp4");
    let before = (done.metadata().unwrap().ino(), done.metadata().unwrap().mtime_nsec());
    let second = start(&server.url(), &["--queue-worker"]);
    second.wait_for_line("zed_batch_svo_to_mp4: queue zed on ");
    // The next one is to be done in time.
    Svo2 { frames: 5, ..Svo2::default() }.write(&long);
    drop(first);
    let second = second.end().expect_code(0);
    assert_eq!(with(&second, "converted"), ["1.svo2"], "{}", second.stderr);
    assert_eq!(frames(&root.path().join("1.mp4")), 5);
    assert_eq!((done.metadata().unwrap().ino(), done.metadata().unwrap().mtime_nsec()), before);
    assert_eq!(names(root.path()), ["0.mp4", "0.svo2", "1.mp4", "1.svo2"]);
}

#[test]
fn a_server_that_comes_back_has_kept_the_queue() {
    let mut server = server();
    let root = tempfile::tempdir().unwrap();
    recordings(root.path(), 4);
    let batch = start(&server.url(), &[text(root.path())]);
    batch.wait_for_line("zed_batch_svo_to_mp4: start ");
    server.restart();
    let ended = batch.end().expect_code(0);
    assert_eq!(with(&ended, "converted").len(), 4, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(": start ").count(), 4, "{}", ended.stderr);
}

#[test]
fn an_interrupted_worker_hands_its_job_back_at_once() {
    let server = server();
    let root = tempfile::tempdir().unwrap();
    let long = Svo2 { frames: 5, repeat: 2000, ..Svo2::default() }.write(&root.path().join("0.svo2"));
    // Nobody waits for an hour.
    let first = start(&server.url(), &[text(root.path()), "--queue-takeover-seconds", "3600"]);
    first.wait_for_line("zed_batch_svo_to_mp4: start ");
    let second = start(&server.url(), &["--queue-worker", "--queue-wait"]);
    second.wait_for_line("zed_batch_svo_to_mp4: the queue was made with --queue-takeover-seconds 3600");
    Svo2 { frames: 5, ..Svo2::default() }.write(&long);
    first.signal("INT");
    assert_eq!(with(&first.end().expect_code(130), "left"), ["0.svo2"]);
    second.wait_for_line("zed_batch_svo_to_mp4: [1/1] done ");
    // It waits for more, until it is told to end.
    second.signal("TERM");
    assert_eq!(with(&second.end().expect_code(143), "converted"), ["0.svo2"]);
}

#[test]
fn a_queue_that_cannot_be_used_is_refused_in_time() {
    let root = tempfile::tempdir().unwrap();
    recordings(root.path(), 1);
    let begun = Instant::now();
    // Nobody listens, but the port is taken.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let queue = format!("nats://user:sekret@{}", silent.local_addr().unwrap());
    let ended =
        start(&queue, &[text(root.path())]).end().expect_code(2).expect_said("--queue: no connection to nats://");
    assert!(!ended.stderr.contains("sekret") && begun.elapsed().as_secs() < 30);
    let plain = NatsServer::start();
    start(&plain.url(), &[text(root.path())]).end().expect_code(2).expect_said("nats-server with -js");
    start(&plain.url(), &[text(root.path()), "--queue-worker"]).end().expect_code(1).expect_said("--queue-worker");
    start("nats://u:sekret@h/a.b", &[text(root.path())]).end().expect_code(1).expect_said("letters, digits");
    assert_eq!(names(root.path()), ["0.svo2"]);
}

#[test]
fn a_job_that_takes_long_stays_with_its_worker() {
    let server = server();
    let root = folder();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    recordings(&data, 1);
    let script = format!("while [ ! -e {0}/go ]; do sleep 0.02; done\ntouch \"$4\"\necho {{}}\n", text(root.path()));
    let batch = beside_stand_in(root.path(), MP4, "zed_svo_to_mp4", &script);
    let queue = ["--queue", &server.url(), "--json"];
    let settings = ["--queue-takeover-seconds", "3", "--heartbeat-seconds", "1"];
    let first = Program::start(text(&batch), &[&queue[..], &settings, &[text(&data)]].concat());
    first.wait_for_line("zed_batch_svo_to_mp4: start ");
    let second = Program::start(text(&batch), &[&queue[..], &["--queue-worker"]].concat());
    for _ in 0..7 {
        first.wait_for_line("zed_batch_svo_to_mp4: 0 of 1 done, 0 failed, ");
    }
    fs::write(root.path().join("go"), "").unwrap();
    assert_eq!(with(&first.end().expect_code(0), "converted"), ["0.svo2"]);
    assert_eq!(second.end().expect_code(0).json()["jobs"], serde_json::json!([]));
    assert_eq!(fs::read_to_string(root.path().join("calls")).unwrap().lines().count(), 1);
}

/// A bad job of a queue of any name leaves its note, and its worker goes on.
#[test]
fn a_queue_that_is_called_job_works() {
    let server = server();
    let root = tempfile::tempdir().unwrap();
    recordings(root.path(), 1);
    fs::write(root.path().join("bad.svo2"), "no recording").unwrap();
    let ended = start(&format!("{}/job", server.url()), &[text(root.path())]).end().expect_code(4);
    assert_eq!(
        (with(&ended, "converted"), with(&ended, "failed")),
        (vec!["0.svo2".to_owned()], vec!["bad.svo2".to_owned()])
    );
}

/// Whoever restarts a worker uses up none of its job's tries.
#[test]
fn an_interrupted_try_is_none() {
    let server = server();
    let root = folder();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    recordings(&data, 1);
    // It works until it is told to fail.
    let script = format!("trap 'exit 1' INT\nwhile [ ! -e {0}/go ]; do sleep 0.02; done\nexit 3\n", text(root.path()));
    let batch = beside_stand_in(root.path(), MP4, "zed_svo_to_mp4", &script);
    let queue = ["--queue", &server.url(), "--json"];
    for _ in 0..4 {
        let worker = Program::start(text(&batch), &[&queue[..], &[text(&data)]].concat());
        worker.wait_for_line("zed_batch_svo_to_mp4: start ");
        worker.signal("INT");
        assert_eq!(with(&worker.end().expect_code(130), "left"), ["0.svo2"]);
    }
    fs::write(root.path().join("go"), "").unwrap();
    let ended = Program::start(text(&batch), &[&queue[..], &["--queue-worker"]].concat()).end().expect_code(4);
    assert_eq!(ended.stderr.matches("failed, handed back").count(), 2, "{}", ended.stderr);
    assert_eq!(with(&ended, "failed"), ["0.svo2"]);
}
