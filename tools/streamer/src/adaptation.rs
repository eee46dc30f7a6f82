//! A bit rate that the slowest RTMP server takes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What stays this long behind at least, for [`WINDOW`], is too much; a keyframe alone is not.
const LAG_MAX: Duration = Duration::from_millis(150);
/// As much at any moment is too much: a backlog holds a second.
const LAG_URGENT: Duration = Duration::from_millis(350);
/// With less the server keeps up.
const LAG_CALM: Duration = Duration::from_millis(80);
/// How long a lag is looked at, and what is sent is counted.
const WINDOW: Duration = Duration::from_millis(300);
/// How long a lower rate may take to show.
const SETTLE: Duration = Duration::from_millis(400);
/// Of what the server took last, this much is asked of the encoder; the rest empties the backlog.
const ROOM: f64 = 0.8;
/// A step down is at least this,
const STEP_DOWN: f64 = 0.85;
/// at most this,
const STEP_DOWN_MAX: f64 = 0.25;
/// and a step up this,
const STEP_UP: f64 = 1.3;
/// once the encoder makes so much of the rate that it has: what nobody sent says nothing of a server.
const USED: f64 = 0.8;
/// An encoder takes some seconds to follow a step up, and a picture that is still never does: the next one comes after so long,
const RAISE_UNUSED_AFTER: Duration = Duration::from_millis(4000);
/// and of a rate of which less than this is used
const HARDLY_USED: f64 = 0.5;
/// it is larger.
const STEP_UP_UNUSED: f64 = 2.0;
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
    /// From when on, and from how many bytes on, it is looked how much of the rate is used.
    used_since: Option<(Instant, u64)>,
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
            used_since: None,
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
            (self.calm_since, self.used_since) = (None, None);
            return self.lower(now, current);
        }
        if standing.is_none_or(|lag| lag > LAG_CALM) {
            (self.calm_since, self.used_since) = (None, None);
            return false;
        }
        let calm = now.duration_since(*self.calm_since.get_or_insert(now));
        let (from, first) = *self.used_since.get_or_insert((now, slowest.taken));
        let looked = now.duration_since(from);
        if self.kbit.is_none() || looked < self.raise_after {
            return false;
        }
        self.used_since = Some((now, slowest.taken));
        let used = kbit_per_second(slowest.taken - first, looked) / f64::from(current);
        let step = match used {
            USED.. => STEP_UP,
            _ if calm < RAISE_UNUSED_AFTER => return false,
            HARDLY_USED.. => STEP_UP,
            _ => STEP_UP_UNUSED,
        };
        self.raise(now, slowest.taken, f64::from(current) * step, full)
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

    fn raise(&mut self, now: Instant, taken: u64, next: f64, full: u32) -> bool {
        if self.raised.is_some_and(|raised| now.duration_since(raised) < REGRET) {
            // The last step up was right.
            self.raise_after = RAISE_AFTER;
        }
        self.kbit = Some(next as u32).filter(|next| *next < full);
        self.raised = Some(now);
        self.calm_since = Some(now);
        self.used_since = Some((now, taken));
        true
    }

    fn taken_kbit(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.duration_since(*from);
        (seconds > Duration::from_millis(100)).then(|| kbit_per_second(last.taken - first.taken, seconds))
    }
}

fn kbit_per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8.0 / 1000.0 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);
    const FULL: u32 = 2500;

    /// An encoder, a link, and what waits in between.
    struct Way {
        adaptation: Adaptation,
        now: Instant,
        /// What the encoder makes in a second: it follows its rate slowly upwards.
        made: f64,
        /// What its pictures need at most.
        needed: f64,
        waiting: f64,
        taken: f64,
    }

    impl Way {
        fn new(needed: f64) -> Self {
            let full = f64::from(FULL).min(needed);
            Self { adaptation: Adaptation::new(300), now: Instant::now(), made: full, needed, waiting: 0.0, taken: 0.0 }
        }

        /// Lets so many seconds pass with a link of `kbit`, and gives the longest lag, in seconds, and the rate at the end.
        fn pass(&mut self, seconds: f64, kbit: f64) -> (f64, u32) {
            let (tick, mut longest) = (TICK.as_secs_f64(), 0.0_f64);
            for _ in 0..(seconds / tick) as u32 {
                let rate = f64::from(self.adaptation.lowered_to().unwrap_or(FULL)).min(self.needed);
                let pace = if rate > self.made { 2.0 } else { 0.3 };
                self.made += (rate - self.made) * tick / pace;
                self.waiting += self.made * tick;
                let sent = self.waiting.min(kbit * tick);
                self.waiting -= sent;
                self.taken += sent;
                // What is in the network's own buffers is not seen.
                let lag = ((self.waiting - 0.2 * kbit) / self.made).max(0.0);
                longest = longest.max(lag);
                self.now += TICK;
                let seen = Congestion { lag: Duration::from_secs_f64(lag), taken: (self.taken * 125.0) as u64 };
                self.adaptation.look(self.now, FULL, Some(seen));
            }
            (longest, self.adaptation.lowered_to().unwrap_or(FULL))
        }
    }

    #[test]
    fn a_slow_link_is_not_asked_again_for_what_it_does_not_take() {
        let mut way = Way::new(10_000.0);
        assert_eq!(way.pass(10.0, 4000.0), (0.0, FULL));
        // What the encoder made before it was told has to go first; of that, a backlog drops what is older than a second.
        way.pass(4.0, 1000.0);
        let (longest, rate) = way.pass(60.0, 1000.0);
        assert!(longest < 0.5, "{longest} s behind");
        assert!((500..1400).contains(&rate), "{rate} kbit/s");
        assert_eq!(way.pass(15.0, 4000.0).1, FULL);
    }

    #[test]
    fn a_picture_that_is_still_gets_its_rate_back() {
        let mut way = Way::new(10_000.0);
        way.pass(10.0, 1000.0);
        way.needed = 100.0;
        assert_eq!(way.pass(15.0, 1000.0).1, FULL);
    }
}
