//! What the streaming thread and the one that talks to the server have in common.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    backlog::{Backlog, Kind, Offered},
    failure::Failure,
    intake::{Entry, Intake},
    rate::Rate,
    stats::{self, Stats},
    waker::Waker,
};

/// How far the talk with the server has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Off,
    Connecting,
    Publishing,
    Failed(Failure),
}

#[derive(Debug, Default)]
pub struct State {
    pub phase: Phase,
    pub intake: Intake,
    pub backlog: Backlog<Entry>,
    /// A tag was taken out of the backlog and is not sent to its end.
    pub is_tag_under_way: bool,
    pub rate: Rate,
    pub stats: Stats,
    /// A keyframe is needed for other reasons than a backlog that was dropped.
    pub wants_keyframe: bool,
    pub has_asked: bool,
    /// Nobody waits any more.
    pub is_flushing: bool,
    pub is_stopping: bool,
    /// The farewell is said, or cannot be said soon.
    pub is_farewell_over: bool,
    pub backlog_time_max: Duration,
    pub send_buffer: usize,
    /// Further tracks go to servers that did not say that they know them, too.
    pub sends_all_tracks: bool,
}

/// Why a tag was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Flushing,
    Failed,
}

impl State {
    /// The value of the property `stats`.
    pub fn stats(&self) -> gst::Structure {
        let phase = match self.phase {
            Phase::Off => "off",
            Phase::Connecting => "connecting",
            Phase::Publishing if self.stats.is_stalled => "stalled",
            Phase::Publishing => "publishing",
            Phase::Failed(_) => "failed",
        };
        stats::structure(&self.stats, phase, self.backlog.time())
    }

    /// Whether a keyframe is to be asked for; once for each time that one is needed.
    pub fn asks_for_keyframe(&mut self) -> bool {
        let wanted = self.wants_keyframe || self.stats.dropped > 0 && self.backlog.wants_keyframe();
        let asks = wanted && !self.has_asked;
        // One that was asked for and did not come is asked for again when the next need begins.
        self.has_asked = wanted && self.backlog.wants_keyframe();
        self.wants_keyframe = false;
        asks
    }

    /// Bytes that may wait in the kernel: a tenth of a second of the stream.
    pub fn unsent_max(&self) -> usize {
        const UNKNOWN: usize = 16 << 10;
        match (self.send_buffer, self.rate.bytes_per_second()) {
            (0, None) => UNKNOWN,
            (0, Some(rate)) => usize::try_from(rate / 10).unwrap_or(usize::MAX),
            (bytes, _) => bytes,
        }
    }
}

#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub waker: Arc<Waker>,
}

impl Shared {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { state: Mutex::default(), changed: Condvar::new(), waker: Arc::new(Waker::new()?) })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits that the state is another one.
    pub fn tell(&self) {
        self.changed.notify_all();
    }

    /// Takes a tag in. A live stream is never held up; another one waits until there is room.
    pub fn push(&self, entry: Entry, is_live: bool) -> Result<(), Refused> {
        let mut state = self.lock();
        let weight = entry.weight();
        if is_live && !state.backlog_time_max.is_zero() {
            if matches!(state.phase, Phase::Failed(_)) {
                return Err(Refused::Failed);
            }
            let time_max = state.backlog_time_max;
            state.rate.add(weight.timestamp, weight.bytes);
            let state = &mut *state;
            match state.backlog.offer(weight, entry, time_max) {
                Offered::Kept => {}
                Offered::Dropped { others } => state.stats.dropped += others + 1,
            }
        } else {
            // Headers never wait: with a connection that is being made they come before everything else.
            state = self.wait(state, |state| {
                let is_idle = state.backlog.is_empty() && !state.is_tag_under_way;
                weight.kind == Kind::Header
                    || state.phase == Phase::Publishing
                        && (is_idle
                            || !state.backlog.is_full(weight, state.backlog_time_max)
                                && !state.backlog_time_max.is_zero())
            })?;
            state.rate.add(weight.timestamp, weight.bytes);
            if !state.backlog.put_in_turn(weight, entry) {
                state.stats.dropped += 1;
            }
        }
        self.waker.wake();
        Ok(())
    }

    /// Waits until everything is sent.
    pub fn drain(&self) -> Result<(), Refused> {
        self.wait(self.lock(), |state| state.backlog.is_empty() && !state.is_tag_under_way).map(|_| ())
    }

    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        is_done: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, Refused> {
        loop {
            if state.is_flushing {
                return Err(Refused::Flushing);
            }
            if matches!(state.phase, Phase::Failed(_)) {
                return Err(Refused::Failed);
            }
            if is_done(&state) {
                return Ok(state);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the farewell, until `deadline`.
    pub fn wait_for_farewell(&self, deadline: Instant) {
        let mut state = self.lock();
        while !state.is_farewell_over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
