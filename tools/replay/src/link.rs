//! What the replay says and answers over NATS.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, SyncSender, sync_channel},
    },
    time::Duration,
};

use cvmmap::nats::{
    Client, Identity, Producer, Source, SourceState,
    proto::{ErrorCode, SeekTimestampResponse, SourceKind, TimestampDomain, source_flags},
};

use super::{
    frames::Frames,
    index::{Index, Landing},
};

/// Who asks is told that it takes too long after this. A seek decodes from the keyframe on.
const OBEYED_WITHIN: Duration = Duration::from_secs(10);
/// A clock that began in 1970 is past this since 2001; one that began with the machine never will be.
const UNIX_SINCE_NS: u64 = 1_000_000_000_000_000_000;

/// What the player is told to do. It replies when that is done, and drops what it does not do.
pub enum Order {
    /// To end.
    Stop,
    /// To count frames from 0 again.
    Reset(SyncSender<()>),
    /// To go on from another frame.
    Seek(Box<Seek>),
}

/// A way to another frame.
pub struct Seek {
    /// Where it ends.
    pub landing: Landing,
    /// What is read on it.
    pub frames: Frames,
    /// The reply.
    pub done: SyncSender<()>,
}

/// Where the player stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// Capture time of the last frame; none before the first one.
    pub timestamp_ns: Option<u64>,
    /// Its frame id.
    pub frame_id: u32,
    /// What frames had so far, as [`source_flags`].
    pub flags: u32,
}

/// The producer's side on NATS; dropping it says goodbye.
pub struct Link {
    producer: Producer,
    position: Arc<Mutex<Position>>,
}

impl Link {
    /// Answers, and says that the producer is online as soon as there is a server.
    pub fn start(
        client: Client,
        identity: Identity,
        index: Option<Index>,
        repeat: bool,
        orders: Sender<Order>,
    ) -> Self {
        let position = Arc::<Mutex<Position>>::default();
        let answers = Answers { index, repeat, orders, position: Arc::clone(&position) };
        Self { producer: Producer::start(client, identity, Arc::new(answers)), position }
    }

    /// Tells consumers that the source starts over.
    pub fn stream_reset(&self) {
        self.producer.stream_reset();
    }

    /// Publishes a packet as it was recorded. Whether it is on its way.
    pub fn publish_body(&self, packet: Vec<u8>) -> bool {
        self.producer.publish_body_bytes(packet)
    }

    /// Tells where the player stands.
    pub fn stand(&self, timestamp_ns: u64, frame_id: u32, flags: u32) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        *position = Position { timestamp_ns: Some(timestamp_ns), frame_id, flags: position.flags | flags };
    }
}

struct Answers {
    index: Option<Index>,
    repeat: bool,
    orders: Sender<Order>,
    position: Arc<Mutex<Position>>,
}

impl Answers {
    /// Has the player do something, and waits until it has.
    fn order(&self, order: impl FnOnce(SyncSender<()>) -> Order) -> Result<(), ErrorCode> {
        let (done, is_done) = sync_channel(1);
        self.orders.send(order(done)).map_err(|_| ErrorCode::Error)?;
        is_done.recv_timeout(OBEYED_WITHIN).map_err(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => ErrorCode::Timeout,
            std::sync::mpsc::RecvTimeoutError::Disconnected => ErrorCode::Error,
        })
    }
}

impl Source for Answers {
    fn state(&self) -> SourceState {
        let position = *self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut flags = position.flags;
        if let Some(index) = &self.index {
            flags |= index.flags() | source_flags::CAN_SEEK;
        }
        if self.repeat {
            flags |= source_flags::AUTO_LOOP | source_flags::LOOP_EMITS_RESET;
        }
        let (start, end) = self.index.as_ref().map_or((0, 0), |index| index.timeline());
        let now = position.timestamp_ns.unwrap_or(start);
        let domain = if now >= UNIX_SINCE_NS { TimestampDomain::UnixEpochNs } else { TimestampDomain::MediaTimeNs };
        SourceState {
            error: ErrorCode::Ok.into(),
            source_kind: SourceKind::Finite.into(),
            timestamp_domain: domain.into(),
            flags,
            timeline_start_ns: start,
            timeline_end_ns: end,
            duration_ns: end - start,
            current_timestamp_ns: now,
            current_frame_count: position.frame_id,
        }
    }

    fn reset(&self) -> Result<(), ErrorCode> {
        self.order(Order::Reset)
    }

    fn seek(&self, target: u64) -> Result<SeekTimestampResponse, ErrorCode> {
        let index = self.index.as_ref().ok_or(ErrorCode::Unsupported)?;
        let (start, end) = index.timeline();
        if !(start..=end).contains(&target) {
            return Err(ErrorCode::OutOfRange);
        }
        let landing = index.land(target).ok().flatten().ok_or(ErrorCode::Error)?;
        let frames = index.frames(&landing);
        self.order(|done| Order::Seek(Box::new(Seek { landing, frames, done })))?;
        Ok(SeekTimestampResponse {
            error: ErrorCode::Ok.into(),
            requested_timestamp_ns: target,
            landed_timestamp_ns: landing.timestamp_ns,
            landed_frame_count: 0,
            exact_match: landing.timestamp_ns == target,
        })
    }
}
