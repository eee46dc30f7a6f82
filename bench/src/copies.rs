//! What a bare copy of a frame costs: from a shared mapping as large as the frame to a few buffers in turn, as a consumer
//! without any protocol would make it, and by `pread` of the same bytes.

use std::{fs::File, os::unix::fs::FileExt, path::Path, ptr, time::Duration};

use anyhow::Result;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::usage::thread_cpu;

/// Buffers that are filled in turn: as many as a pool has in use.
const TARGETS: usize = 4;

/// A segment, its shared mapping, and buffers to copy it to.
pub struct Copies {
    segment: File,
    mapping: Mapping,
    targets: Vec<Vec<u8>>,
    next: usize,
    bytes: usize,
}

struct Mapping {
    at: *mut std::ffi::c_void,
    length: usize,
}

impl Copies {
    /// Copies of a segment of its own, in `/dev/shm` as a producer's is.
    pub fn of_own(bytes: usize) -> Result<Self> {
        let file = tempfile::Builder::new().prefix("cvmmap-bench-").tempfile_in("/dev/shm")?;
        std::io::Write::write_all(&mut file.as_file(), &vec![0x5A; bytes])?;
        Self::of(file.into_file(), bytes)
    }

    /// Copies of the first bytes of a producer's segment.
    pub fn of_segment(path: &Path, bytes: usize) -> Result<Self> {
        Self::of(File::open(path)?, bytes)
    }

    fn of(segment: File, bytes: usize) -> Result<Self> {
        let flags = ProtFlags::READ;
        // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
        let at = unsafe { mmap(ptr::null_mut(), bytes, flags, MapFlags::SHARED, &segment, 0)? };
        let mapping = Mapping { at, length: bytes };
        let mut copies = Self { segment, mapping, targets: vec![vec![1; bytes]; TARGETS], next: 0, bytes };
        for _ in 0..2 * TARGETS {
            copies.memcpy();
        }
        Ok(copies)
    }

    /// CPU time of one memcpy.
    pub fn memcpy(&mut self) -> Duration {
        let target = self.targets[self.next].as_mut_ptr();
        self.next = (self.next + 1) % TARGETS;
        let began = thread_cpu();
        // SAFETY: both sides have `bytes` bytes and do not overlap. The file is as large as the mapping while this
        // process's own producers live, and what is read is looked at by nobody.
        unsafe { ptr::copy_nonoverlapping(self.mapping.at.cast::<u8>(), target, self.bytes) };
        std::hint::black_box(target);
        thread_cpu() - began
    }

    /// CPU time of one `pread`.
    pub fn pread(&mut self) -> Result<Duration> {
        let target = &mut self.targets[self.next];
        self.next = (self.next + 1) % TARGETS;
        let began = thread_cpu();
        self.segment.read_exact_at(target, 0)?;
        Ok(thread_cpu() - began)
    }

    /// Mean CPU time of memcpys one after the other, nanoseconds.
    pub fn mean_ns(&mut self, copies: u32) -> f64 {
        let total: Duration = (0..copies).map(|_| self.memcpy()).sum();
        total.as_nanos() as f64 / f64::from(copies)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        let _ = unsafe { munmap(self.at, self.length) };
    }
}
