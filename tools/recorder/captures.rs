//! Which frame an access unit is of: what is known of a frame waits here while it is encoded.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use super::depth::DepthPlane;

/// No encoder holds as many frames; what it dropped must not stay for ever.
const WAITING_MAX: usize = 32;

/// What the producer said of a frame.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Capture time by its clock.
    pub timestamp_ns: u64,
    /// Its depth.
    pub depth: Option<DepthPlane>,
}

/// Frames on their way through the encoder, by running time.
#[derive(Debug, Default)]
pub struct Captures(Mutex<VecDeque<(i64, Capture)>>);

impl Captures {
    /// A frame goes into the encoder.
    pub fn note(&self, running_time: i64, capture: Capture) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back((running_time, capture));
    }

    /// Its access unit came out. Of two frames of one running time the first is meant.
    pub fn take(&self, running_time: i64) -> Option<Capture> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = waiting.iter().position(|(time, _)| *time == running_time)?;
        waiting.remove(index).map(|(_, capture)| capture)
    }

    /// Nobody asks any more.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(timestamp_ns: u64) -> Capture {
        Capture { timestamp_ns, depth: None }
    }

    fn taken(captures: &Captures, running_time: i64) -> Option<u64> {
        captures.take(running_time).map(|capture| capture.timestamp_ns)
    }

    #[test]
    fn frames_come_out_in_any_order_and_once() {
        let captures = Captures::default();
        for (time, timestamp) in [(10, 1), (20, 2), (20, 3), (30, 4)] {
            captures.note(time, capture(timestamp));
        }
        assert_eq!(taken(&captures, 30), Some(4));
        assert_eq!(taken(&captures, 20), Some(2));
        assert_eq!(taken(&captures, 20), Some(3));
        assert_eq!(taken(&captures, 20), None);
        assert_eq!(taken(&captures, 10), Some(1));
    }

    #[test]
    fn what_an_encoder_dropped_does_not_stay() {
        let captures = Captures::default();
        (0..100).for_each(|time| captures.note(time, capture(0)));
        assert!(captures.take(100 - WAITING_MAX as i64).is_some());
        assert!(captures.take(99 - WAITING_MAX as i64).is_none());
    }
}
