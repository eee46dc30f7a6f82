//! The rule against every schedule of a small world: a writer and a reader on a coarse clock, delayed in every
//! combination. Time is counted in tenths of the producer's interval.

use std::time::{Duration, Instant};

use super::*;

const TICK: Duration = Duration::from_millis(1);
/// Ticks between two captures.
const INTERVAL: u64 = 10;
/// Frames that nothing delays, then frames in every combination of delays.
const CALM: u64 = LEARNED as u64 + 1;
const DELAYED: u64 = 3;
/// Delays of the reader between an announcement and its copy, in ticks: up to two intervals.
const DELAYS: [u64; 9] = [0, 1, 2, 4, 5, 7, 9, 12, 21];
const PAYLOAD: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Payload, metadata, announcement.
    Reference,
    /// New id in the header, payload, metadata, announcement.
    Ours,
}

/// What the writer does with its frames; ticks since the capture.
#[derive(Clone, Copy)]
struct Writer {
    order: Order,
    /// From capture to the begin of the write.
    delay: u64,
    /// The write itself; metadata and announcement follow in the same tick.
    write: u64,
    /// Ticks by which the write of the frame after the observed one is held up half-way.
    stall: u64,
}

impl Writer {
    fn capture(&self, frame: u64) -> u64 {
        100 + frame * INTERVAL
    }

    fn begin(&self, frame: u64) -> u64 {
        self.capture(frame) + self.delay
    }

    fn end(&self, frame: u64) -> u64 {
        let stall = if frame == CALM + 1 { self.stall } else { 0 };
        self.begin(frame) + self.write + stall
    }

    /// The frame whose id stands in the header at a time.
    fn header(&self, at: u64) -> u64 {
        let written = |frame: u64| match self.order {
            Order::Reference => self.end(frame) <= at,
            Order::Ours => self.begin(frame) <= at,
        };
        (0..).take_while(|frame| written(*frame)).last().unwrap_or(0)
    }

    /// Whether the payload is one frame's from begin to end.
    fn is_still(&self, frame: u64, from: u64, to: u64) -> bool {
        from >= self.end(frame) && to <= self.begin(frame + 1)
    }
}

#[derive(Default)]
struct Outcome {
    taken: u64,
    mixed: u64,
}

/// Reads every announced frame with its delay; `rule` decides about copies that the metadata do not give away.
fn read(writer: Writer, copy: u64, delays: &[u64], with_cadence: bool) -> Outcome {
    let epoch = Instant::now();
    let instant = |tick: u64| epoch + TICK * tick as u32;
    let mut cadence = Cadence::new(epoch);
    let mut outcome = Outcome::default();
    let mut free = 0;
    for (frame, delay) in (0u64..).zip(delays) {
        let announced = writer.end(frame);
        let from = announced.max(free) + delay;
        let to = from + copy;
        free = to;
        let timestamp = (TICK * writer.capture(frame) as u32).as_nanos() as u64;
        cadence.note_announcement(frame as u32, timestamp, instant(from));
        if writer.header(from) != frame || writer.header(to) != frame {
            continue;
        }
        cadence.note_copy(PAYLOAD, TICK * copy as u32);
        let taken = !with_cadence || cadence.judge(timestamp, PAYLOAD, instant(to)) == Verdict::Whole;
        if taken {
            outcome.taken += 1;
            outcome.mixed += u64::from(!writer.is_still(frame, from, to));
        }
    }
    outcome
}

/// Every combination of delays behind the calm frames.
fn schedules() -> impl Iterator<Item = Vec<u64>> {
    let combinations = (DELAYS.len() as u64).pow(DELAYED as u32);
    (0..combinations).map(|mut combination| {
        let mut delays = vec![0; CALM as usize];
        for _ in 0..DELAYED {
            delays.push(DELAYS[(combination % DELAYS.len() as u64) as usize]);
            combination /= DELAYS.len() as u64;
        }
        delays
    })
}

/// Every writer that the rule's assumptions allow: it writes no slower than half as fast as the reader copies.
fn writers(order: Order, copy: u64) -> impl Iterator<Item = Writer> {
    (0..=25).step_by(5).flat_map(move |delay| {
        (0..=2 * copy)
            .flat_map(move |write| [0, 5, 40].into_iter().map(move |stall| Writer { order, delay, write, stall }))
    })
}

fn explore(order: Order, with_cadence: bool) -> Outcome {
    let mut sum = Outcome::default();
    for copy in 0..=4 {
        for writer in writers(order, copy).filter(|writer| writer.write < INTERVAL) {
            for delays in schedules() {
                let outcome = read(writer, copy, &delays, with_cadence);
                sum.taken += outcome.taken;
                sum.mixed += outcome.mixed;
            }
        }
    }
    sum
}

#[test]
fn no_schedule_gets_a_mixed_frame_past_the_cadence() {
    for order in [Order::Reference, Order::Ours] {
        let outcome = explore(order, true);
        assert!(outcome.taken > 100_000, "{}", outcome.taken);
        assert_eq!(outcome.mixed, 0);
    }
}

#[test]
fn the_metadata_alone_let_mixed_frames_of_the_reference_order_through() {
    assert!(explore(Order::Reference, false).mixed > 0);
}

#[test]
fn the_metadata_alone_are_enough_in_our_order() {
    assert_eq!(explore(Order::Ours, false).mixed, 0);
}

#[test]
fn frames_in_time_are_taken_and_the_first_ones_teach() {
    let writer = Writer { order: Order::Reference, delay: 20, write: 1, stall: 0 };
    let outcome = read(writer, 1, &[0; 50], true);
    assert_eq!(outcome.taken, 50 - LEARNED as u64);
}

#[test]
fn a_producer_that_writes_all_the_time_gets_nothing_through() {
    let writer = Writer { order: Order::Reference, delay: 0, write: INTERVAL, stall: 0 };
    for copy in [4, 5, 9] {
        assert_eq!(read(writer, copy, &[0; 50], true).taken, 0, "{copy}");
    }
}

#[test]
fn a_clock_that_is_set_is_learnt_anew() {
    let epoch = Instant::now();
    let mut cadence = Cadence::new(epoch);
    let mut tick = 0;
    let mut run = |offset: i64, frames: u32| {
        (0..frames)
            .map(|_| {
                tick += 1;
                let now = epoch + TICK * (tick * INTERVAL as u32);
                let timestamp = (10_000_000_000_000_000 + offset + i64::from(tick) * 10_000_000) as u64;
                cadence.note_announcement(tick, timestamp, now);
                cadence.judge(timestamp, PAYLOAD, now) == Verdict::Whole
            })
            .filter(|whole| *whole)
            .count()
    };
    let lost = LEARNED;
    assert_eq!(run(0, 50), 50 - lost);
    for offset in [3_600_000_000_000, -3_600_000_000_000, 0] {
        let taken = run(offset, 50);
        assert!(taken >= 49 - lost, "{offset}: {taken}");
    }
    // Set back by less than an interval, it cannot be told from a reader that is late, until it is forgotten.
    assert!(run(-8_000_000, 50) >= 50 - HISTORY);
}
