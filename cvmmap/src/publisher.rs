//! Being a producer: a segment, an endpoint, and frames in them.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FallocateFlags, FlockOperation, Mode, OFlags, Stat, fallocate},
    io::Errno,
};

use crate::{
    address::Address,
    frame::{Frame, PlaneImage},
    guarded_mapping::{Access, Cut, GuardedMapping, Rows},
    header_first, incumbent,
    metadata::{Abi, METADATA_SIZE, Metadata, MetadataBytes, PLANES, Plane, PlaneKind, mark_header_first},
    permissions::{Permissions, socket_mode},
    pub_socket::{PubSocket, is_listened_on},
    publish_error::PublishError,
    segment::shm_path,
    sync::SyncMessage,
};

/// Tries to write a frame whole while somebody cuts the segment off.
const TRIES: usize = 8;

/// Publishes frames at an address, in an order that no coherent reader can misread: the header is given the new frame
/// id first, then the payload is written, then the whole metadata, then the frame is announced.
///
/// ```no_run
#[doc = include_str!("../examples/publish_frames.rs")]
/// ```
///
/// # Threads
/// It is `Send`, and for one thread at a time. No call waits for a reader, whether there are any or not; ZeroMQ sends from a
/// thread of its own.
pub struct Publisher {
    // Before `segment`: consumers lose the endpoint first, then the segment.
    endpoint: PubSocket,
    segment: OwnedSegment,
    label: String,
    abi: Abi,
    publish_seq: u64,
    next_frame_id: u32,
    last_metadata: Option<MetadataBytes>,
}

impl Publisher {
    /// Makes the segment and the endpoint of an address; both are removed when the publisher is dropped. What a dead
    /// producer left behind is replaced. Whoever may read by the process's umask may read the frames.
    ///
    /// # Errors
    /// [`PublishError::Busy`] or [`PublishError::Taken`] when a live producer has the name or the endpoint.
    pub fn create(address: &Address, abi: Abi) -> Result<Self, PublishError> {
        Self::create_for(address, abi, Permissions::default())
    }

    /// Like [`create`](Self::create), for readers of one's choice.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_for(address: &Address, abi: Abi, permissions: Permissions) -> Result<Self, PublishError> {
        let label = address.label().ok_or(PublishError::NoLabel)?.to_owned();
        if let Some(path) = address.socket_path()
            && is_listened_on(path)
        {
            return Err(PublishError::Busy(address.zmq_endpoint().to_owned()));
        }
        // The segment's lock decides between two that start at once; only its holder may bind.
        let (segment, endpoint) = match Remains::find(address)? {
            None => {
                let segment = OwnedSegment::create(address, permissions)?;
                let endpoint = PubSocket::bind(address)?;
                (segment, endpoint)
            }
            Some(remains) => {
                // Before anything is touched: a taken endpoint shows that they are somebody's.
                let endpoint = PubSocket::bind(address)?;
                (remains.replace(permissions)?, endpoint)
            }
        };
        endpoint.open_to(socket_mode(segment.mode()?))?;
        Ok(Self { endpoint, segment, label, abi, publish_seq: 0, next_frame_id: 0, last_metadata: None })
    }

    /// Publishes one frame and returns its frame id. The planes are copied into the segment; the segment grows to the largest
    /// frame, and stays as large.
    ///
    /// # Errors
    /// When the frame does not fit the layout, or the segment (no space left in `/dev/shm`) or the endpoint fails.
    pub fn publish(&mut self, frame: &Frame<'_>) -> Result<u32, PublishError> {
        let metadata = self.describe(frame)?;
        let mut bytes = metadata.to_bytes();
        mark_header_first(&mut bytes);
        if let Some(last) = &mut self.last_metadata {
            // The old frame's header under the new id: no reader that knows either frame takes it.
            last[0x0C..0x10].copy_from_slice(&bytes[0x0C..0x10]);
        }
        self.segment.write(self.last_metadata.as_ref(), frame.planes, &metadata, &bytes)?;
        self.last_metadata = Some(bytes);
        self.publish_seq += 1;
        self.next_frame_id = metadata.frame_id.wrapping_add(1);
        self.endpoint.send(&SyncMessage::new(metadata.frame_id, metadata.timestamp_ns, &self.label))?;
        Ok(metadata.frame_id)
    }

    /// Counts frame ids from 0 again: the source starts over. They start at 0, and wrap at 2^32.
    pub fn start_over(&mut self) {
        self.next_frame_id = 0;
    }

    fn describe(&self, frame: &Frame<'_>) -> Result<Metadata, PublishError> {
        if frame.planes.first().map(|plane| plane.kind) != Some(PlaneKind::Left) {
            return Err(PublishError::Frame("a frame needs a left plane"));
        }
        if self.abi == Abi::V1 && frame.planes.len() > 1 {
            return Err(PublishError::Frame("ABI v1 holds the left plane alone"));
        }
        let mut planes = [None; PLANES];
        let mut offset: u32 = 0;
        for image in frame.planes {
            let plane = describe_plane(image, offset, self.abi)?;
            offset =
                plane.offset.checked_add(plane.size).ok_or(PublishError::Frame("the frame is larger than 4 GiB"))?;
            planes[image.kind as usize] = Some(plane);
        }
        Ok(Metadata {
            abi: self.abi,
            frame_id: self.next_frame_id,
            timestamp_ns: frame.timestamp_ns,
            publish_seq: self.publish_seq,
            payload_size: offset,
            depth_unit: frame.depth_unit,
            encoded: frame.encoded,
            planes,
        })
    }
}

fn describe_plane(image: &PlaneImage<'_>, offset: u32, abi: Abi) -> Result<Plane, PublishError> {
    let encoded = image.kind == PlaneKind::Encoded;
    let side = if encoded { u32::MAX } else { u16::MAX.into() };
    if image.width == 0 || image.height == 0 || image.width > side || image.height > side {
        return Err(PublishError::Frame("a picture is 1 to 65535 pixels wide and high"));
    }
    let row = u64::from(image.width) * u64::from(image.pixel_format.channels()) * u64::from(image.depth.size());
    let rows = u64::from(image.height);
    let stride = u64::from(image.stride);
    if stride < row || (image.data.len() as u64) < (rows - 1) * stride + row {
        return Err(PublishError::Frame("the plane's data are too short"));
    }
    // v1 has no stride: its rows are packed.
    let stride = if abi == Abi::V1 { row } else { stride };
    let size = u32::try_from(stride * rows).map_err(|_| PublishError::Frame("the plane is larger than 4 GiB"))?;
    Ok(Plane {
        pixel_format: image.pixel_format,
        depth: image.depth,
        width: image.width,
        height: image.height,
        stride: stride as u32,
        offset,
        size,
    })
}

/// What a dead producer left under a segment's name, held with the lock that a live one of ours would have.
struct Remains {
    _lock: OwnedFd,
    path: PathBuf,
}

impl Remains {
    /// What there is under the name, if anything is.
    fn find(address: &Address) -> Result<Option<Self>, PublishError> {
        let path = shm_path(address.shm_name());
        let fd = match open_locked(&path, OFlags::empty(), Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::WOULDBLOCK) => return Err(busy(&path)),
            Err(error) => return Err(failed(&path, error)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|error| failed(&path, error))?;
        // Another publisher has replaced it between the opening and the lock.
        if !is_at(&stat, &path) {
            return Err(busy(&path));
        }
        match incumbent::find(&fd, address.shm_name()) {
            Some(incumbent) => Err(PublishError::Taken { path, how: incumbent.to_string() }),
            None => Ok(Some(Self { _lock: fd, path })),
        }
    }

    /// Puts a new segment in their place. Readers may still map the old one, so it is not written again.
    fn replace(self, permissions: Permissions) -> Result<OwnedSegment, PublishError> {
        // At once, and under the old one's lock until then: the name is never free for a second publisher.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!(".cvmmap-{}-{}", std::process::id(), since_1970.as_nanos());
        let aside = self.path.with_file_name(name);
        let mut segment = OwnedSegment::create_at(aside, permissions)?;
        rustix::fs::rename(&segment.path, &self.path).map_err(|error| failed(&self.path, error))?;
        segment.path = self.path;
        Ok(segment)
    }
}

fn busy(path: &Path) -> PublishError {
    PublishError::Busy(path.display().to_string())
}

fn failed(path: &Path, error: Errno) -> PublishError {
    PublishError::Segment { path: path.to_owned(), source: error.into() }
}

/// Whether a path stands for a file.
fn is_at(file: &Stat, path: &Path) -> bool {
    rustix::fs::stat(path).is_ok_and(|there| (there.st_dev, there.st_ino) == (file.st_dev, file.st_ino))
}

/// The segment, held with a lock that another publisher of ours sees, and unlinked at the end.
struct OwnedSegment {
    fd: OwnedFd,
    path: PathBuf,
    /// Bytes that have been there; somebody may have cut them off.
    size: u64,
    mapping: Option<GuardedMapping>,
}

impl OwnedSegment {
    fn create(address: &Address, permissions: Permissions) -> Result<Self, PublishError> {
        Self::create_at(shm_path(address.shm_name()), permissions)
    }

    fn create_at(path: PathBuf, permissions: Permissions) -> Result<Self, PublishError> {
        let fd = match open_locked(&path, OFlags::CREATE | OFlags::EXCL, permissions.initial()) {
            Ok(fd) => fd,
            Err(Errno::EXIST | Errno::WOULDBLOCK) => return Err(busy(&path)),
            Err(error) => return Err(failed(&path, error)),
        };
        let segment = Self { fd, path, size: 0, mapping: None };
        if let Some(mode) = permissions.mode() {
            // Whatever the umask took.
            rustix::fs::fchmod(&segment.fd, Mode::from_raw_mode(mode)).map_err(|error| segment.failed(error))?;
        }
        Ok(segment)
    }

    fn mode(&self) -> Result<Mode, PublishError> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|error| self.failed(error))?;
        Ok(Mode::from_raw_mode(stat.st_mode))
    }

    /// Writes a frame over the last one. What somebody cuts off meanwhile grows again, and all of it is written again.
    fn write(
        &mut self,
        last: Option<&MetadataBytes>,
        planes: &[PlaneImage<'_>],
        metadata: &Metadata,
        bytes: &MetadataBytes,
    ) -> Result<(), PublishError> {
        let size = METADATA_SIZE as u64 + u64::from(metadata.payload_size);
        for _ in 0..TRIES {
            let written = write_frame(self.hold(size)?, last, planes, metadata, bytes);
            // In its last page a segment ends without a fault.
            if written.is_ok() && self.actual_size()? >= size {
                return Ok(());
            }
            (self.size, self.mapping) = (0, None);
        }
        Err(PublishError::CutOff(self.path.clone()))
    }

    /// Makes the segment at least this large, and maps it. It is never made smaller: a reader may have mapped all of it.
    fn hold(&mut self, size: u64) -> Result<&mut GuardedMapping, PublishError> {
        if self.size < size {
            // With its memory: an error now instead of missing pages under the copy.
            let allocated = rustix::io::retry_on_intr(|| fallocate(&self.fd, FallocateFlags::empty(), 0, size));
            match allocated {
                // Not everything that may be mounted there can.
                Err(Errno::OPNOTSUPP) if self.actual_size()? < size => rustix::fs::ftruncate(&self.fd, size),
                Err(Errno::OPNOTSUPP) => Ok(()),
                allocated => allocated,
            }
            .map_err(|source| self.failed(source))?;
            self.size = size;
            self.mapping = None;
        }
        match &mut self.mapping {
            Some(mapping) => Ok(mapping),
            slot => {
                let failed = |source| PublishError::Segment { path: self.path.clone(), source };
                let length = usize::try_from(self.size).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
                Ok(slot.insert(GuardedMapping::new(&self.fd, length, Access::Write).map_err(failed)?))
            }
        }
    }

    /// Bytes of the segment now.
    fn actual_size(&self) -> Result<u64, PublishError> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|source| self.failed(source))?;
        Ok(stat.st_size.max(0) as u64)
    }

    fn failed(&self, source: Errno) -> PublishError {
        failed(&self.path, source)
    }
}

impl Drop for OwnedSegment {
    fn drop(&mut self) {
        // Only what is ours: somebody may have replaced it.
        if rustix::fs::fstat(&self.fd).is_ok_and(|ours| is_at(&ours, &self.path)) {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

/// Writes in the order that a coherent reader relies on.
fn write_frame(
    mapping: &mut GuardedMapping,
    last: Option<&MetadataBytes>,
    planes: &[PlaneImage<'_>],
    metadata: &Metadata,
    bytes: &MetadataBytes,
) -> Result<(), Cut> {
    let write_metadata = |mapping: &mut GuardedMapping, bytes: &MetadataBytes| {
        mapping.write(0, METADATA_SIZE, bytes, METADATA_SIZE, Rows::one(METADATA_SIZE))
    };
    header_first::write(
        mapping,
        |mapping| last.map_or(Ok(()), |last| write_metadata(mapping, last)),
        |mapping| {
            for (image, plane) in planes.iter().zip(metadata.planes.iter().flatten()) {
                let rows = Rows { bytes: plane.row_bytes() as usize, count: plane.height as usize };
                let offset = METADATA_SIZE + plane.offset as usize;
                mapping.write(offset, plane.stride as usize, image.data, image.stride as usize, rows)?;
            }
            Ok(())
        },
        |mapping| write_metadata(mapping, bytes),
    )
}

/// Opens a segment for writing and locks it for the life of the descriptor.
fn open_locked(path: &Path, more: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    let fd = rustix::fs::open(path, flags, mode)?;
    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
    Ok(fd)
}
