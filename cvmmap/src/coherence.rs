//! Telling a whole frame from a mixed one by time, where the segment cannot tell.
//!
//! The reference producer overwrites the payload while the old metadata still stand. A reader whose copy overlaps the
//! next frame's write sees the same metadata before and after, and mixed pixels. What it can know is when writes begin: after
//! its copy it goes on looking at places of the payload, and sees them change.
//!
//! Let `T` be a frame's timestamp, and all times below be relative to the timestamp of the frame that they belong to:
//!
//! - `e`, the earliest recent announcement;
//! - `b`, the earliest begin of a write that was seen, which is a look that still showed the frame before;
//! - `D`, the shortest interval from this timestamp to the next that is to be expected. A frame that came after a gap may be
//!   the first of several that were held up, so it is shorter behind one.
//!
//! The next write begins at `T + D + b` or later, so `D + b - e` is the quiet time behind an announcement. A copy has to
//! end before half of it is over, counted from the earliest possible announcement of its frame, `T + e`. However late the
//! reader hears of frames, the end of the quiet time does not move: only its begin does, and that makes it shorter.
//!
//! `docs/coherence.md` has the whole story.
//!
//! Longer than other files: what is known, and what follows from it, are one type whose parts cannot be told apart from outside.

mod backlog;
mod rhythm;
mod watch;

use std::time::{Duration, Instant};

use self::{
    backlog::Backlog,
    rhythm::Rhythm,
    watch::{Begin, Look, Watch},
};
use crate::event::Arrival;

/// Announcements whose delays are looked back on: long enough to hold one that nothing delayed, short enough that a clock
/// that was set back by less than an interval is forgotten in a second.
const HISTORY: usize = 32;
/// Frames that have to be known, with the one that is taken: enough for one that nothing delayed to be among them.
const LEARNED: usize = 9;
/// The same after the clock was set, when the rhythm is known and only its place on the clock is new.
const PLACED: usize = 3;
/// Announcements that may be earlier than those before because the producer catches up.
const NEWEST: usize = 4;
/// Largest part of the interval by which the end of a copy may be late.
const LATEST: f64 = 0.4;
/// Part of the quiet time in which a copy has to end. The rest is for what was not seen yet.
const USED: f64 = 0.5;
/// Part of the interval in which a copy has to end while no write was seen to begin: where nothing changes, or nobody
/// looks. It leaves a write more than eight tenths.
const UNSEEN: f64 = 0.15;
/// Begins of writes that are looked back on.
const BEGINS: usize = 16;
/// Begins that have to be known before they count for more than [`UNSEEN`].
const BEGINS_LEARNED: usize = 4;
/// Frames from one that is watched to the next, when everything is known.
const WATCHED_EVERY: u32 = 16;
/// A write that takes more than this part of an interval is slow: it may stand still between two pieces for as long as a
/// copy takes.
const SLOW: f64 = 0.25;
/// Part of such a write, and of the quiet time, for which the payload is looked at behind a copy.
const AFTERLOOK: (f64, f64) = (0.125, 0.25);
/// Frame ids further apart are not neighbours in a cadence, and intervals that are longer by this are a new one.
const GAP_MAX: u32 = 16;

/// What is overdue is known to this part of it: the frames before it were not exactly on time either.
const OVERDUE_UNSURE: f64 = 0.1;

/// How a reader decides that a copied frame is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coherence {
    /// Equal metadata before and after the copy, those that were announced, and a copy that ended well before the next
    /// write can have begun, by what was seen of the producer's cadence and of its writes. The first frames teach that and are
    /// dropped, as is every frame that this reader is late for. A producer that says it changes its metadata before its
    /// payload, as [`Publisher`](crate::Publisher) does, is taken at its word and loses none.
    #[default]
    Cadence,
    /// Equal metadata before and after the copy, those that were announced. With the reference producer, which overwrites
    /// its payload first, a late reader gets mixed frames.
    Metadata,
}

/// Whether a copy ended before the next write can have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did.
    Whole,
    /// The cadence is not known yet.
    Learning,
    /// Nobody waited for any of the recent announcements, so their delays may all be the reader's own.
    NeverWaited,
    /// It may not have: the end was this late, and this late is allowed.
    Late { by: Duration, allowed: Duration },
}

/// The producer's cadence, as far as it is known. Times are nanoseconds: of timestamps as the producer says them, of
/// everything else since `epoch`.
#[derive(Clone, Debug)]
pub(crate) struct Cadence {
    epoch: Instant,
    last: Option<Announced>,
    /// From timestamp to arrival, the last ones.
    delays: Recent<Delay, HISTORY>,
    rhythm: Rhythm,
    backlog: Backlog,
    /// From a timestamp to the begin of its frame's write, negative if that comes first.
    begins: Recent<i64, BEGINS>,
    /// From the begin of a write to the arrival of its announcement, of the same frames.
    writes: Recent<i64, BEGINS>,
    /// How long before the earliest announcement the earliest write began, when the clock was set: `begins` were those of
    /// another clock.
    lead: Option<i64>,
    /// Frames that have to be known, with the one that is taken.
    needed: usize,
    /// Whether a write was seen to begin when it could not have.
    is_refuted: bool,
    watch: Option<Watch>,
    /// Announcements since the last frame that was watched.
    unwatched: u32,
    /// Whether that one has shown a write.
    has_shown: bool,
}

#[derive(Clone, Copy, Debug)]
struct Announced {
    frame_id: u32,
    timestamp_ns: u64,
    arrival: Arrival,
}

/// From a timestamp to the arrival of its announcement, at most: a reader that was busy saw it later than it came.
#[derive(Clone, Copy, Debug, Default)]
struct Delay {
    delay: i64,
    /// Whether the reader was not busy.
    waited: bool,
}

/// What the rule goes by.
#[derive(Clone, Copy)]
struct Known {
    /// `e`.
    earliest: i64,
    /// How close frames come.
    interval: f64,
    /// `D`: how close the next one may come.
    next: f64,
    /// `D + b - e`, less what was not seen yet, if writes were seen to begin.
    quiet: Option<f64>,
    /// How long a write lasts, from the begin to the announcement: `e - b`, and no less than was seen.
    write: Option<f64>,
}

impl Cadence {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            last: None,
            delays: Recent::default(),
            rhythm: Rhythm::default(),
            backlog: Backlog::default(),
            begins: Recent::default(),
            writes: Recent::default(),
            lead: None,
            needed: LEARNED,
            is_refuted: false,
            watch: None,
            unwatched: 0,
            has_shown: false,
        }
    }

    /// Takes note of an announcement, whether its frame can be copied or not.
    pub(crate) fn note_announcement(&mut self, frame_id: u32, timestamp_ns: u64, arrival: Arrival) {
        let announced = Announced { frame_id, timestamp_ns, arrival };
        let is_again = |last: &Announced| (last.frame_id, last.timestamp_ns) == (frame_id, timestamp_ns);
        if self.last.as_ref().is_some_and(is_again) {
            // Announced again; the first time told how late it is.
            return;
        }
        self.unwatched = self.unwatched.saturating_add(1);
        let watch = self.watch.take();
        let delay = self.delay(&announced);
        if let Some(last) = self.last.replace(announced) {
            match self.step(&last, &announced, delay) {
                Step::Next { elapsed, frames } => {
                    let usual = self.rhythm.usual().unwrap_or(elapsed / i64::from(frames));
                    self.backlog.note(elapsed, frames, usual);
                    self.rhythm.note(elapsed / i64::from(frames));
                    if let Some(watch) = watch.filter(|_| frames == 1) {
                        self.note_begin(watch.begin(), &announced);
                    }
                }
                Step::ClockSet => self.place_anew(&last, &announced),
                Step::Anew => self.forget(),
            }
        }
        self.delays.push(Delay { delay, waited: arrival.waited });
    }

    /// Takes note of when the write of a frame began.
    fn note_begin(&mut self, begin: Option<Begin>, announced: &Announced) {
        let timestamp = timestamp(announced.timestamp_ns);
        self.has_shown = begin.is_some();
        match begin {
            Some(Begin::Seen(at)) => {
                self.begins.push(at.saturating_sub(timestamp));
                self.writes.push(self.since_epoch(announced.arrival.at).saturating_sub(at));
            }
            // Earlier than ever before; how much earlier, the next frames tell.
            Some(Begin::Before(at)) if self.begin().is_some_and(|begin| at.saturating_sub(timestamp) < begin) => {
                self.begins.clear();
                self.begins.push(at.saturating_sub(timestamp));
            }
            Some(Begin::Before(_)) | None => {}
        }
        if self.begins.len() >= BEGINS_LEARNED {
            self.lead = None;
        }
    }

    /// What an announcement is to the last one.
    fn step(&self, last: &Announced, announced: &Announced, delay: i64) -> Step {
        let elapsed = announced.timestamp_ns.checked_sub(last.timestamp_ns);
        let elapsed = elapsed.and_then(|elapsed| i64::try_from(elapsed).ok()).unwrap_or(0);
        let shortest = self.rhythm.shortest();
        // A delay that fell by more than an interval is no frame in a hurry.
        let is_ahead = match (self.earliest(), shortest) {
            (Some(earliest), Some(shortest)) => earliest.saturating_sub(delay) > shortest,
            _ => false,
        };
        if elapsed <= 0 || is_ahead {
            return Step::ClockSet;
        }
        let frames = announced.frame_id.wrapping_sub(last.frame_id);
        // A counter that starts over says nothing about the clock, which went on.
        let frames = if (1..=GAP_MAX).contains(&frames) { frames } else { 1 };
        let interval = elapsed / i64::from(frames);
        if shortest.is_some_and(|shortest| interval > shortest.saturating_mul(GAP_MAX.into())) {
            return Step::Anew;
        }
        Step::Next { elapsed, frames }
    }

    /// The clock was set: the rhythm is what it was, and its place on the clock is to be learned.
    fn place_anew(&mut self, last: &Announced, announced: &Announced) {
        if self.delays.len() < self.needed || self.rhythm.known() + 1 < LEARNED {
            return self.forget();
        }
        if let (Some(earliest), Some(begin)) = (self.earliest(), self.begin()) {
            self.lead = Some(earliest.saturating_sub(begin));
        }
        let apart = announced.arrival.at.saturating_duration_since(last.arrival.at);
        let apart = i64::try_from(apart.as_nanos()).unwrap_or(i64::MAX);
        self.backlog.note(apart, 1, self.rhythm.usual().unwrap_or(apart));
        // The source may have started over sooner than its next frame was due.
        if last.arrival.waited && announced.arrival.waited {
            self.rhythm.note_if_short(apart);
        }
        self.needed = if self.is_refuted { HISTORY } else { PLACED };
        self.delays.clear();
        self.begins.clear();
    }

    fn forget(&mut self) {
        self.needed = if self.is_refuted { HISTORY } else { LEARNED };
        self.delays.clear();
        self.begins.clear();
        self.writes.clear();
        self.rhythm = Rhythm::default();
        self.backlog = Backlog::default();
        self.lead = None;
    }

    /// Takes note of another producer, or of other pictures: nothing of what was learned holds.
    pub(crate) fn note_other(&mut self) {
        self.is_refuted = false;
        self.watch = None;
        let last = self.last;
        self.forget();
        // The announcement that told of it is the first one.
        if let Some(last) = last {
            self.delays.push(Delay { delay: self.delay(&last), waited: last.arrival.waited });
        }
    }

    /// Takes note of a write that was seen to have begun when, by what was known, it could not have: from now on a whole
    /// history is needed.
    pub(crate) fn note_refuted(&mut self) {
        self.is_refuted = true;
        self.needed = HISTORY;
        self.delays.clear();
    }

    /// Judges a copy of a frame, whose announcement was noted, that ended at `ended`.
    pub(crate) fn judge(&self, timestamp_ns: u64, ended: Instant) -> Verdict {
        if self.delays.len() < self.needed {
            return Verdict::Learning;
        }
        let Some(known) = self.known() else { return Verdict::Learning };
        if !self.delays.iter().any(|delay| delay.waited) {
            return Verdict::NeverWaited;
        }
        let late =
            self.since_epoch(ended).saturating_sub(timestamp(timestamp_ns)).saturating_sub(known.earliest) as f64;
        let allowed = self.allowed(&known);
        if late <= allowed {
            return Verdict::Whole;
        }
        let duration = |nanos: f64| Duration::from_nanos(nanos.max(0.0) as u64);
        Verdict::Late { by: duration(late), allowed: duration(allowed) }
    }

    /// How late the end of a copy may be, behind the earliest possible announcement.
    fn allowed(&self, known: &Known) -> f64 {
        if self.is_ahead_of_time(known.interval) {
            return f64::NEG_INFINITY;
        }
        let mut allowed = known.next * LATEST;
        if let Some(quiet) = known.quiet {
            allowed = allowed.min(quiet * USED);
        }
        if self.begins.len() < BEGINS_LEARNED && self.lead.is_none() {
            allowed = allowed.min(known.next - known.interval * (1.0 - UNSEEN));
        }
        // The fewer announcements it goes by, the later may the earliest of them have been.
        allowed * self.delays.len().min(LEARNED) as f64 / LEARNED as f64
    }

    fn known(&self) -> Option<Known> {
        let earliest = self.earliest()?;
        let interval = self.rhythm.expected()?;
        let overdue = self.backlog.overdue() * (1.0 + OVERDUE_UNSURE);
        let next = interval.min(self.rhythm.usual()? as f64 - overdue);
        let lead = self.begin().map(|begin| earliest.saturating_sub(begin)).max(self.lead);
        // The writes that were seen may be none of the earliest: the earliest announcement had one before it, too.
        let write = lead.map(|lead| lead.max(self.usual_write().unwrap_or(lead)) as f64);
        let quiet = write.map(|write| next - write - self.unseen(earliest));
        Some(Known { earliest, interval, next, quiet, write })
    }

    /// How much earlier than the earliest announcement one may come. The earliest of a few that differ is not the earliest of
    /// all: as much is taken off as it differs from the usual one, and the less the more are known. And a producer whose last
    /// announcements came earlier than all before them may be catching up.
    fn unseen(&self, earliest: i64) -> f64 {
        let mut delays = Recent::<i64, HISTORY>::default();
        self.delays.iter().for_each(|delay| delays.push(delay.delay));
        let known = delays.len();
        let usual = delays.median().unwrap_or(earliest);
        let differs = usual.saturating_sub(earliest) as f64 * LEARNED as f64 / known.max(LEARNED) as f64;
        let before = delays.iter().take(known - NEWEST.min(known / 2)).min();
        let fallen = before.map_or(0, |before| before.saturating_sub(earliest));
        differs.max(fallen as f64)
    }

    fn earliest(&self) -> Option<i64> {
        self.delays.iter().map(|delay| delay.delay).min()
    }

    fn begin(&self) -> Option<i64> {
        self.begins.iter().min().copied()
    }

    /// How long a write usually takes. One that took longer than an interval was held up: no producer keeps its rhythm with
    /// writes like that.
    fn usual_write(&self) -> Option<i64> {
        let usual = self.rhythm.usual()?;
        let mut writes = Recent::<i64, BEGINS>::default();
        self.writes.iter().filter(|write| **write <= usual).for_each(|write| writes.push(*write));
        writes.median()
    }

    /// Whether the timestamps run faster than time, as those of a recording that is played fast do: then the next write
    /// comes sooner than they say. The newer half of the frames was announced earlier, by its timestamps, than the older
    /// half.
    fn is_ahead_of_time(&self, interval: f64) -> bool {
        let known = self.delays.len();
        let earliest =
            |from: usize, to: usize| self.delays.iter().skip(from).take(to - from).map(|delay| delay.delay).min();
        match (earliest(0, known / 2), earliest(known / 2, known)) {
            (Some(older), Some(newer)) => older.saturating_sub(newer) as f64 > interval * LATEST,
            _ => false,
        }
    }

    /// For how long the payload has to stay as it is behind a copy. A slow writer that began before the reader looked for
    /// the first time shows only when it goes on.
    pub(crate) fn afterlook(&self) -> Option<Duration> {
        let Known { interval, quiet: Some(quiet), write: Some(write), .. } = self.known()? else { return None };
        let (of_write, of_quiet) = AFTERLOOK;
        let longest = (write * of_write).min(quiet * of_quiet);
        (write > interval * SLOW && longest > 0.0).then(|| Duration::from_nanos(longest as u64))
    }

    /// Whether the quiet time behind a frame is far from over at an instant, by what is known.
    pub(crate) fn is_quiet(&self, timestamp_ns: u64, at: Instant) -> bool {
        let (_, of_quiet) = AFTERLOOK;
        let late =
            |earliest| self.since_epoch(at).saturating_sub(timestamp(timestamp_ns)).saturating_sub(earliest) as f64;
        match self.known() {
            Some(Known { earliest, quiet: Some(quiet), .. }) => late(earliest) <= quiet * (USED + of_quiet),
            _ => true,
        }
    }

    /// Begins to watch for the write behind a frame, whose announcement was noted last, if it is time to and not too late.
    /// `seen` is when its payload was looked at first. A frame of which no copy is taken is watched like any other: what was
    /// learned may be what forbids the copy.
    pub(crate) fn watch(&mut self, seen: Instant) -> bool {
        self.watch = None;
        let (Some(last), Some(usual)) = (self.last, self.rhythm.usual()) else { return false };
        let is_known = self.begins.len() >= BEGINS_LEARNED;
        let is_urgent = self.delays.len() < self.needed || !is_known && self.has_shown;
        if !last.arrival.waited || !is_urgent && self.unwatched < WATCHED_EVERY {
            return false;
        }
        let seen = self.since_epoch(seen);
        // Whatever was written since the announcement, nobody has seen.
        let since =
            self.earliest().map_or(seen, |earliest| timestamp(last.timestamp_ns).saturating_add(earliest).min(seen));
        if self.delays.len() >= self.needed && seen.saturating_sub(since) as f64 > usual as f64 * LATEST {
            return false;
        }
        let expected = match (self.rhythm.expected(), self.begin()) {
            (Some(interval), Some(begin)) if is_known => {
                timestamp(last.timestamp_ns).saturating_add(begin).saturating_add(interval as i64)
            }
            _ => seen,
        };
        self.unwatched = 0;
        self.has_shown = false;
        self.watch = Some(Watch::new(since, seen, expected, usual));
        true
    }

    /// Watches no more for the write behind the last frame; nothing is known of it.
    pub(crate) fn stop_watching(&mut self) {
        self.watch = None;
    }

    /// When to look next whether the write has begun that is watched for.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        let at = self.watch.as_ref()?.look_at()?;
        Some(self.epoch + Duration::from_nanos(u64::try_from(at).unwrap_or(0)))
    }

    /// Takes note of a look at the payload that was made between two instants.
    pub(crate) fn note_look(&mut self, from: Instant, to: Instant, has_changed: bool) {
        let look = Look { from: self.since_epoch(from), to: self.since_epoch(to), has_changed };
        if let Some(watch) = &mut self.watch {
            watch.note(look);
        }
    }

    fn delay(&self, announced: &Announced) -> i64 {
        self.since_epoch(announced.arrival.at).saturating_sub(timestamp(announced.timestamp_ns))
    }

    fn since_epoch(&self, instant: Instant) -> i64 {
        i64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(i64::MAX)
    }
}

/// What an announcement is to the one before.
enum Step {
    /// A later frame of the same rhythm, so many frames and nanoseconds behind the last one.
    Next { elapsed: i64, frames: u32 },
    /// A frame of another time.
    ClockSet,
    /// The first one after a long time.
    Anew,
}

fn timestamp(timestamp_ns: u64) -> i64 {
    i64::try_from(timestamp_ns).unwrap_or(i64::MAX)
}

/// The last values, oldest first.
#[derive(Clone, Debug)]
struct Recent<T, const N: usize> {
    values: [T; N],
    known: usize,
    next: usize,
}

impl<T: Copy + Default, const N: usize> Default for Recent<T, N> {
    fn default() -> Self {
        Self { values: [T::default(); N], known: 0, next: 0 }
    }
}

impl<T: Copy + Default + Ord, const N: usize> Recent<T, N> {
    fn median(&self) -> Option<T> {
        let mut sorted = [T::default(); N];
        self.iter().zip(&mut sorted).for_each(|(value, slot)| *slot = *value);
        let known = &mut sorted[..self.known];
        known.sort_unstable();
        known.get(known.len() / 2).copied()
    }
}

impl<T: Copy, const N: usize> Recent<T, N> {
    fn push(&mut self, value: T) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % N;
        self.known = (self.known + 1).min(N);
    }

    fn clear(&mut self) {
        self.known = 0;
    }

    fn len(&self) -> usize {
        self.known
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        let oldest = self.next + N - self.known;
        (oldest..oldest + self.known).map(|at| &self.values[at % N])
    }
}

#[cfg(test)]
mod model;
