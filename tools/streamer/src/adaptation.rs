//! A bit rate that the slowest RTMP server takes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What stays this long behind at least, for [`WINDOW`], is too much; a keyframe alone is not.
const LAG_MAX: Duration = Duration::from_millis(200);
/// As much at any moment is too much: a backlog holds a second.
const LAG_URGENT: Duration = Duration::from_millis(500);
/// With less the server keeps up.
const LAG_CALM: Duration = Duration::from_millis(80);
/// How long a lag is looked at, and what is sent is counted.
const WINDOW: Duration = Duration::from_millis(400);
/// How long a lower rate may take to show.
const SETTLE: Duration = Duration::from_millis(400);
/// Of what the server took last, this much is asked of the encoder; the rest empties the backlog.
const ROOM: f64 = 0.8;
/// A step down is at least this,
const STEP_DOWN: f64 = 0.85;
/// at most this,
const STEP_DOWN_MAX: f64 = 0.4;
/// and a step up this.
const STEP_UP: f64 = 1.3;
/// How long there has to be room before a step up. It doubles when a step up was one too many.
const RAISE_AFTER: Duration = Duration::from_millis(1000);
const RAISE_AFTER_MAX: Duration = Duration::from_millis(4000);
/// A step down so soon after a step up says that the latter was one too many.
const REGRET: Duration = Duration::from_millis(4000);

/// How an output does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Congestion {
    /// How far it is behind.
    pub lag: Duration,
    /// Bytes that it has taken since the run began.
    pub taken: u64,
}

/// Lowers the bit rate while a server is behind, and raises it when there is room.
#[derive(Debug)]
pub struct Adaptation {
    min: u32,
    /// None is the full rate.
    kbit: Option<u32>,
    seen: VecDeque<(Instant, Congestion)>,
    lowered: Option<Instant>,
    raised: Option<Instant>,
    calm_since: Option<Instant>,
    raise_after: Duration,
}

impl Adaptation {
    /// Not below `min` kbit/s.
    pub fn new(min: u32) -> Self {
        Self {
            min,
            kbit: None,
            seen: VecDeque::new(),
            lowered: None,
            raised: None,
            calm_since: None,
            raise_after: RAISE_AFTER,
        }
    }

    /// The rate that it is lowered to, in kbit/s.
    pub fn lowered_to(&self) -> Option<u32> {
        self.kbit
    }

    /// Looks at the slowest output, of which there may be none. True when the rate changes; `full` is the highest.
    pub fn look(&mut self, now: Instant, full: u32, slowest: Option<Congestion>) -> bool {
        let Some(slowest) = slowest else {
            // Nobody can say how much a server takes that is not there.
            self.seen.clear();
            return self.kbit.take().is_some();
        };
        self.kbit = self.kbit.filter(|kbit| *kbit < full);
        if self.seen.back().is_some_and(|(_, before)| before.taken > slowest.taken) {
            // Another output is the slowest.
            self.seen.clear();
        }
        self.seen.push_back((now, slowest));
        while self.seen.get(1).is_some_and(|(time, _)| now.duration_since(*time) >= WINDOW) {
            self.seen.pop_front();
        }
        let current = self.kbit.unwrap_or(full);
        let standing = self.standing(now);
        let is_behind = standing.is_some_and(|lag| lag > LAG_MAX) || slowest.lag > LAG_URGENT;
        if is_behind {
            self.calm_since = None;
            return self.lower(now, current);
        }
        if standing.is_none_or(|lag| lag > LAG_CALM) {
            self.calm_since = None;
            return false;
        }
        let calm = now.duration_since(*self.calm_since.get_or_insert(now));
        self.kbit.is_some() && calm >= self.raise_after && self.raise(now, current, full)
    }

    /// The lag that no moment of the window was below.
    fn standing(&self, now: Instant) -> Option<Duration> {
        let whole = self.seen.front().is_some_and(|(first, _)| now.duration_since(*first) >= WINDOW);
        self.seen.iter().map(|(_, seen)| seen.lag).min().filter(|_| whole)
    }

    fn lower(&mut self, now: Instant, current: u32) -> bool {
        let is_falling = || {
            let (first, last) = (self.seen.front(), self.seen.back());
            first.zip(last).is_some_and(|((_, first), (_, last))| last.lag + LAG_CALM / 2 < first.lag)
        };
        let is_settling = self.lowered.is_some_and(|lowered| now.duration_since(lowered) < SETTLE);
        if is_settling || is_falling() || current <= self.min {
            return false;
        }
        let taken = self.taken_kbit().map_or(f64::from(current), |kbit| kbit * ROOM);
        let current = f64::from(current);
        let next = taken.clamp(current * STEP_DOWN_MAX, current * STEP_DOWN) as u32;
        if self.raised.take().is_some_and(|raised| now.duration_since(raised) < REGRET) {
            self.raise_after = (self.raise_after * 2).min(RAISE_AFTER_MAX);
        }
        self.kbit = Some(next.max(self.min));
        self.lowered = Some(now);
        true
    }

    fn raise(&mut self, now: Instant, current: u32, full: u32) -> bool {
        let next = (f64::from(current) * STEP_UP) as u32;
        if self.raised.is_some_and(|raised| now.duration_since(raised) < REGRET) {
            // The last step up was right.
            self.raise_after = RAISE_AFTER;
        }
        self.kbit = Some(next).filter(|next| *next < full);
        self.raised = Some(now);
        self.calm_since = Some(now);
        true
    }

    fn taken_kbit(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        let bits = (last.taken - first.taken) as f64 * 8.0;
        (seconds > 0.1).then(|| bits / 1000.0 / seconds)
    }
}
