//! A producer's shared memory segment, as a file: it is read with `pread`, for a producer may cut it off at any time
//! and a read through a mapping would then raise SIGBUS.

use std::{
    io::{self, IoSliceMut},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

/// Slices filled by one system call (the kernel's limit).
const SLICES_PER_READ: usize = 1024;
/// Bytes of row padding that one system call may read to nowhere; wider padding is skipped row by row.
const PADDING_PER_READ: usize = 64 << 10;

/// Path of a POSIX shared memory object on Linux (`shm_overview(7)`).
pub(crate) fn shm_path(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

/// Identity of the file behind a name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Stat> for FileId {
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// An open segment.
pub(crate) struct Segment {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
}

impl Segment {
    /// Opens the segment that has the name now, for reading.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // NONBLOCK: a FIFO put in the segment's place must not hang the open.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a shared memory segment"));
        }
        Ok(Self { fd, path: path.to_owned(), id: FileId::from(&stat) })
    }

    /// Whether the name still stands for this segment: a producer that restarts makes a new one.
    pub(crate) fn is_current(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|stat| FileId::from(&stat) == self.id)
    }

    /// Bytes of the segment now.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_size.max(0) as u64)
    }

    /// Fills `target` from `offset`.
    ///
    /// An `UnexpectedEof` error says that the segment ends before.
    pub(crate) fn read_exact_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < target.len() {
            match rustix::io::pread(&self.fd, &mut target[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Copies `rows` of `row_bytes`, `source_stride` apart from `offset` on, to rows `target_stride` apart.
    pub(crate) fn read_rows_at(
        &self,
        target: &mut [u8],
        target_stride: usize,
        row_bytes: usize,
        source_stride: usize,
        rows: usize,
        offset: u64,
    ) -> io::Result<()> {
        let last_row = (rows - 1) * target_stride;
        if source_stride == target_stride {
            return self.read_exact_at(&mut target[..last_row + row_bytes], offset);
        }
        let gap = source_stride - row_bytes;
        let rows_per_read = match gap {
            0 => SLICES_PER_READ,
            _ => (PADDING_PER_READ / gap).clamp(1, SLICES_PER_READ / 2),
        };
        let mut padding = vec![0; if rows_per_read > 1 { gap * rows_per_read } else { 0 }];
        let target = &mut target[..last_row + row_bytes];
        for (batch, chunk) in target.chunks_mut(target_stride * rows_per_read).enumerate() {
            let start = offset + (batch * rows_per_read * source_stride) as u64;
            let rows = chunk.chunks_mut(target_stride).map(|row| IoSliceMut::new(&mut row[..row_bytes]));
            let mut slices = if padding.is_empty() {
                rows.collect::<Vec<_>>()
            } else {
                let padding = padding.chunks_mut(gap).map(IoSliceMut::new);
                let mut slices = rows.zip(padding).flat_map(|(row, padding)| [row, padding]).collect::<Vec<_>>();
                // What stands behind the last row is not asked for, and may not be there.
                slices.pop();
                slices
            };
            self.read_slices_at(&mut slices, start)?;
        }
        Ok(())
    }

    fn read_slices_at(&self, mut slices: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        while !slices.is_empty() {
            match rustix::io::preadv(&self.fd, slices, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    offset += count as u64;
                    IoSliceMut::advance_slices(&mut slices, count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
