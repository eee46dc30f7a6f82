//! The example `read_frames`, among messages that are not its producer's.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use cvmmap::{Address, SyncMessage, Target};

const PATIENCE: Duration = Duration::from_secs(30);

/// Cargo puts examples into `target/<profile>/examples`; this test is in `target/<profile>/deps`.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("read_frames");
    assert!(program.exists(), "{} is missing: cargo build -p cvmmap --example read_frames", program.display());
    program
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// v1 metadata of a grey picture of 2x2, by the contract.
fn metadata(frame_id: u32, timestamp_ns: u64) -> [u8; 256] {
    let mut bytes = [0; 256];
    bytes[..10].copy_from_slice(b"CV-MMAP\0\x01\0");
    bytes[12..16].copy_from_slice(&frame_id.to_le_bytes());
    bytes[16..24].copy_from_slice(&timestamp_ns.to_le_bytes());
    bytes[24..28].copy_from_slice(&[2, 0, 2, 0]);
    bytes[28..31].copy_from_slice(&[1, 0, 4]);
    bytes[32] = 4;
    bytes
}

#[test]
fn it_goes_on_behind_foreign_messages() {
    let folder = tempfile::tempdir().unwrap();
    let instance = format!("read-{}", process::id());
    let target = Target::new(&instance, None, Some(folder.path().to_str().unwrap())).unwrap();
    let address = Address::from(&target);
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
    socket.bind(address.zmq_endpoint()).unwrap();
    let mut command = Command::new(example());
    let mut child = command.arg(target.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let _running = Running(child);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    assert_eq!(socket.recv_bytes(0).unwrap(), [1]);

    let segment = format!("/dev/shm/{}", address.shm_name());
    let deadline = Instant::now() + PATIENCE;
    let mut frame_id = 0;
    let line = loop {
        socket.send(&b"nothing of a producer's"[..], 0).unwrap();
        socket.send(&SyncMessage::new(frame_id, 1, "another").to_bytes()[..], 0).unwrap();
        let timestamp_ns = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        fs::write(&segment, [&metadata(frame_id, timestamp_ns)[..], &[frame_id as u8; 4]].concat()).unwrap();
        socket.send(&SyncMessage::new(frame_id, timestamp_ns, &instance).to_bytes()[..], 0).unwrap();
        frame_id += 1;
        // The reader learns the cadence from it.
        match told.recv_timeout(Duration::from_millis(30)) {
            Ok(line) => break line,
            Err(mpsc::RecvTimeoutError::Timeout) => assert!(Instant::now() < deadline, "no frame is told"),
            Err(error) => panic!("it has ended: {error}"),
        }
    };
    fs::remove_file(segment).unwrap();
    assert!(line.ends_with(": 2x2"), "{line}");
}
