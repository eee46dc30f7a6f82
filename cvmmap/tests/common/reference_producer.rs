//! The example `reference_producer` as a process of its own.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use cvmmap::Address;
use rustix::process::Pid;

static NAMES: AtomicU32 = AtomicU32::new(0);

/// The byte that the producer fills a frame with.
pub fn value(frame_id: u32) -> u8 {
    (frame_id % 251) as u8
}

/// A child that is killed at the end.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The reference producer, as a process of its own.
pub struct Producer {
    child: Running,
    pub address: Address,
    _folder: tempfile::TempDir,
}

impl Producer {
    pub fn start(arguments: &[impl AsRef<OsStr>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = format!("ipc://{}/sync", folder.path().display());
        let shm_name = format!("cvmmap_stress_{}_{}", process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
        let mut child = Command::new(program())
            .args(["--shm", &shm_name, "--endpoint", &endpoint])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let address = Address::new(&shm_name, &endpoint, Some("reference")).unwrap();
        Self { child: Running(child), address, _folder: folder }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = fs::remove_file(Path::new("/dev/shm").join(self.address.shm_name()));
    }
}

/// `target/<profile>/examples/reference_producer`; this test is in `target/<profile>/deps`.
fn program() -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("reference_producer");
    assert!(program.exists(), "{}: build it with cargo build -p cvmmap --examples", program.display());
    program
}

/// A producer whose writes are spread over a part of its interval, in hundredths, and what else it does.
pub fn filler(fps: u32, part: u32, more: &str) -> Vec<String> {
    let fill = 10 * part / fps;
    let flags = format!("--fps {fps} --width 1280 --height 720 --fill-ms {fill} {more}");
    flags.split_whitespace().map(str::to_owned).collect()
}
