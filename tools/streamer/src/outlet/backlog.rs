//! The bounded queue in front of an output. An output that falls behind loses the whole of it, and goes on with a new
//! keyframe once it takes again: what refers to a lost picture would only show smears, and an old picture helps nobody.

use std::{collections::VecDeque, time::Duration};

/// Longest backlog. An output that is further behind is better served with newer pictures.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Largest backlog, against a wild bit rate.
const BYTES_MAX: usize = 16 << 20;

/// What the queue has to know of an access unit.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// Whether it needs no other one.
    pub is_keyframe: bool,
    /// Its size.
    pub bytes: usize,
    /// When it was encoded, from any start.
    pub time: Duration,
}

/// Access units on their way to one output that takes them when it can.
#[derive(Debug)]
pub struct Backlog<T> {
    phase: Phase,
    /// The output has asked and was given nothing yet.
    hungry: bool,
    units: VecDeque<(Weight, T)>,
    bytes: usize,
    ended: bool,
    /// Times of the last unit that was handed on, and of the last that was offered.
    given: Duration,
    newest: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing goes before the next keyframe.
    AwaitingKeyframe,
    Flowing,
    /// Nothing is kept until the output takes again.
    Behind,
}

/// What an output that asks is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The oldest access unit.
    Unit(T),
    /// Nothing yet: the next one is handed on when it is offered.
    Later,
    /// The same, and it has to be a keyframe.
    LaterFromKeyframe,
    /// The stream is over.
    End,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self {
            phase: Phase::AwaitingKeyframe,
            hungry: true,
            units: VecDeque::new(),
            bytes: 0,
            ended: false,
            given: Duration::ZERO,
            newest: Duration::ZERO,
        }
    }
}

impl<T> Backlog<T> {
    /// Takes in what the encoder made. Gives it back when the output waits for it, to be handed on at once.
    pub fn offer(&mut self, weight: Weight, unit: T) -> Option<T> {
        self.newest = weight.time;
        match self.phase {
            Phase::AwaitingKeyframe if weight.is_keyframe => self.phase = Phase::Flowing,
            Phase::Flowing => {}
            Phase::AwaitingKeyframe | Phase::Behind => return None,
        }
        if self.hungry {
            self.hungry = false;
            self.given = weight.time;
            return Some(unit);
        }
        let oldest = self.units.front().map_or(weight.time, |(oldest, _)| oldest.time);
        if weight.time.saturating_sub(oldest) > TIME_MAX || self.bytes + weight.bytes > BYTES_MAX {
            self.units.clear();
            self.bytes = 0;
            self.phase = Phase::Behind;
        } else {
            self.bytes += weight.bytes;
            self.units.push_back((weight, unit));
        }
        None
    }

    /// Gives what is next to an output that asks.
    pub fn take(&mut self) -> Taken<T> {
        if let Some((weight, unit)) = self.units.pop_front() {
            self.bytes -= weight.bytes;
            self.given = weight.time;
            return Taken::Unit(unit);
        }
        if self.ended {
            return Taken::End;
        }
        self.hungry = true;
        if self.phase == Phase::Behind {
            self.phase = Phase::AwaitingKeyframe;
            return Taken::LaterFromKeyframe;
        }
        Taken::Later
    }

    /// Nothing more is offered. True when the output waits, and is to be told so now.
    pub fn end(&mut self) -> bool {
        self.ended = true;
        self.hungry
    }

    /// How far the output is behind: from what it was given last, and has not taken whole, to the newest.
    pub fn lag(&self) -> Duration {
        match self.phase {
            Phase::Behind => TIME_MAX,
            _ if self.hungry => Duration::ZERO,
            _ => self.newest.saturating_sub(self.given),
        }
    }

    /// Whether it overflowed, and the output has not taken anything since.
    pub fn is_behind(&self) -> bool {
        self.phase == Phase::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELTA: Weight = Weight { is_keyframe: false, bytes: 1, time: Duration::ZERO };
    const KEY: Weight = Weight { is_keyframe: true, ..DELTA };

    fn at(weight: Weight, ms: u64) -> Weight {
        Weight { time: Duration::from_millis(ms), ..weight }
    }

    #[test]
    fn a_stream_begins_with_a_keyframe() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.offer(DELTA, 1), None);
        assert_eq!(backlog.offer(KEY, 2), Some(2));
        assert_eq!(backlog.offer(DELTA, 3), None);
        assert_eq!(backlog.take(), Taken::Unit(3));
        assert_eq!(backlog.take(), Taken::Later);
        assert_eq!(backlog.offer(DELTA, 4), Some(4));
    }

    #[test]
    fn an_output_that_falls_behind_goes_on_with_a_keyframe_made_after_it_takes_again() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.offer(KEY, 0), Some(0));
        for ms in [0, 400, 1000] {
            assert_eq!(backlog.offer(at(DELTA, ms), 1), None);
        }
        assert!(!backlog.is_behind());
        assert_eq!(backlog.offer(at(DELTA, 1001), 2), None);
        assert!(backlog.is_behind());
        assert_eq!(backlog.offer(at(KEY, 1100), 3), None);
        assert_eq!(backlog.take(), Taken::LaterFromKeyframe);
        assert!(!backlog.is_behind());
        assert_eq!(backlog.offer(at(DELTA, 1200), 4), None);
        assert_eq!(backlog.take(), Taken::Later);
        assert_eq!(backlog.offer(at(KEY, 1300), 5), Some(5));
    }

    #[test]
    fn the_lag_is_from_what_is_being_sent_to_the_newest() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.lag(), Duration::ZERO);
        backlog.offer(KEY, 0);
        backlog.offer(at(DELTA, 300), 1);
        assert_eq!(backlog.lag(), Duration::from_millis(300));
        backlog.take();
        assert_eq!(backlog.lag(), Duration::ZERO);
        backlog.offer(at(DELTA, 1500), 2);
        assert_eq!(backlog.lag(), Duration::from_millis(1200));
        backlog.offer(at(DELTA, 2600), 3);
        assert_eq!(backlog.lag(), TIME_MAX);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut backlog = Backlog::default();
        let half = Weight { bytes: BYTES_MAX / 2, ..DELTA };
        assert_eq!(backlog.offer(KEY, 0), Some(0));
        for unit in 1..=2 {
            assert_eq!(backlog.offer(half, unit), None);
        }
        assert_eq!(backlog.take(), Taken::Unit(1));
        assert_eq!(backlog.offer(half, 3), None);
        assert!(!backlog.is_behind());
        assert_eq!(backlog.offer(DELTA, 4), None);
        assert!(backlog.is_behind());
    }

    #[test]
    fn what_is_queued_goes_before_the_end() {
        let mut backlog = Backlog::default();
        backlog.offer(KEY, 0);
        backlog.offer(DELTA, 1);
        assert!(!backlog.end());
        assert_eq!(backlog.take(), Taken::Unit(1));
        assert_eq!(backlog.take(), Taken::End);
        let mut waiting = Backlog::<u8>::default();
        assert!(waiting.end());
    }
}
