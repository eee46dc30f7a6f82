//! A SIGBUS between the moment at which the crate's handler is in force and everything else: the handler that was there
//! before gets it already. This program puts a `sigaction` of its own in front of the C library's, which sends the signal
//! before it returns.

use std::{
    ffi::c_int,
    fs::{self, OpenOptions},
    mem,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process, ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    time::Instant,
};

use cvmmap::{
    Abi, Address, Arrival, Coherence, Depth, DepthUnit, METADATA_SIZE, Metadata, PixelFormat, Plane, PlaneKind,
    SnapshotReader, SyncMessage,
};

const SIDE: u32 = 1024;
const PAYLOAD: u32 = SIDE * SIDE;

/// Whether the signal is sent whenever a handler is put in force, how often it was, and how often ours was called.
static IS_ARMED: AtomicBool = AtomicBool::new(false);
static SENT: AtomicU32 = AtomicU32::new(0);
static CALLED: AtomicU32 = AtomicU32::new(0);
/// The C library's `sigaction`.
static NEXT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: c_int) {
    CALLED.fetch_add(1, Ordering::Relaxed);
}

/// Like the C library's, and sends the signal as soon as a SIGBUS handler is in force that takes the place of [`count`].
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(signal: c_int, action: *const libc::sigaction, before: *mut libc::sigaction) -> c_int {
    if NEXT.load(Ordering::Relaxed) == 0 {
        // SAFETY: the name ends with a NUL.
        let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"sigaction".as_ptr()) };
        NEXT.store(next.addr(), Ordering::Relaxed);
    }
    type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    // SAFETY: it is the function of that name, and gets what it is due.
    let result = unsafe { mem::transmute::<usize, Sigaction>(NEXT.load(Ordering::Relaxed))(signal, action, before) };
    if signal == libc::SIGBUS && !action.is_null() && IS_ARMED.load(Ordering::Relaxed) {
        SENT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: a signal that this thread sends to itself.
        unsafe { libc::raise(libc::SIGBUS) };
    }
    result
}

struct Segment(PathBuf);

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_signal_right_behind_the_exchange_of_handlers_goes_to_the_earlier_one() {
    // SAFETY: all zeros is a sigaction, and the handler does what a handler may.
    unsafe {
        let mut earlier = mem::zeroed::<libc::sigaction>();
        earlier.sa_sigaction = count as *const () as usize;
        assert_eq!(sigaction(libc::SIGBUS, &raw const earlier, ptr::null_mut()), 0);
    }
    IS_ARMED.store(true, Ordering::Relaxed);
    let name = format!("cvmmap_earlier_{}", process::id());
    let segment = Segment(Path::new("/dev/shm").join(&name));
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&segment.0).unwrap();
    file.set_len(METADATA_SIZE as u64 + u64::from(PAYLOAD)).unwrap();
    let (pixel_format, depth) = (PixelFormat::Gray, Depth::U8);
    let left = Plane { pixel_format, depth, width: SIDE, height: SIDE, stride: SIDE, offset: 0, size: PAYLOAD };
    let metadata = Metadata {
        abi: Abi::V2 { minor: 0 },
        frame_id: 1,
        timestamp_ns: 1,
        publish_seq: 1,
        payload_size: PAYLOAD,
        depth_unit: DepthUnit::Unknown,
        encoded: None,
        planes: [Some(left), None, None, None],
    };
    file.write_all_at(&metadata.to_bytes(), 0).unwrap();

    let mut reader = SnapshotReader::new(&Address::new(&name, "ipc:///none", None).unwrap(), Coherence::Metadata);
    let arrival = Arrival { at: Instant::now(), waited: true };
    let mut snapshot = reader.begin(&SyncMessage::new(1, 1, ""), arrival).unwrap();
    snapshot.read(PlaneKind::Left, &mut vec![0; PAYLOAD as usize], SIDE as usize).unwrap();
    snapshot.finish().unwrap();

    assert_eq!(SENT.load(Ordering::Relaxed), 1, "the crate's handler was put in force once");
    assert_eq!(CALLED.load(Ordering::Relaxed), 1, "and passed the signal on");
}
