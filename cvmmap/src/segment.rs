//! A producer's shared memory segment, as its readers see it.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, Stat};

use crate::{
    guarded_mapping::{Access, GuardedMapping, Rows},
    metadata::{METADATA_SIZE, MetadataBytes},
};

/// Bytes of a segment that a frame can use: its payload has less than 4 GiB. More is not mapped.
const SIZE_MAX: u64 = METADATA_SIZE as u64 + u32::MAX as u64;

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

/// What a segment is at a time.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Bytes of it.
    pub(crate) size: u64,
    /// Whether it has a name: the cheaper half of [`Segment::is_current`].
    pub(crate) is_linked: bool,
}

/// An open segment.
pub(crate) struct Segment {
    fd: OwnedFd,
    path: PathBuf,
    id: FileId,
    /// Made anew when the segment has grown, or was cut off under a copy.
    mapping: Option<GuardedMapping>,
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
        Ok(Self { fd, path: path.to_owned(), id: FileId::from(&stat), mapping: None })
    }

    /// Whether the name still stands for this segment: a producer that restarts makes a new one.
    pub(crate) fn is_current(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|stat| FileId::from(&stat) == self.id)
    }

    /// The metadata region, and what the segment is now.
    ///
    /// An `UnexpectedEof` error says that the segment ends before, here and below.
    pub(crate) fn read_metadata(&mut self) -> io::Result<(MetadataBytes, Extent)> {
        let mut bytes = [0; METADATA_SIZE];
        let extent = self.read(0, METADATA_SIZE, &mut bytes, METADATA_SIZE, Rows::one(METADATA_SIZE))?;
        Ok((bytes, extent))
    }

    /// Copies rows, `source_stride` apart from `offset` on, to rows `target_stride` apart.
    pub(crate) fn read(
        &mut self,
        offset: u64,
        source_stride: usize,
        target: &mut [u8],
        target_stride: usize,
        rows: Rows,
    ) -> io::Result<Extent> {
        let span = rows.span(source_stride).and_then(|span| u64::try_from(span).ok());
        let end = span.and_then(|span| span.checked_add(offset)).ok_or(io::ErrorKind::UnexpectedEof)?;
        if self.mapping.as_ref().is_none_or(|mapping| (mapping.length() as u64) < end) {
            self.map(end)?;
        }
        let mapping = self.mapping.as_mut().ok_or(io::ErrorKind::UnexpectedEof)?;
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if let Err(cut) = mapping.read(offset, source_stride, target, target_stride, rows) {
            self.mapping = None;
            return Err(cut.into());
        }
        // In its last page a segment ends without a fault, in zeros.
        let extent = self.extent()?;
        if extent.size < end { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(extent) }
    }

    fn extent(&self) -> io::Result<Extent> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(Extent { size: stat.st_size.max(0) as u64, is_linked: stat.st_nlink > 0 })
    }

    /// Maps all of the segment, if it is large enough.
    fn map(&mut self, least: u64) -> io::Result<()> {
        let size = self.extent()?.size.min(SIZE_MAX);
        if size < least {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // The old one first: both may not fit a small address space.
        self.mapping = None;
        self.mapping = Some(GuardedMapping::new(&self.fd, length, Access::Read)?);
        Ok(())
    }
}
