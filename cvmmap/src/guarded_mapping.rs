//! A shared mapping of a segment that anybody may cut off at any time. A copy from or to pages that are gone raises SIGBUS,
//! which would end the process; here it is an error. This is the crate's only unsafe code.
//!
//! Other processes write while a copy is made, which is a data race if Rust code makes it. So the copy is left to foreign
//! code that the compiler does not see into: the C library's `memcpy`, or for a whole frame a few lines of assembly. Rust
//! reads only what the copy left in its own memory, never the mapping, so nothing is looked at twice. What was copied while
//! somebody wrote is any mix of bytes, and every mix is a value of a byte; whether it is a frame, the coherence rule tells.

mod bulk_copy;
mod bus_error;

use std::{
    io,
    os::fd::AsFd,
    ptr::{self, NonNull},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What a mapping is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The bytes are not there: the segment ended before them, or the system had no memory for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

impl From<Cut> for io::Error {
    fn from(_: Cut) -> Self {
        io::ErrorKind::UnexpectedEof.into()
    }
}

/// Rows that are copied together.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// Bytes of each.
    pub(crate) bytes: usize,
    pub(crate) count: usize,
}

impl Rows {
    /// One row.
    pub(crate) fn one(bytes: usize) -> Self {
        Self { bytes, count: 1 }
    }

    /// Bytes from the first row's begin to the last one's end, when they begin this far apart.
    pub(crate) fn span(self, stride: usize) -> Option<usize> {
        let Some(last) = self.count.checked_sub(1) else { return Some(0) };
        last.checked_mul(stride)?.checked_add(self.bytes)
    }
}

pub(crate) struct GuardedMapping {
    start: NonNull<u8>,
    length: usize,
    access: Access,
    /// It lost its pages: it is no mapping of the segment any more.
    is_cut: bool,
}

// SAFETY: the mapping belongs to this value alone, and no thread is special to it.
unsafe impl Send for GuardedMapping {}
// SAFETY: through a shared reference nothing of the mapping is read or written.
unsafe impl Sync for GuardedMapping {}

impl GuardedMapping {
    /// Maps the first bytes of a file, which need not be there.
    pub(crate) fn new(file: impl AsFd, length: usize, access: Access) -> io::Result<Self> {
        bus_error::install()?;
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0)? };
        // The handler makes a pointer of the address.
        start.expose_provenance();
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length, access, is_cut: false })
    }

    /// Bytes that were mapped.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Copies rows that are `stride` apart from `offset` on to rows of `target` that are `target_stride` apart.
    ///
    /// # Panics
    /// When `target` does not hold them.
    pub(crate) fn read(
        &mut self,
        offset: usize,
        stride: usize,
        target: &mut [u8],
        target_stride: usize,
        rows: Rows,
    ) -> Result<(), Cut> {
        assert!(rows.span(target_stride).is_some_and(|span| span <= target.len()), "the target is too short");
        let from = self.at(offset, rows.span(stride))?;
        // SAFETY: both sides hold the rows, and the target is no part of the mapping.
        self.guard(|| unsafe { copy(bulk_copy::read, from, stride, target.as_mut_ptr(), target_stride, rows) })
    }

    /// Copies rows of `source` that are `source_stride` apart to rows that are `stride` apart from `offset` on.
    ///
    /// # Panics
    /// When `source` does not hold them, or the mapping is for reading.
    pub(crate) fn write(
        &mut self,
        offset: usize,
        stride: usize,
        source: &[u8],
        source_stride: usize,
        rows: Rows,
    ) -> Result<(), Cut> {
        assert!(self.access == Access::Write, "mapped for reading");
        assert!(rows.span(source_stride).is_some_and(|span| span <= source.len()), "the source is too short");
        let to = self.at(offset, rows.span(stride))?;
        // SAFETY: both sides hold the rows, and the source is no part of the mapping.
        self.guard(|| unsafe { copy(bulk_copy::write, source.as_ptr(), source_stride, to, stride, rows) })
    }

    /// Where bytes of the mapping are.
    fn at(&self, offset: usize, span: Option<usize>) -> Result<*mut u8, Cut> {
        let end = span.and_then(|span| span.checked_add(offset));
        match end {
            Some(end) if end <= self.length && !self.is_cut => Ok(self.start.as_ptr().wrapping_add(offset)),
            _ => Err(Cut),
        }
    }

    fn guard(&mut self, copy: impl FnOnce()) -> Result<(), Cut> {
        let writable = self.access == Access::Write;
        self.is_cut = !bus_error::survives(self.start, self.length, writable, copy);
        if self.is_cut { Err(Cut) } else { Ok(()) }
    }
}

impl Drop for GuardedMapping {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more, and it is mapped: by `new`, or by the handler in its place.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Copies rows, or all of them as one piece where nothing lies between them.
///
/// # Safety
/// Both sides are mapped for the rows' span at their stride, and do not overlap.
unsafe fn copy(
    piece: unsafe fn(*const u8, *mut u8, usize),
    from: *const u8,
    stride: usize,
    to: *mut u8,
    target_stride: usize,
    rows: Rows,
) {
    let (pieces, bytes) = match rows.span(stride) {
        Some(span) if stride == target_stride && stride == rows.bytes => (1, span),
        _ => (rows.count, rows.bytes),
    };
    for row in 0..pieces {
        let (from, to) = (from.wrapping_add(row * stride), to.wrapping_add(row * target_stride));
        // SAFETY: within the spans.
        unsafe { piece(from, to, bytes) };
    }
}
