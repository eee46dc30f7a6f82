//! The rule against every schedule of a small world: a writer and a reader on a coarse clock, delayed in every
//! combination. Time is counted in tenths of the producer's interval.
//!
//! Longer than other files: writer, reader and clock of the small world are of use to each other alone.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use super::*;

const TICK: Duration = Duration::from_millis(1);
/// Ticks between two captures.
const INTERVAL: u64 = 10;
/// Frames that nothing delays, then reads in every combination of delays.
const CALM: usize = LEARNED;
const DELAYED: usize = 3;
/// Delays of the reader, in ticks: between the announcement and the snapshot, and between that and its copy.
const DELAYS: [(u64, u64); 12] =
    [(0, 0), (0, 1), (0, 4), (0, 7), (0, 10), (1, 0), (2, 3), (4, 0), (5, 5), (7, 0), (9, 0), (21, 0)];
/// Frames that are written: more than are read in the longest schedule.
const FRAMES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// Payload, metadata, announcement.
    Reference,
    /// New id in the header, payload, metadata, announcement.
    Ours,
}

/// What the writer does with its frames; ticks.
#[derive(Clone, Copy, Debug)]
struct Writer {
    order: Order,
    /// From capture to the begin of the write, when the write before is done.
    delay: u64,
    /// The write itself; metadata and announcement follow in the same tick.
    write: u64,
    /// A frame whose write is held up half-way, and for how long.
    stalled: (usize, u64),
    /// Ticks by which every other frame is captured late.
    jitter: u64,
    /// Ticks from one timestamp to the next: [`INTERVAL`], but for a recording that is not played at its own speed.
    stamped: u64,
}

const CALM_WRITER: Writer =
    Writer { order: Order::Reference, delay: 0, write: 1, stalled: (0, 0), jitter: 0, stamped: INTERVAL };

/// When a writer's frames are captured and written.
struct Timeline {
    order: Order,
    timestamp: [u64; FRAMES],
    begin: [u64; FRAMES],
    end: [u64; FRAMES],
}

impl Writer {
    fn timeline(&self) -> Timeline {
        let mut line = Timeline { order: self.order, timestamp: [0; FRAMES], begin: [0; FRAMES], end: [0; FRAMES] };
        let mut free = 0;
        for frame in 0..FRAMES {
            let jitter = self.jitter * (frame as u64 % 2);
            let stall = if frame == self.stalled.0 { self.stalled.1 } else { 0 };
            line.timestamp[frame] = 100 + frame as u64 * self.stamped + jitter;
            line.begin[frame] = (100 + frame as u64 * INTERVAL + jitter + self.delay).max(free);
            line.end[frame] = line.begin[frame] + self.write + stall;
            free = line.end[frame];
        }
        line
    }
}

impl Timeline {
    /// The frame that was announced last at a time, of those from `first` on.
    fn newest(&self, first: usize, at: u64) -> Option<usize> {
        (first..FRAMES).take_while(|frame| self.end[*frame] <= at).last()
    }

    fn id(&self, frame: usize) -> u32 {
        frame as u32
    }

    /// Whether a frame's id stands in the header at a time at which it has been announced.
    fn is_header(&self, frame: usize, at: u64) -> bool {
        match self.order {
            Order::Reference => self.end[frame + 1] > at,
            Order::Ours => self.begin[frame + 1] > at,
        }
    }

    /// Whether a frame's payload has not been touched at a time.
    fn is_still(&self, frame: usize, at: u64) -> bool {
        self.begin[frame + 1] >= at
    }
}

#[derive(Clone, Copy, Default)]
struct Outcome {
    taken: u64,
    mixed: u64,
}

/// What the reader goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Metadata,
    Cadence,
    /// The cadence of a reader that does not look at the payload when it has its copy.
    Unwatched,
}

/// A reader of one timeline. That the payload is seen to change under the copy saves nobody here: a writer may stand still
/// for as long.
#[derive(Clone)]
struct Reader<'a> {
    line: &'a Timeline,
    rule: Rule,
    /// Ticks that a copy takes.
    copy: u64,
    epoch: Instant,
    cadence: Cadence,
    /// When it has time again, and the next frame that it has not seen.
    free: u64,
    next: usize,
    outcome: Outcome,
}

impl<'a> Reader<'a> {
    fn new(line: &'a Timeline, copy: u64, rule: Rule) -> Self {
        let epoch = Instant::now();
        let cadence = Cadence::new(epoch);
        Self { line, rule, copy, epoch, cadence, free: 0, next: 0, outcome: Outcome::default() }
    }

    fn instant(&self, tick: u64) -> Instant {
        self.epoch + TICK * tick as u32
    }

    /// Reads the newest announced frame, with delays before the snapshot and within.
    fn read(&mut self, delays: (u64, u64)) {
        // What came while the reader was busy is received when it is free.
        let received = self.line.end[self.next].max(self.free);
        self.receive(received, self.line.end[self.next] > self.free, delays);
    }

    /// Reads the newest announced frame at a time, if there is one.
    fn receive(&mut self, received: u64, waited: bool, (before, within): (u64, u64)) {
        let line = self.line;
        let Some(frame) = line.newest(self.next, received) else { return };
        self.next = frame + 1;
        let timestamp = (TICK * line.timestamp[frame] as u32).as_nanos() as u64;
        let arrival = Arrival { at: self.instant(received), waited };
        self.cadence.note_look(arrival.at, arrival.at, true);
        self.cadence.note_announcement(line.id(frame), timestamp, arrival);
        self.free = received + before;
        if !line.is_header(frame, self.free) {
            return;
        }
        let verdict = self.judge(timestamp);
        if self.rule == Rule::Cadence {
            self.cadence.watch(self.instant(self.free));
        }
        let next_write = self.instant(line.begin[frame + 1]);
        if verdict == Verdict::Whole {
            self.free += within + self.copy;
            if line.is_header(frame, self.free) && self.judge(timestamp) == Verdict::Whole {
                self.outcome.taken += 1;
                self.outcome.mixed += u64::from(!line.is_still(frame, self.free));
            }
            let now = self.instant(self.free);
            self.cadence.note_look(now, now, next_write < now);
        }
        let until = self.instant(line.end[self.next]);
        while let Some(at) = self.cadence.look_at().map(|at| at.max(self.instant(self.free))).filter(|at| *at < until) {
            self.cadence.note_look(at, at, next_write < at);
        }
    }

    fn judge(&self, timestamp: u64) -> Verdict {
        match self.rule {
            Rule::Metadata => Verdict::Whole,
            Rule::Cadence | Rule::Unwatched => self.cadence.judge(timestamp, self.instant(self.free)),
        }
    }

    /// Reads so many frames in every combination of delays, and a calm one behind them.
    fn explore(&self, depth: usize, path: &mut Vec<(u64, u64)>, sum: &mut Outcome) -> Result<(), Vec<(u64, u64)>> {
        for delays in if depth > 0 { &DELAYS[..] } else { &DELAYS[..1] } {
            let mut reader = self.clone();
            reader.outcome = Outcome::default();
            reader.read(*delays);
            path.push(*delays);
            sum.taken += reader.outcome.taken;
            sum.mixed += reader.outcome.mixed;
            if self.rule != Rule::Metadata && reader.outcome.mixed > 0 {
                return Err(path.clone());
            }
            if depth > 0 {
                reader.explore(depth - 1, path, sum)?;
            }
            path.pop();
        }
        Ok(())
    }
}

fn read(line: &Timeline, copy: u64, delays: impl IntoIterator<Item = (u64, u64)>, rule: Rule) -> Outcome {
    let mut reader = Reader::new(line, copy, rule);
    delays.into_iter().for_each(|delays| reader.read(delays));
    reader.outcome
}

/// Every writer whose intervals are no shorter than those that were seen, however slow it is.
fn writers(order: Order) -> impl Iterator<Item = Writer> {
    let stalls = [(0, 0), (CALM, 5), (CALM + 1, 40), (CALM + 2, 5)];
    let rhythms = [(0, 0), (25, 0), (7, 1)];
    (0..INTERVAL).flat_map(move |write| {
        stalls.into_iter().flat_map(move |stalled| {
            rhythms.map(|(delay, jitter)| Writer { order, delay, write, stalled, jitter, ..CALM_WRITER })
        })
    })
}

/// A writer under every combination of delays behind `calm` frames that nothing delays.
fn explore_one(line: &Timeline, copy: u64, calm: usize, rule: Rule, what: &dyn Debug) -> Outcome {
    let mut sum = Outcome::default();
    let mut reader = Reader::new(line, copy, rule);
    (0..calm).for_each(|_| reader.read((0, 0)));
    sum.taken = reader.outcome.taken;
    sum.mixed = reader.outcome.mixed;
    let mixed = reader.explore(DELAYED, &mut Vec::new(), &mut sum);
    assert!(mixed.is_ok(), "{what:?}, copy {copy}, {mixed:?}");
    sum
}

/// All writers under all schedules.
fn explore(rule: Rule, writers: impl Iterator<Item = Writer>) -> Outcome {
    let mut sum = Outcome::default();
    for writer in writers {
        let line = writer.timeline();
        for copy in [0, 2, 4] {
            let outcome = explore_one(&line, copy, CALM, rule, &writer);
            sum.taken += outcome.taken;
            sum.mixed += outcome.mixed;
        }
    }
    sum
}

#[test]
fn no_schedule_gets_a_mixed_frame_past_the_cadence() {
    for rule in [Rule::Cadence, Rule::Unwatched] {
        // A reader that does not look takes what a write of eight tenths leaves alone.
        let is_known = |writer: &Writer| rule == Rule::Cadence || writer.write <= 8;
        let outcome = explore(rule, writers(Order::Reference).filter(is_known));
        assert!(outcome.taken > 10_000, "{}", outcome.taken);
    }
}

#[test]
fn a_recording_that_is_not_played_at_its_own_speed_gets_no_mixed_frame_through() {
    // Timestamps that are half an interval to fifty intervals apart.
    for stamped in [5, 8, 12, 15, 17, 20, 40, 500] {
        // A stall is no different there.
        let writers = writers(Order::Reference).filter(|writer| writer.stalled.1 == 0);
        explore(Rule::Cadence, writers.map(|writer| Writer { stamped, ..writer }));
    }
}

/// Nothing is calm: the reader is as late for the frames that teach as for the others.
#[test]
fn a_reader_that_is_late_from_the_start_takes_no_mixed_frame() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |end| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % end
    };
    let mut taken = 0;
    for (write, copy) in [(1, 1), (2, 2), (4, 2)] {
        let line = Writer { write, ..CALM_WRITER }.timeline();
        for _ in 0..20_000 {
            let mut delay = || if below(2) == 0 { 0 } else { below(2 * INTERVAL) };
            let delays = [(); 2 * LEARNED].map(|()| (delay(), delay()));
            let outcome = read(&line, copy, delays, Rule::Cadence);
            assert_eq!(outcome.mixed, 0, "write {write}, copy {copy}, {delays:?}");
            taken += outcome.taken;
        }
    }
    assert!(taken > 10_000, "{taken}");
}

/// A reader that is always busy for one interval is late by the same time again and again. It never waits when an
/// announcement comes, so it must not take its own lateness for the producer's delay.
#[test]
fn a_reader_in_step_with_the_producer_and_always_late_takes_no_mixed_frame() {
    let mut mixed = 0;
    for (write, late) in (1..=4).flat_map(|write| (0..INTERVAL).map(move |late| (write, late))) {
        let line = Writer { write, ..CALM_WRITER }.timeline();
        let in_step = || {
            let once = [(INTERVAL + late, 0)];
            once.into_iter().chain([(INTERVAL, 0); HISTORY + 1]).chain([(0, 0)])
        };
        let outcome = read(&line, 2, in_step(), Rule::Cadence);
        assert_eq!(outcome.mixed, 0, "write {write}, late {late}");
        mixed += read(&line, 2, in_step(), Rule::Metadata).mixed;
    }
    assert!(mixed > 0, "nothing would have been mixed");
}

/// A reader that asks by a clock of its own may have asked in vain just before, and is late all the same: it must not say that it
/// waited.
#[test]
fn a_reader_that_asks_by_a_clock_must_not_say_that_it_waited() {
    let outcome = |says_waited| {
        let mut sum = Outcome::default();
        for (write, interval, phase) in
            (1..=8).flat_map(|write| (3..=INTERVAL).flat_map(move |every| (0..every).map(move |at| (write, every, at))))
        {
            let line = Writer { write, ..CALM_WRITER }.timeline();
            for copy in [0, 1, 2] {
                let mut reader = Reader::new(&line, copy, Rule::Cadence);
                let mut asked = 100 + phase;
                while reader.next < FRAMES - 2 {
                    reader.receive(asked.max(reader.free), says_waited, (0, 0));
                    asked += interval;
                }
                sum.taken += reader.outcome.taken;
                sum.mixed += reader.outcome.mixed;
            }
        }
        sum
    };
    let (honest, careless) = (outcome(false), outcome(true));
    assert_eq!((honest.taken, honest.mixed), (0, 0));
    assert!(careless.mixed > 0, "nothing would have been mixed");
}

#[test]
fn a_reader_that_never_waits_is_told_so_until_it_does() {
    let epoch = Instant::now();
    let mut cadence = Cadence::new(epoch);
    let mut judge = |frame: u32, waited| {
        let at = epoch + TICK * (frame * INTERVAL as u32);
        let timestamp = at.duration_since(epoch).as_nanos() as u64;
        cadence.note_announcement(frame, timestamp, Arrival { at, waited });
        cadence.judge(timestamp, at)
    };
    let history = HISTORY as u32;
    assert!((1..=history).all(|frame| [Verdict::Learning, Verdict::NeverWaited].contains(&judge(frame, false))));
    assert_eq!(judge(history + 1, true), Verdict::Whole);
    assert!((2..=history).all(|frame| judge(history + frame, false) == Verdict::Whole));
    assert_eq!(judge(2 * history + 1, false), Verdict::NeverWaited);
}

#[test]
fn the_metadata_alone_let_mixed_frames_of_the_reference_order_through() {
    assert!(explore(Rule::Metadata, writers(Order::Reference)).mixed > 0);
}

#[test]
fn the_metadata_alone_are_enough_in_our_order() {
    assert_eq!(explore(Rule::Metadata, writers(Order::Ours)).mixed, 0);
}

#[test]
fn frames_in_time_are_taken_and_the_first_ones_teach() {
    let line = Writer { delay: 20, ..CALM_WRITER }.timeline();
    let outcome = read(&line, 1, [(0, 0); 50], Rule::Cadence);
    assert_eq!(outcome.taken, 51 - LEARNED as u64);
}

#[test]
fn a_producer_that_writes_all_the_time_gets_nothing_through() {
    let line = Writer { write: INTERVAL, ..CALM_WRITER }.timeline();
    for copy in [4, 5, 9] {
        assert_eq!(read(&line, copy, [(0, 0); 50], Rule::Cadence).taken, 0, "{copy}");
    }
}

#[test]
fn a_frame_that_is_announced_again_changes_nothing() {
    let epoch = Instant::now();
    let mut cadence = Cadence::new(epoch);
    for frame in 1..=LEARNED as u32 {
        let at = epoch + TICK * (frame * INTERVAL as u32);
        let timestamp = at.duration_since(epoch).as_nanos() as u64;
        for again in 0..3 {
            cadence.note_announcement(frame, timestamp, Arrival { at: at + TICK * again, waited: true });
        }
        let late = cadence.judge(timestamp, at + TICK * INTERVAL as u32);
        assert_eq!(cadence.judge(timestamp, at) == Verdict::Whole, frame as usize == LEARNED);
        assert_ne!(late, Verdict::Whole);
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
                cadence.note_announcement(tick, timestamp, Arrival { at: now, waited: true });
                cadence.judge(timestamp, now) == Verdict::Whole
            })
            .filter(|whole| *whole)
            .count()
    };
    let lost = LEARNED - 1;
    assert_eq!(run(0, 50), 50 - lost);
    for offset in [3_600_000_000_000, -3_600_000_000_000, 0] {
        let taken = run(offset, 50);
        assert!(taken >= 49 - lost, "{offset}: {taken}");
    }
    // Set back by less than an interval, it cannot be told from a reader that is late, until it is forgotten.
    assert!(run(-8_000_000, 50) >= 50 - HISTORY);
}

/// A source that starts over every so many frames, its clock put back by hours each time or going on: the part of its
/// frames that is taken, once the cadence is known.
fn share_of_storm(every: u32, hours: u64) -> f64 {
    const STORM: u32 = 180;
    let epoch = Instant::now();
    let mut cadence = Cadence::new(epoch);
    let mut taken = 0;
    for frame in 0..STORM {
        let at = epoch + TICK * (frame * INTERVAL as u32);
        let clock = Duration::from_secs(1 << 20) - Duration::from_secs(3600 * hours) * (frame / every % 4);
        let timestamp = (clock + at.duration_since(epoch)).as_nanos() as u64;
        cadence.note_announcement(frame % every + 1, timestamp, Arrival { at, waited: true });
        taken += u32::from(cadence.judge(timestamp, at) == Verdict::Whole);
    }
    f64::from(taken) / f64::from(STORM + 1 - LEARNED as u32)
}

#[test]
fn a_counter_that_starts_over_costs_nothing_and_a_clock_that_is_set_costs_little() {
    for every in [1, 3, 9] {
        assert!(share_of_storm(every, 0) >= 0.95, "{every}: {}", share_of_storm(every, 0));
    }
    assert!(share_of_storm(9, 1) >= 0.6, "{}", share_of_storm(9, 1));
}

/// Pictures that come over a network: some are held up, and those behind them come at once. Timestamps are those of the
/// capture, or of the begin of the write.
#[test]
fn bursts_that_come_again_and_again_bring_no_mixed_frame() {
    for (write, every, held, of_write) in (1..INTERVAL).flat_map(|write| {
        [(2, 5), (3, 7), (4, 15), (4, 25)]
            .into_iter()
            .flat_map(move |(every, held)| [false, true].map(|of_write| (write, every, held, of_write)))
    }) {
        let mut line = Writer { write, ..CALM_WRITER }.timeline();
        let mut free = 0;
        for frame in 0..FRAMES {
            let capture = line.timestamp[frame];
            line.begin[frame] = (capture + if frame % every == 0 { held } else { 0 }).max(free);
            line.end[frame] = line.begin[frame] + write;
            free = line.end[frame];
            line.timestamp[frame] = if of_write { line.begin[frame] } else { capture };
        }
        for copy in [0, 2, 4] {
            explore_one(&line, copy, CALM, Rule::Cadence, &(write, every, held, of_write));
        }
    }
}

/// The first frames that were ever held up, behind a rhythm that was regular, and then those that come at once.
#[test]
fn the_first_burst_brings_no_mixed_frame() {
    for write in 1..INTERVAL {
        for (first, held) in (0..DELAYED).flat_map(|first| [4, 9, 12, 25, 54, 99].map(|held| (CALM + first, held))) {
            for of_write in [false, true] {
                let mut line = Writer { write, ..CALM_WRITER }.timeline();
                let mut free = 0;
                for frame in 0..FRAMES {
                    let capture = line.timestamp[frame];
                    line.begin[frame] = (capture + if frame == first { held } else { 0 }).max(free);
                    line.end[frame] = line.begin[frame] + write;
                    free = line.end[frame];
                    line.timestamp[frame] = if of_write { line.begin[frame] } else { capture };
                }
                for copy in [0, 2, 4] {
                    explore_one(&line, copy, CALM, Rule::Cadence, &(write, first, held, of_write));
                }
            }
        }
    }
}

/// Two frames that are late together by nearly an interval, as a busy machine brings them, and the next one right behind.
#[test]
fn a_frame_that_is_late_by_nearly_an_interval_leaves_no_time_before_the_next() {
    let usual = Duration::from_micros(33_333);
    let (write, begin) = (Duration::from_millis(1), Instant::now());
    let mut cadence = Cadence::new(begin);
    let mut time = begin + usual;
    let mut note = |cadence: &mut Cadence, frame_id, after| {
        time += after;
        let timestamp = time.duration_since(begin).as_nanos() as u64;
        cadence.note_announcement(frame_id, timestamp, Arrival { at: time + write, waited: true });
        // Each write is seen to begin at its timestamp.
        cadence.begins.push(0);
        cadence.writes.push(write.as_nanos() as i64);
        (timestamp, time + write)
    };
    for frame_id in 0..300 {
        // Stamped when the write begins, and delayed by what the network takes.
        let late = Duration::from_micros(u64::from(frame_id % 7) * 900);
        note(&mut cadence, frame_id, usual - Duration::from_micros(2_700) + late);
    }
    let _ = note(&mut cadence, 300, usual + Duration::from_millis(17));
    let (timestamp, announced) = note(&mut cadence, 301, usual + Duration::from_micros(14_650));
    // The next timestamp came 1.2 ms behind this one.
    let verdict = cadence.judge(timestamp, announced + Duration::from_micros(200));
    assert!(matches!(verdict, Verdict::Late { .. }), "{verdict:?}");
}

/// A writer of which every third write stands still for longer than an interval, for some time or for good: a third of the frames is
/// written in time and left alone for most of an interval.
#[test]
fn writes_that_are_held_up_again_and_again_leave_the_others() {
    for (write, held, (until, least)) in (0..4).flat_map(|write| {
        (11..18).flat_map(move |held| [(FRAMES / 2, 30), (FRAMES, 10)].map(|until| (write, held, until)))
    }) {
        let mut line = Writer { write, ..CALM_WRITER }.timeline();
        let mut free = 0;
        for frame in 0..FRAMES {
            let stall = if frame % 3 == 0 && frame < until { held } else { 0 };
            line.begin[frame] = line.timestamp[frame].max(free);
            line.end[frame] = line.begin[frame] + write + stall;
            free = line.end[frame];
        }
        for copy in [0, 1] {
            let mut reader = Reader::new(&line, copy, Rule::Cadence);
            while reader.next < FRAMES - 2 {
                reader.read((0, 0));
            }
            let what = format!("write {write}, held {held}, until {until}, copy {copy}");
            assert_eq!(reader.outcome.mixed, 0, "{what}");
            assert!(reader.outcome.taken >= least, "{what}: {}", reader.outcome.taken);
        }
    }
}

/// What forbids every copy is looked at again: the writes may be quicker by now. A frame that is reached late is not watched.
#[test]
fn a_frame_that_may_not_be_copied_is_watched_all_the_same() {
    let (usual, write) = (Duration::from_millis(10), Duration::from_millis(9));
    let begin = Instant::now();
    let mut cadence = Cadence::new(begin);
    let mut announced = begin;
    for frame_id in 0..100 {
        let time = usual * (frame_id + 1);
        announced = begin + time + write;
        cadence.note_announcement(frame_id, time.as_nanos() as u64, Arrival { at: announced, waited: true });
        cadence.begins.push(0);
        cadence.writes.push(write.as_nanos() as i64);
    }
    let timestamp = (usual * 100).as_nanos() as u64;
    let soon = announced + Duration::from_micros(700);
    assert!(matches!(cadence.judge(timestamp, soon), Verdict::Late { .. }));
    assert!(!cadence.clone().watch(announced + usual / 2));
    assert!(cadence.watch(soon));
}

/// Slow writes of pictures that a network delays at random: a writer that is behind for a while begins late, and then
/// in time again.
#[test]
fn slow_writes_of_delayed_pictures_bring_no_mixed_frame() {
    const READ: usize = FRAMES - 2;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut taken = 0;
    for (write, copy) in [(5, 1), (6, 1), (7, 1), (8, 1), (8, 0)] {
        for _ in 0..2_000 {
            let mut line = Writer { write, ..CALM_WRITER }.timeline();
            let mut free = 0;
            for frame in 0..FRAMES {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                // None as often as not, and each longer one half as likely.
                let delay = u64::from((seed | 1 << 40).trailing_zeros() * 3 / 2).min(18);
                line.begin[frame] = (line.timestamp[frame] + delay).max(free);
                line.end[frame] = line.begin[frame] + write;
                free = line.end[frame];
            }
            let mut reader = Reader::new(&line, copy, Rule::Cadence);
            while reader.next < READ {
                reader.read((0, 0));
            }
            assert_eq!(reader.outcome.mixed, 0, "write {write}, copy {copy}, {:?}", line.begin);
            taken += reader.outcome.taken;
        }
    }
    assert!(taken > 10_000, "{taken}");
}

/// A writer that is behind from the start and catches up later: each frame is announced sooner than all
/// before it, and the next write follows at once.
#[test]
fn a_writer_that_catches_up_brings_no_mixed_frame() {
    let mut taken = 0;
    for (write, behind) in (1..INTERVAL).flat_map(|write| (5..200).step_by(5).map(move |behind| (write, behind))) {
        // As slow as its frames come for a while, and then faster.
        let mut line = Writer { write, ..CALM_WRITER }.timeline();
        let mut free = line.begin[0] + behind;
        for frame in 0..FRAMES {
            line.begin[frame] = line.timestamp[frame].max(free);
            line.end[frame] = line.begin[frame] + if frame < FRAMES / 2 { INTERVAL } else { write };
            free = line.end[frame];
        }
        for copy in [0, 1, 2] {
            let mut reader = Reader::new(&line, copy, Rule::Cadence);
            while reader.next < FRAMES - 2 {
                reader.read((0, 0));
            }
            assert_eq!(reader.outcome.mixed, 0, "write {write}, behind {behind}, copy {copy}");
            taken += reader.outcome.taken;
        }
    }
    assert!(taken > 1_000, "{taken}");
}
