//! Which body-tracking packet rides on which frame. No frame waits for one: a packet that comes later than its frame
//! left rides on the next one, and says itself which frame it is of.

use std::collections::VecDeque;

/// Packets that may wait for their frame: two seconds at 30 a second.
const WAITING_MAX: usize = 60;

/// Packets that wait for their frame.
#[derive(Debug)]
pub(super) struct Bodies<T> {
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    timestamp_ns: u64,
    packet: T,
}

impl<T> Default for Bodies<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Bodies<T> {
    /// Adds a packet; the number of packets that had to go for it.
    pub(super) fn push(&mut self, timestamp_ns: u64, packet: T) -> u64 {
        let full = self.waiting.len() >= WAITING_MAX;
        if full {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { timestamp_ns, packet });
        u64::from(full)
    }

    /// The newest packet that is of this frame or an earlier one, and how many older ones it stands for.
    pub(super) fn take(&mut self, timestamp_ns: u64) -> (Option<T>, u64) {
        let (mut taken, mut passed) = (None::<Waiting<T>>, 0);
        for _ in 0..self.waiting.len() {
            let Some(next) = self.waiting.pop_front() else { break };
            if next.timestamp_ns > timestamp_ns {
                self.waiting.push_back(next);
            } else {
                passed += u64::from(taken.is_some());
                if taken.as_ref().is_none_or(|taken| taken.timestamp_ns <= next.timestamp_ns) {
                    taken = Some(next);
                }
            }
        }
        (taken.map(|taken| taken.packet), passed)
    }

    /// Forgets what waits: the source starts over.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_rides_on_its_frame_or_the_next() {
        let mut bodies = Bodies::default();
        assert_eq!(bodies.take(10), (None, 0));
        bodies.push(10, 'a');
        bodies.push(20, 'b');
        assert_eq!(bodies.take(10), (Some('a'), 0));
        assert_eq!(bodies.take(10), (None, 0));
        bodies.push(30, 'c');
        assert_eq!(bodies.take(35), (Some('c'), 1));
    }

    #[test]
    fn they_do_not_pile_up() {
        let mut bodies = Bodies::default();
        let lost: u64 = (0..100).map(|timestamp| bodies.push(timestamp, timestamp)).sum();
        assert_eq!(lost, 40);
        bodies.push(u64::MAX, 0);
        bodies.clear();
        assert_eq!(bodies.take(u64::MAX), (None, 0));
    }
}
