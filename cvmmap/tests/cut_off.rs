//! Segments that somebody cuts off while they are copied, and the SIGBUS handler that makes an error of it: it takes
//! nothing away from the program that it lives in. What a process does with the signal shows in a process of its own, so
//! each case is this program once more, with the name of a scene. `CVMMAP_STRESS_TIMES=20` makes it twenty times as long.

use std::{
    env,
    ffi::{c_int, c_void},
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    mem,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio, id},
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::Instant,
};

use cvmmap::{
    Abi, Address, Arrival, Coherence, Depth, DepthUnit, Frame, METADATA_SIZE, Metadata, PixelFormat, Plane, PlaneImage,
    PlaneKind, PublishError, Publisher, SnapshotError, SnapshotReader, SyncMessage,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

const WIDTH: u32 = 1024;
const HEIGHT: u32 = 1024;
const PAYLOAD: usize = (WIDTH * HEIGHT) as usize;
const SIZE: u64 = (METADATA_SIZE + PAYLOAD) as u64;

/// The scene that this process is to play, and the segment that it plays with.
const SCENE: &str = "CVMMAP_TEST_SCENE";
const SEGMENT: &str = "CVMMAP_TEST_SEGMENT";

static NAMES: AtomicU32 = AtomicU32::new(0);

/// A segment's name of this test's own.
struct Place(String);

impl Place {
    fn new() -> Self {
        Self(format!("cvmmap_cut_{}_{}", id(), NAMES.fetch_add(1, Ordering::Relaxed)))
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }

    fn address(&self, folder: &tempfile::TempDir) -> Address {
        Address::new(&self.0, &format!("ipc://{}/sync", folder.path().display()), Some("cut")).unwrap()
    }

    fn reader(&self) -> SnapshotReader {
        SnapshotReader::new(&Address::new(&self.0, "ipc:///none", None).unwrap(), Coherence::Metadata)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn metadata() -> Metadata {
    let (pixel_format, depth, size) = (PixelFormat::Gray, Depth::U8, PAYLOAD as u32);
    let left = Plane { pixel_format, depth, width: WIDTH, height: HEIGHT, stride: WIDTH, offset: 0, size };
    Metadata {
        abi: Abi::V2 { minor: 0 },
        frame_id: 1,
        timestamp_ns: 1,
        publish_seq: 1,
        payload_size: size,
        depth_unit: DepthUnit::Unknown,
        encoded: None,
        planes: [Some(left), None, None, None],
    }
}

/// A segment with frame 1.
fn fill(path: &Path) -> fs::File {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(&metadata().to_bytes(), 0).unwrap();
    file
}

fn now() -> Arrival {
    Arrival { at: Instant::now(), waited: true }
}

/// Reads frame 1. The segment is cut off behind its metadata before the payload is copied, if that is asked for.
fn read(reader: &mut SnapshotReader, cut: Option<&fs::File>, target: &mut [u8]) -> Result<Metadata, SnapshotError> {
    let mut snapshot = reader.begin(&SyncMessage::new(1, 1, ""), now())?;
    if let Some(file) = cut {
        file.set_len(METADATA_SIZE as u64).unwrap();
    }
    snapshot.read(PlaneKind::Left, target, WIDTH as usize)?;
    snapshot.finish()
}

/// A copy whose segment is cut off under it fails, and the next one succeeds.
fn survive_a_cut() {
    let place = Place::new();
    let file = fill(&place.path());
    let mut reader = place.reader();
    let mut target = vec![1; PAYLOAD];
    for _ in 0..3 {
        assert!(matches!(read(&mut reader, Some(&file), &mut target), Err(SnapshotError::Truncated)));
        file.set_len(SIZE).unwrap();
        read(&mut reader, None, &mut target).unwrap();
    }
}

/// Reads memory that is not there, as some other part of a program may.
fn fault() {
    let place = Place::new();
    let file = fill(&place.path());
    // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
    let at = unsafe { mmap(ptr::null_mut(), 4096, ProtFlags::READ, MapFlags::SHARED, &file, 0).unwrap() };
    file.set_len(0).unwrap();
    drop(place);
    // SAFETY: mapped; that the page is not there is what the tests are about.
    unsafe { at.cast::<u8>().read_volatile() };
}

/// One fault after the other, as fast as they are mended.
fn fault_on_every_page() {
    const PAGES: usize = 4_000;
    let place = Place::new();
    let file = fill(&place.path());
    // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
    let at = unsafe { mmap(ptr::null_mut(), PAGES * 4096, ProtFlags::READ, MapFlags::SHARED, &file, 0).unwrap() };
    file.set_len(0).unwrap();
    for page in 0..PAGES {
        // SAFETY: mapped; that the page is not there is what the test is about.
        unsafe { at.cast::<u8>().add(page * 4096).read_volatile() };
    }
}

fn set_action(handler: usize, flags: c_int) {
    // SAFETY: all zeros is a sigaction; the handlers here do what a handler may.
    unsafe {
        let mut action = mem::zeroed::<libc::sigaction>();
        (action.sa_sigaction, action.sa_flags) = (handler, flags);
        assert_eq!(libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()), 0);
    }
}

static FAULTS: AtomicUsize = AtomicUsize::new(0);
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Gives the program's own fault a page.
extern "C" fn mend(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    FAULTS.fetch_add(1, Ordering::Relaxed);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    // SAFETY: replaces the page that is not there.
    unsafe { mmap_anonymous((*info).si_addr().map_addr(|at| at & !4095), 4096, ProtFlags::READ, flags).unwrap() };
}

extern "C" fn note(_: c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn send_to_oneself() {
    // SAFETY: sends a signal.
    assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
}

/// Long enough for a copy to begin, and to miss its pages.
fn pause() {
    (0..5_000).for_each(|_| std::hint::spin_loop());
}

fn play(scene: &str, segment: &Path) {
    match scene {
        // Both go on until they are killed.
        "cutter" => {
            let file = OpenOptions::new().write(true).open(segment).unwrap();
            println!("ready");
            loop {
                file.set_len(0).unwrap();
            }
        }
        "cutter that mends" => {
            let file = OpenOptions::new().write(true).open(segment).unwrap();
            let bytes = metadata().to_bytes();
            println!("ready");
            loop {
                file.set_len(0).unwrap();
                pause();
                file.set_len(SIZE).unwrap();
                file.write_all_at(&bytes, 0).unwrap();
                pause();
            }
        }
        "program with a handler" => {
            set_action(mend as *const () as usize, libc::SA_SIGINFO);
            survive_a_cut();
            assert_eq!(FAULTS.load(Ordering::Relaxed), 0);
            fault();
            survive_a_cut();
            assert_eq!(FAULTS.load(Ordering::Relaxed), 1);
        }
        "handler that comes later" => {
            survive_a_cut();
            set_action(mend as *const () as usize, libc::SA_SIGINFO);
            survive_a_cut();
            fault();
            assert_eq!(FAULTS.load(Ordering::Relaxed), 1);
        }
        // Another thread of the program faults all the time, and so while the crate takes the signal over.
        "handler that is busy" => {
            set_action(mend as *const () as usize, libc::SA_SIGINFO);
            let faulting = std::thread::spawn(fault_on_every_page);
            while FAULTS.load(Ordering::Relaxed) == 0 {
                std::hint::spin_loop();
            }
            survive_a_cut();
            faulting.join().unwrap();
        }
        "plain handler" => {
            set_action(note as *const () as usize, 0);
            survive_a_cut();
            send_to_oneself();
            assert_eq!(SIGNALS.load(Ordering::Relaxed), 1);
        }
        "signal ignored" => {
            set_action(libc::SIG_IGN, 0);
            survive_a_cut();
            send_to_oneself();
        }
        "signal blocked" => {
            // SAFETY: the set is initialised before it is used.
            unsafe {
                let mut all = mem::zeroed();
                libc::sigfillset(&mut all);
                libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
            }
            std::thread::spawn(survive_a_cut).join().unwrap();
        }
        "fault of its own" => {
            set_action(libc::SIG_DFL, 0);
            survive_a_cut();
            fault();
        }
        "fault of its own, ignored" => {
            set_action(libc::SIG_IGN, 0);
            survive_a_cut();
            fault();
        }
        "signal of its own" => {
            set_action(libc::SIG_DFL, 0);
            survive_a_cut();
            send_to_oneself();
        }
        // Rust's own handler, which looks for stack overflows.
        "fault of a Rust program" => {
            survive_a_cut();
            fault();
        }
        unknown => panic!("{unknown}"),
    }
}

#[test]
#[ignore = "what the other tests start"]
fn scene() {
    play(&env::var(SCENE).unwrap(), env::var_os(SEGMENT).unwrap_or_default().as_ref());
}

fn start(scene: &str, segment: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "scene", "--nocapture"]).env(SCENE, scene).env(SEGMENT, segment);
    command
}

fn outcome(scene: &str) -> ExitStatus {
    start(scene, Path::new("")).stdout(Stdio::null()).status().unwrap()
}

/// Somebody who cuts a segment off without a pause; killed at the end.
struct Cutter(Child, Option<BufReader<ChildStdout>>);

impl Cutter {
    fn start(scene: &str, segment: &Path) -> Self {
        let mut cutter = Self(start(scene, segment).stdout(Stdio::piped()).spawn().unwrap(), None);
        // Kept open: the test harness says something after a while.
        let lines = cutter.1.insert(BufReader::new(cutter.0.stdout.take().unwrap()));
        assert!(lines.lines().any(|line| line.unwrap().ends_with("ready")));
        cutter
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_segment_that_is_cut_off_again_and_again_is_an_error_each_time() {
    let place = Place::new();
    let file = fill(&place.path());
    let mut reader = place.reader();
    let mut target = vec![1; PAYLOAD];
    let mut cutter = Cutter::start("cutter that mends", &place.path());
    let mut cut = 0;
    let times = env::var("CVMMAP_STRESS_TIMES").map_or(1, |times| times.parse().unwrap());
    while cut < 200 * times {
        assert!(cutter.0.try_wait().unwrap().is_none(), "the cutter is gone");
        // It may be cut off now, too.
        let Ok(mut snapshot) = reader.begin(&SyncMessage::new(1, 1, ""), now()) else { continue };
        match snapshot.read(PlaneKind::Left, &mut target, WIDTH as usize) {
            Ok(()) => {}
            Err(SnapshotError::Truncated) => cut += 1,
            Err(error) => panic!("{error}"),
        }
    }
    drop(cutter);
    file.set_len(SIZE).unwrap();
    file.write_all_at(&metadata().to_bytes(), 0).unwrap();
    read(&mut reader, None, &mut target).unwrap();
}

#[test]
fn a_publisher_whose_segment_is_cut_off_writes_it_again() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::create(&place.address(&folder), Abi::V2 { minor: 0 }).unwrap();
    let data = (0..PAYLOAD).map(|byte| (byte % 251) as u8).collect::<Vec<_>>();
    let Plane { pixel_format, depth, width, height, stride, .. } = *metadata().plane(PlaneKind::Left).unwrap();
    let left = PlaneImage { kind: PlaneKind::Left, pixel_format, depth, width, height, stride, data: &data };
    let mut publish = || {
        publisher.publish(&Frame { timestamp_ns: 1, planes: &[left], depth_unit: DepthUnit::Unknown, encoded: None })
    };
    publish().unwrap();
    let cutter = Cutter::start("cutter", &place.path());
    loop {
        match publish() {
            Ok(_) => {}
            Err(PublishError::CutOff(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    drop(cutter);
    // In between two frames, anywhere in it.
    let file = OpenOptions::new().write(true).open(place.path()).unwrap();
    for size in [0, 100, 5_000, SIZE - 1] {
        file.set_len(size).unwrap();
        publish().unwrap();
        assert!(fs::read(place.path()).unwrap()[METADATA_SIZE..] == data, "cut to {size}");
    }
}

#[test]
fn a_fault_goes_where_it_went_before_also_while_the_signal_is_taken_over() {
    for _ in 0..20 {
        let status = outcome("handler that is busy");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn what_lies_between_rows_is_left_as_it_is() {
    let place = Place::new();
    let file = fill(&place.path());
    let left = Plane { width: WIDTH / 2, ..*metadata().plane(PlaneKind::Left).unwrap() };
    file.write_all_at(&Metadata { planes: [Some(left), None, None, None], ..metadata() }.to_bytes(), 0).unwrap();
    let mut reader = place.reader();
    let mut target = vec![0xA5; PAYLOAD];
    let mut snapshot = reader.begin(&SyncMessage::new(1, 1, ""), now()).unwrap();
    snapshot.read(PlaneKind::Left, &mut target, WIDTH as usize).unwrap();
    let rows = target.chunks(WIDTH as usize).map(|row| row.split_at(WIDTH as usize / 2));
    for (pixels, padding) in rows {
        assert!(pixels.iter().all(|byte| *byte == 0) && padding.iter().all(|byte| *byte == 0xA5));
    }
}

#[test]
fn faults_of_the_program_go_where_they_went_before() {
    for scene in
        ["program with a handler", "handler that comes later", "plain handler", "signal ignored", "signal blocked"]
    {
        let status = outcome(scene);
        assert!(status.success(), "{scene}: {status}");
    }
    for scene in ["fault of its own", "fault of its own, ignored", "signal of its own", "fault of a Rust program"] {
        let status = outcome(scene);
        assert_eq!(status.signal(), Some(libc::SIGBUS), "{scene}: {status}");
    }
}
