//! The examples against each other.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use cvmmap::{Address, Target};

const PATIENCE: Duration = Duration::from_secs(30);

/// Cargo puts examples into `target/<profile>/examples`; this test is in `target/<profile>/deps`.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build -p cvmmap --examples", program.display());
    program
}

fn target(name: &str, folder: &Path) -> Target {
    Target::new(&format!("{name}-{}", process::id()), None, Some(folder.to_str().unwrap())).unwrap()
}

struct Running {
    child: Child,
    told: mpsc::Receiver<String>,
}

impl Running {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(example(name));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, told }
    }

    /// The next frame that it tells: its id, and what else is said of it.
    fn frame(&self) -> (u32, String) {
        let line = self.told.recv_timeout(PATIENCE).expect("no frame is told");
        let (frame_id, rest) = line.strip_prefix("frame ").and_then(|line| line.split_once(": ")).expect("a frame");
        (frame_id.parse().unwrap(), rest.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn both_readers_tell_what_the_publisher_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("examples", folder.path()).to_string();
    // The readers are there first, and find the publisher when it comes.
    let readers = ["read_frames", "read_frames_tokio"].map(|name| Running::start(name, &[&target]));
    let segment = format!("/dev/shm/{}", Address::from(&target.parse::<Target>().unwrap()).shm_name());
    let mut last = [None; 2];
    for _ in 0..2 {
        let mut publisher = Running::start("publish_frames", &[&target]);
        for (reader, last) in readers.iter().zip(&mut last) {
            // Behind those of the publisher before, frame ids begin anew.
            let mut before = None;
            while last.is_some_and(|last| before.is_none_or(|before| before >= last)) {
                before = Some(reader.frame().0);
            }
            *last = before;
            for _ in 0..20 {
                let (frame_id, size) = reader.frame();
                assert_eq!(size, "640x360");
                assert!(last.is_none_or(|last| last < frame_id), "{frame_id} behind {last:?}");
                *last = Some(frame_id);
            }
        }
        publisher.child.kill().unwrap();
        publisher.child.wait().unwrap();
        assert!(fs::exists(&segment).unwrap(), "it was killed");
    }
    fs::remove_file(segment).unwrap();
}

#[test]
fn the_publisher_ends_when_it_was_asked_to_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("ends", folder.path());
    let reader = Running::start("read_frames", &[&target.to_string()]);
    let status = Command::new(example("publish_frames")).args([&target.to_string(), "60"]).status().unwrap();
    assert!(status.success(), "{status}");
    // A reader that is late for the last ones finds no segment any more.
    while reader.frame().0 < 40 {}
    let address = Address::from(&target);
    assert!(!fs::exists(format!("/dev/shm/{}", address.shm_name())).unwrap(), "the segment stays behind");
    assert!(!fs::exists(address.socket_path().unwrap()).unwrap(), "the socket stays behind");
}
