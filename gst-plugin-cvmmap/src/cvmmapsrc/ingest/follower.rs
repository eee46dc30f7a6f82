//! Follows a producer: takes its announcements, copies the announced frames, queues them. Whoever has it goes on where
//! the last one stopped.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use cvmmap::{
    Address, Coherence, Diagnosis, Event, PlaneKind, SharedSubscriber, SnapshotError, SnapshotReader, SyncMessage,
};
use gst::{glib, prelude::*};

use super::{
    frame_queue::{FrameQueue, Limit, Pushed, Queued, Session},
    sequence::Step,
    stall::Stall,
};
use crate::cvmmapsrc::{
    buffers::{canvas::Canvases, fitted::fitted},
    category::CAT,
    planes::{
        copy::{Copied, Copier, Outcome},
        media::Media,
        planar::Form,
        plane::PlaneSettings,
    },
    stats::{Count, Stats},
};

/// Access units that may wait for downstream: two seconds at 30 a second, for a decoder needs every one. The memory
/// includes that of attached planes.
const UNITS_MAX: Limit = Limit { frames: 60, bytes: 256 << 20 };
/// Frames in a row without the wanted plane after which the application is told.
const ABSENT_MAX: u32 = 30;

/// A frame of the producer, copied.
pub(crate) struct Captured {
    pub(crate) buffer: gst::Buffer,
    pub(crate) media: Media,
    /// What a picture was converted to, if it was.
    pub(crate) form: Option<Form>,
    /// Memory of the buffer and of what is attached to it.
    bytes: usize,
    /// Consecutive for consecutive frames: the frame id, or the number of an access unit.
    pub(crate) sequence: u32,
    pub(crate) frame_id: u32,
    /// The producer's capture time, nanoseconds.
    pub(crate) timestamp_ns: u64,
    /// When the announcement was received.
    pub(crate) arrived: Instant,
    /// When it had been copied.
    pub(crate) copied: Instant,
    /// Frames of its kind that may wait for downstream.
    pub(crate) may_wait: u64,
    /// The stretch of playing that it was captured in.
    pub(crate) session: Session,
}

impl Captured {
    /// With its picture in the form that is agreed on now; see [`fitted()`].
    pub(crate) fn fitted(mut self, canvases: &Canvases) -> Result<Option<Self>, SnapshotError> {
        if let Media::Raw(picture) = self.media {
            let Some(buffer) = fitted(self.buffer, &picture, self.form.as_ref(), canvases)? else { return Ok(None) };
            self.buffer = buffer;
        }
        Ok(Some(self))
    }
}

impl Queued for Captured {
    fn stands_alone(&self) -> bool {
        !self.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Why no frame comes any more.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The producer's pictures cannot be shown.
    Picture(String),
    /// The producer has left, and that is the end.
    Left,
    /// The producer cannot be followed any more.
    Ingest(String),
}

impl Failure {
    pub(crate) fn waiting(error: io::Error) -> Self {
        Self::Ingest(format!("waiting for frames: {error}"))
    }
}

/// What the follower and the element share.
pub(crate) struct Shared {
    pub(crate) queue: FrameQueue<Captured, Failure>,
    pub(crate) canvases: Canvases,
    stats: Arc<Stats>,
}

impl Shared {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self { queue: FrameQueue::new(), canvases: Canvases::default(), stats }
    }
}

pub(crate) struct Follower {
    shared: Arc<Shared>,
    address: Address,
    pub(crate) subscriber: SharedSubscriber,
    reader: SnapshotReader,
    copier: Copier,
    /// Pictures that may wait for downstream.
    pictures_max: Limit,
    /// The last announcement that was acted on.
    last: Option<SyncMessage>,
    /// Whether its frame could not be copied.
    last_failed: bool,
    /// The session that it came in.
    session: Option<Session>,
    /// Frames in a row without the wanted plane.
    absent: u32,
    absence_told: bool,
    stall: Stall,
    element: glib::WeakRef<gst::Element>,
    /// Name of the element, for the log.
    name: String,
}

impl Follower {
    /// Connects to the producer.
    pub(crate) fn start(
        address: &Address,
        coherence: Coherence,
        queue_size: u32,
        planes: PlaneSettings,
        stall_timeout: Option<Duration>,
        shared: Arc<Shared>,
        element: &gst::Element,
    ) -> io::Result<Self> {
        Ok(Self {
            shared,
            address: address.clone(),
            subscriber: SharedSubscriber::connect(address)?,
            reader: SnapshotReader::new(address, coherence),
            copier: Copier::new(planes),
            pictures_max: Limit { frames: queue_size as usize, bytes: usize::MAX },
            last: None,
            last_failed: false,
            session: None,
            absent: 0,
            absence_told: false,
            stall: Stall::new(stall_timeout),
            element: element.downgrade(),
            name: element.name().to_string(),
        })
    }

    /// Deals with the newest announcement, if one came, and gives whether there is more to take.
    pub(crate) fn follow(&mut self) -> Result<bool, Failure> {
        // Before what comes is taken note of.
        self.stall.follow_session(self.shared.queue.session(), Instant::now());
        let more = self.take_newest()?;
        self.watch_for_stall();
        Ok(more)
    }

    /// When to [follow](Self::follow) again even if nothing comes: the connection or the payload is to be looked at, or a stall
    /// to be told.
    pub(crate) fn look_again_at(&self) -> Instant {
        let due = [self.reader.look_at(), self.stall.due_at()];
        due.into_iter().flatten().fold(self.subscriber.look_again_at(), Instant::min)
    }

    fn take_newest(&mut self) -> Result<bool, Failure> {
        match self.subscriber.take_newest().map_err(Failure::waiting)? {
            None => {
                if self.reader.look_at().is_some_and(|at| at <= Instant::now()) {
                    self.reader.look();
                }
                return Ok(false);
            }
            Some(Event::Frame(announced)) => self.take(&announced)?,
            Some(Event::Foreign(foreign)) => {
                self.stall.symptoms.note_foreign(&foreign);
                if let Some(total) = self.shared.stats.note(Count::Foreign) {
                    gst::warning!(CAT, "{}: {foreign}; ignored ({total} so far)", self.name);
                }
            }
            // What a wait ends with.
            Some(Event::TimedOut | Event::Woken) => {}
        }
        Ok(!self.subscriber.is_caught_up().map_err(Failure::waiting)?)
    }

    /// Copies an announced frame and queues it, or counts why not.
    fn take(&mut self, announced: &SyncMessage) -> Result<(), Failure> {
        let arrival = self.subscriber.arrival();
        let Some(session) = self.shared.queue.session() else {
            self.last = None;
            self.reader.observe(announced, arrival);
            return Ok(());
        };
        let stats = Arc::clone(&self.shared.stats);
        stats.add(Count::Announced, 1);
        self.stall.symptoms.note_announcement();
        if self.session.replace(session) != Some(session) {
            self.copier.lose(1);
        }
        if let Some(last) = self.last.replace(*announced) {
            match Step::between(last.frame_id, announced.frame_id) {
                Step::Next => {}
                // A frame whose copy failed is tried again.
                Step::Same if *announced == last && self.last_failed => {}
                Step::Same if *announced == last => {
                    stats.add(Count::Repeated, 1);
                    self.stall.symptoms.note_useless("it is the same one again and again");
                    return Ok(());
                }
                Step::Lost(lost) => {
                    stats.add(Count::Skipped, lost.into());
                    self.copier.lose(lost);
                }
                Step::Same | Step::Restart => {
                    stats.add(Count::Restarts, 1);
                    self.copier.lose(1);
                    gst::info!(CAT, "{}: frame {} after {}", self.name, announced.frame_id, last.frame_id);
                }
            }
        }
        let outcome = self.reader.begin(announced, arrival);
        let outcome = outcome.and_then(|snapshot| self.copier.copy(snapshot, &self.shared.canvases));
        self.last_failed = outcome.is_err();
        if !matches!(outcome, Ok(Outcome::Absent(_))) {
            self.absent = 0;
        }
        match outcome {
            Ok(Outcome::Copied(copied)) => {
                stats.add(Count::Received, 1);
                self.queue(copied, announced, arrival.at, session);
            }
            Ok(Outcome::Absent(plane)) => self.note_absent(plane),
            Ok(Outcome::Undecodable) => {
                self.copier.lose(1);
                self.note_undecodable("its access unit needs one that was lost, or that came before");
            }
            Ok(Outcome::Refused(why)) => return Err(Failure::Picture(why)),
            Err(error) => {
                self.copier.lose(1);
                self.stall.symptoms.note_failure(&error);
                self.count(&error);
            }
        }
        Ok(())
    }

    fn queue(&mut self, copied: Copied, announced: &SyncMessage, arrived: Instant, session: Session) {
        let Copied { buffer, media, form, unit, bytes } = copied;
        let limit = if unit.is_some() { UNITS_MAX } else { self.pictures_max };
        let frame = Captured {
            buffer,
            media,
            form,
            bytes,
            sequence: unit.unwrap_or(announced.frame_id),
            frame_id: announced.frame_id,
            timestamp_ns: announced.timestamp_ns,
            arrived,
            copied: Instant::now(),
            may_wait: limit.frames as u64,
            session,
        };
        let Pushed { dropped, orphaned } = self.shared.queue.push(frame, session, limit);
        self.shared.stats.add(Count::Dropped, dropped);
        if orphaned {
            self.copier.lose(0);
            self.note_undecodable("those before it had to go for it");
        }
        // Whoever cannot keep up gets frames all the same.
        if self.stall.note_frame(session, Instant::now()) {
            self.shared.stats.set_stall(String::new());
            gst::info!(CAT, "{}: frames come again", self.name);
        }
    }

    fn note_undecodable(&mut self, why: &str) {
        self.stall.symptoms.note_useless(why);
        if let Some(total) = self.shared.stats.note(Count::Undecodable) {
            gst::info!(CAT, "{}: frame dropped: {why} ({total} so far)", self.name);
        }
    }

    /// A producer may have a plane on some frames only, or get it later: it is waited for, and the wait is told.
    fn note_absent(&mut self, plane: PlaneKind) {
        self.stall.symptoms.note_useless(&format!("they have no {plane} plane"));
        if let Some(total) = self.shared.stats.note(Count::WithoutPlane) {
            gst::info!(CAT, "{}: frame without {plane} plane ({total} so far)", self.name);
        }
        self.absent = self.absent.saturating_add(1);
        if self.absent == ABSENT_MAX
            && !std::mem::replace(&mut self.absence_told, true)
            && let Some(element) = self.element.upgrade()
        {
            gst::element_warning!(
                element,
                gst::ResourceError::NotFound,
                ("the producer's frames have no {plane} plane; waiting for one that has")
            );
        }
    }

    /// Tells that no frame comes while playing, and why.
    fn watch_for_stall(&mut self) {
        let Some(silence) = self.stall.take_due(Instant::now()) else { return };
        let diagnosis = Diagnosis::new(&self.address, self.subscriber.standing(), &self.stall.symptoms);
        let told = format!("no frame for {:.0} s: {diagnosis}", silence.as_secs_f64());
        self.shared.stats.set_stall(told.clone());
        if let Some(element) = self.element.upgrade() {
            gst::element_warning!(element, gst::ResourceError::Read, ("{told}"));
        }
    }

    fn count(&self, error: &SnapshotError) {
        let (count, level) = match error {
            _ if error.is_torn() => (Count::Torn, gst::DebugLevel::Debug),
            SnapshotError::Learning => (Count::Late, gst::DebugLevel::Debug),
            SnapshotError::Late { allowed, .. } if allowed.is_zero() => (Count::Late, gst::DebugLevel::Warning),
            SnapshotError::NeverWaited => (Count::Late, gst::DebugLevel::Warning),
            SnapshotError::Late { .. } => (Count::Late, gst::DebugLevel::Info),
            SnapshotError::Unavailable { .. } => (Count::Unavailable, gst::DebugLevel::Warning),
            _ => (Count::Invalid, gst::DebugLevel::Warning),
        };
        if let Some(total) = self.shared.stats.note(count) {
            gst::log_with_level!(CAT, level, "{}: frame dropped: {error} ({total} so far)", self.name);
        }
    }
}
