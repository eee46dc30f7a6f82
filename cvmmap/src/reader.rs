//! Coherent snapshots of a producer's frames.

use std::{io, ops::Range, path::PathBuf, thread, time::Instant};

use crate::{
    address::Address,
    coherence::{Cadence, Coherence, Verdict},
    event::Arrival,
    guarded_mapping::Rows,
    header_first,
    metadata::{METADATA_SIZE, Metadata, MetadataBytes, Plane, PlaneKind, is_header_first},
    segment::{Segment, shm_path},
    snapshot_error::SnapshotError,
    sync::SyncMessage,
};

/// Places of the payload that are looked at before and after a copy, and the bytes of each: a cache line, which costs no
/// more than a part of it.
const WITNESSES: usize = 32;
const WITNESS_BYTES: usize = 64;
/// Looks at them in the time for which they have to stay the same.
const AFTERLOOKS: u32 = 2;

/// Reads frames of one producer, following it through restarts.
///
/// For each announcement that a [`Subscriber`](crate::Subscriber) gives: [`begin`](Self::begin), copy the planes that are wanted,
/// [`finish`](Snapshot::finish). Between announcements it wants to [`look`](Self::look) at the payload at
/// [`look_at`](Self::look_at). Announcements of frames that are not wanted are told by [`observe`](Self::observe).
///
/// # Threads
/// It is `Send`, for one thread at a time, and has none. No call waits for the producer. With
/// [`Coherence::Cadence`] `finish` may sleep for a few milliseconds, behind a producer whose writes are slow.
pub struct SnapshotReader {
    path: PathBuf,
    segment: Option<Segment>,
    /// What is known of the producer's cadence, when it counts.
    cadence: Option<Cadence>,
    /// Of the last frame that was begun.
    witnesses: Witnesses,
    /// Size of the last picture.
    size: Option<(u32, u32)>,
}

/// What stands at places all over a payload.
struct Witnesses {
    payload_size: u32,
    bytes: [u8; WITNESSES * WITNESS_BYTES],
}

impl SnapshotReader {
    /// A reader of the segment at an address. The segment need not be there yet.
    pub fn new(address: &Address, coherence: Coherence) -> Self {
        let cadence = match coherence {
            Coherence::Cadence => Some(Cadence::new(Instant::now())),
            Coherence::Metadata => None,
        };
        let witnesses = Witnesses { payload_size: 0, bytes: [0; WITNESSES * WITNESS_BYTES] };
        Self { path: shm_path(address.shm_name()), segment: None, cadence, witnesses, size: None }
    }

    /// Learns the cadence from an announcement whose frame is not wanted.
    pub fn observe(&mut self, announced: &SyncMessage, arrival: Arrival) {
        if let Some(cadence) = &mut self.cadence {
            cadence.note_announcement(announced.frame_id, announced.timestamp_ns, arrival);
        }
    }

    /// Begins the snapshot of a frame whose announcement has arrived: its metadata are read and have to be those of
    /// the message. The reader learns the cadence from it, as from those that are only [observed](Self::observe).
    ///
    /// # Errors
    /// When there is no such frame in the segment now, or it is too late to copy it.
    pub fn begin(&mut self, announced: &SyncMessage, arrival: Arrival) -> Result<Snapshot<'_>, SnapshotError> {
        // The last chance to see what the write has changed.
        self.look();
        self.observe(announced, arrival);
        let mut found = self.find(announced);
        let is_stale = |segment: &Segment| match &found {
            Ok(found) => !found.is_linked,
            Err(_) => !segment.is_current(),
        };
        if self.segment.as_ref().is_some_and(is_stale) {
            // A restarted producer made a new one.
            self.segment = None;
            self.size = None;
            found = self.find(announced);
        }
        let Found { bytes, metadata, .. } = found?;
        // `find` has left it there.
        let segment = self.segment.as_mut().ok_or(SnapshotError::Truncated)?;
        let cadence = self.cadence.as_mut().filter(|_| !is_header_first(&bytes));
        let judged = match cadence {
            Some(cadence) => {
                if self.size != size(&metadata) {
                    self.size = size(&metadata);
                    cadence.note_other();
                }
                let now = Instant::now();
                let verdict = cadence.judge(announced.timestamp_ns, now);
                self.witnesses = Witnesses::of(segment, metadata.payload_size)?;
                cadence.watch(now);
                // Too late already: the copy can be saved.
                accept(verdict)?;
                Some(Judged { cadence, witnesses: &self.witnesses })
            }
            None => None,
        };
        Ok(Snapshot { segment, judged, bytes, metadata })
    }

    /// When to [look](Self::look) at the payload next, if nothing is announced until then. A reader that never looks does
    /// not learn how long the producer leaves the payload alone, and takes only frames that it copies at once.
    pub fn look_at(&self) -> Option<Instant> {
        self.cadence.as_ref()?.look_at()
    }

    /// Looks whether the producer has begun to write the next frame.
    pub fn look(&mut self) {
        let Some(cadence) = self.cadence.as_mut().filter(|cadence| cadence.look_at().is_some()) else { return };
        let from = Instant::now();
        let is_same = self.segment.as_mut().and_then(|segment| self.witnesses.are_the_same_in(segment).ok());
        match is_same {
            Some(is_same) => cadence.note_look(from, Instant::now(), !is_same),
            // A segment that was cut off says nothing about writes.
            None => cadence.stop_watching(),
        }
    }

    /// Looks for the announced frame in the segment, which is opened when it is not.
    fn find(&mut self, announced: &SyncMessage) -> Result<Found, SnapshotError> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            slot => slot.insert(
                Segment::open(&self.path)
                    .map_err(|source| SnapshotError::Unavailable { path: self.path.clone(), source })?,
            ),
        };
        let (bytes, extent) = segment.read_metadata()?;
        let metadata = Metadata::parse(&bytes, extent.size - METADATA_SIZE as u64)?;
        if (metadata.frame_id, metadata.timestamp_ns) != (announced.frame_id, announced.timestamp_ns) {
            return Err(SnapshotError::Superseded { announced: announced.frame_id, found: metadata.frame_id });
        }
        // On the other side of the copy, `finish` has its counterpart.
        header_first::begin_copy();
        Ok(Found { bytes, metadata, is_linked: extent.is_linked })
    }
}

/// The announced frame, as its metadata say.
struct Found {
    bytes: MetadataBytes,
    metadata: Metadata,
    is_linked: bool,
}

/// A snapshot under way: copy the planes that are wanted, then [`finish`](Snapshot::finish).
#[must_use = "what was copied counts only after finish()"]
pub struct Snapshot<'a> {
    segment: &'a mut Segment,
    /// When the metadata alone prove nothing.
    judged: Option<Judged<'a>>,
    bytes: MetadataBytes,
    metadata: Metadata,
}

/// What the payload is judged by.
struct Judged<'a> {
    cadence: &'a mut Cadence,
    /// Of the payload before the copy.
    witnesses: &'a Witnesses,
}

impl Snapshot<'_> {
    /// What the producer says of the frame.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Copies a plane to `target`, whose rows are `stride` bytes apart. A row has
    /// [`Plane::row_bytes`](crate::Plane::row_bytes); what lies between rows is left as it is. An encoded plane is one row, as
    /// long as its access unit.
    ///
    /// # Errors
    /// [`SnapshotError::NoPlane`] when the frame has none of this kind, [`SnapshotError::Truncated`] when the segment is too
    /// short by now.
    ///
    /// # Panics
    /// When `target` does not hold the plane's rows, or `stride` is less than a row.
    pub fn read(&mut self, kind: PlaneKind, target: &mut [u8], stride: usize) -> Result<(), SnapshotError> {
        let rows = 0..self.plane(kind)?.height;
        self.read_rows(kind, rows, target, stride)
    }

    /// Copies some rows of a plane as [`read`](Self::read) copies all of them, to the beginning of `target`. Row 0 is the
    /// first one; no rows are none.
    ///
    /// # Errors
    /// As there, and [`SnapshotError::NoRows`] for rows that the plane has not.
    ///
    /// # Panics
    /// When `target` does not hold the rows, or `stride` is less than a row.
    pub fn read_rows(
        &mut self,
        kind: PlaneKind,
        rows: Range<u32>,
        target: &mut [u8],
        stride: usize,
    ) -> Result<(), SnapshotError> {
        let plane = *self.plane(kind)?;
        if rows.end > plane.height {
            return Err(SnapshotError::NoRows { plane: kind, rows, height: plane.height });
        }
        if rows.is_empty() {
            return Ok(());
        }
        let row_bytes = plane.row_bytes() as usize;
        assert!(stride >= row_bytes, "rows overlap");
        let begin = u64::from(rows.start) * u64::from(plane.stride);
        let offset = METADATA_SIZE as u64 + u64::from(plane.offset) + begin;
        let rows = Rows { bytes: row_bytes, count: rows.len() };
        self.segment.read(offset, plane.stride as usize, target, stride, rows)?;
        Ok(())
    }

    fn plane(&self, kind: PlaneKind) -> Result<&Plane, SnapshotError> {
        self.metadata.plane(kind).ok_or(SnapshotError::NoPlane(kind))
    }

    /// Ends the snapshot: what was copied is the frame, unless its metadata changed meanwhile or, by the cadence, its
    /// pixels may have.
    ///
    /// # Errors
    /// [`SnapshotError::Torn`] or [`SnapshotError::Late`]; what was copied is to be thrown away.
    pub fn finish(self) -> Result<Metadata, SnapshotError> {
        // On some processors reads overtake each other.
        header_first::end_copy();
        if self.segment.read_metadata()?.0 != self.bytes {
            return Err(SnapshotError::Torn);
        }
        if let Some(mut judged) = self.judged {
            let looked = Instant::now();
            let is_same = judged.look(self.segment)?;
            // Whoever is late only now has looked too late, and refutes nothing.
            accept(judged.cadence.judge(self.metadata.timestamp_ns, looked))?;
            if !is_same || !judged.stays_the_same(self.segment)? {
                // One who slept for too long has seen the next write begin when it was due.
                if judged.cadence.is_quiet(self.metadata.timestamp_ns, Instant::now()) {
                    judged.cadence.note_refuted();
                }
                return Err(SnapshotError::Torn);
            }
        }
        Ok(self.metadata)
    }
}

impl Judged<'_> {
    /// Whether the payload is what it was before the copy.
    fn look(&mut self, segment: &mut Segment) -> io::Result<bool> {
        let from = Instant::now();
        let is_same = self.witnesses.are_the_same_in(segment)?;
        self.cadence.note_look(from, Instant::now(), !is_same);
        Ok(is_same)
    }

    /// Whether it still is after a while, if that is asked for: a writer that stands still now goes on.
    fn stays_the_same(&mut self, segment: &mut Segment) -> io::Result<bool> {
        let Some(longest) = self.cadence.afterlook() else { return Ok(true) };
        for _ in 0..AFTERLOOKS {
            thread::sleep(longest / AFTERLOOKS);
            if !self.look(segment)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Witnesses {
    /// Bytes from all over the payload, at equal distances. A write that goes on changes some of them, unless its picture is
    /// the one before.
    fn of(segment: &mut Segment, payload_size: u32) -> io::Result<Self> {
        let mut witnesses = Self { payload_size, bytes: [0; WITNESSES * WITNESS_BYTES] };
        let bytes = WITNESS_BYTES.min(payload_size as usize);
        if bytes > 0 {
            // Whole lines: the payload begins with one.
            let distance = (payload_size as usize - bytes) / (WITNESSES - 1) / WITNESS_BYTES * WITNESS_BYTES;
            let rows = Rows { bytes, count: WITNESSES };
            segment.read(METADATA_SIZE as u64, distance, &mut witnesses.bytes, WITNESS_BYTES, rows)?;
        }
        Ok(witnesses)
    }

    fn are_the_same_in(&self, segment: &mut Segment) -> io::Result<bool> {
        Ok(Self::of(segment, self.payload_size)?.bytes == self.bytes)
    }
}

/// Size of the picture that every frame has.
fn size(metadata: &Metadata) -> Option<(u32, u32)> {
    metadata.plane(PlaneKind::Left).map(|plane| (plane.width, plane.height))
}

fn accept(verdict: Verdict) -> Result<(), SnapshotError> {
    match verdict {
        Verdict::Whole => Ok(()),
        Verdict::Learning => Err(SnapshotError::Learning),
        Verdict::NeverWaited => Err(SnapshotError::NeverWaited),
        Verdict::Late { by, allowed } => Err(SnapshotError::Late { by, allowed }),
    }
}
