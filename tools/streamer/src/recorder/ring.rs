//! The last seconds of a stream, bounded in time and bytes. It begins with a keyframe; what goes is the oldest whole group of
//! pictures.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    intake::Item,
    moment::{Depth, Moment},
};

/// What an item takes beside its bytes: buffers, timestamps, its place.
const OVERHEAD: usize = 1024;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So much time, and up to a group of pictures more.
    pub time: Duration,
    /// So many bytes at most, whatever time that is.
    pub bytes: usize,
}

/// What is kept at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Time from the oldest access unit to the newest.
    pub time: Duration,
    /// Bytes.
    pub bytes: usize,
    /// Access units.
    pub units: u64,
}

/// A place in the ring, and how far it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    next: u64,
    /// Access units before it.
    units: u64,
    end: u64,
    /// How long before the request it begins.
    pub age: Duration,
}

/// What is read next.
#[derive(Debug)]
pub struct Read {
    /// The item.
    pub item: Item,
    /// Access units before it that are gone meanwhile.
    pub lost: u64,
}

#[derive(Debug)]
struct Kept {
    item: Item,
    bytes: usize,
    came: Instant,
    /// Access units before it, since the ring was made.
    units: u64,
}

/// The ring.
#[derive(Debug)]
pub struct Ring {
    bounds: Bounds,
    kept: VecDeque<Kept>,
    /// Number of the oldest item; they are numbered as they come.
    first: u64,
    /// Numbers of keyframes.
    starts: VecDeque<u64>,
    bytes: usize,
    /// Access units so far.
    units: u64,
    /// What comes next can be decoded.
    flows: bool,
    /// Depth before this item is as it is recorded.
    coded: u64,
}

impl Ring {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            kept: VecDeque::new(),
            first: 0,
            starts: VecDeque::new(),
            bytes: 0,
            units: 0,
            flows: false,
            coded: 0,
        }
    }

    /// Takes in an access unit that came now.
    pub fn moment(&mut self, moment: Moment, now: Instant) {
        if moment.is_keyframe() {
            self.starts.push_back(self.end());
            self.flows = true;
        }
        if self.flows {
            let bytes = moment.bytes() + moment.depth_bytes();
            self.keep(Item::Moment(moment), bytes, now);
        }
    }

    /// Takes in a body-tracking packet that came now.
    pub fn body(&mut self, packet: &[u8], now: Instant) {
        if !self.kept.is_empty() {
            self.keep(Item::Body(packet.to_vec()), packet.len(), now);
        }
    }

    /// An access unit is missing: what follows waits for a keyframe.
    pub fn interrupt(&mut self) {
        self.flows = false;
    }

    /// Whether what comes next can be decoded after what is kept.
    pub fn flows(&self) -> bool {
        self.flows
    }

    /// What is kept.
    pub fn level(&self) -> Level {
        let ends = [self.kept.front(), self.kept.back()].map(|kept| kept.map(|kept| kept.came));
        let time = match ends {
            [Some(oldest), Some(newest)] => newest.saturating_duration_since(oldest),
            _ => Duration::ZERO,
        };
        Level { time, bytes: self.bytes, units: self.units - self.kept.front().map_or(self.units, |kept| kept.units) }
    }

    /// Where a recording begins that is asked for now: with the youngest keyframe that is old enough, or else the oldest. `None`
    /// when all is older than that.
    pub fn begin(&self, now: Instant) -> Option<Cursor> {
        let age = |kept: &Kept| now.saturating_duration_since(kept.came);
        self.kept.back().filter(|newest| age(newest) < self.bounds.time)?;
        let old_enough = |number: &&u64| self.at(**number).is_some_and(|kept| age(kept) >= self.bounds.time);
        let next = *self.starts.iter().rev().find(old_enough).or(self.starts.front())?;
        let kept = self.at(next)?;
        Some(Cursor { next, units: kept.units, end: self.end(), age: age(kept) })
    }

    /// What is next at `cursor`, which goes on.
    pub fn read(&self, cursor: &mut Cursor) -> Option<Read> {
        let number = cursor.next.max(self.first);
        if number >= cursor.end {
            return None;
        }
        let kept = self.at(number)?;
        let lost = kept.units - cursor.units;
        let is_unit = matches!(kept.item, Item::Moment(_));
        (cursor.next, cursor.units) = (number + 1, kept.units + u64::from(is_unit));
        Some(Read { item: kept.item.clone(), lost })
    }

    /// The oldest access unit whose depth is as it came, by its number.
    pub fn uncoded(&mut self) -> Option<(u64, Moment)> {
        self.coded = self.coded.max(self.first);
        while let Some(kept) = self.at(self.coded) {
            if let Item::Moment(moment @ Moment { depth: Some(Depth::Plane(_)), .. }) = &kept.item {
                return Some((self.coded, moment.clone()));
            }
            self.coded += 1;
        }
        None
    }

    /// Keeps depth as it is recorded, where its access unit is still there.
    pub fn code(&mut self, number: u64, coded: Option<Depth>) {
        self.coded = number + 1;
        let Some(index) = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        if let Some(kept) = self.kept.get_mut(index)
            && let Item::Moment(moment) = &mut kept.item
        {
            let before = moment.depth_bytes();
            moment.depth = coded;
            let change = |bytes: usize| bytes - before + moment.depth_bytes();
            (kept.bytes, self.bytes) = (change(kept.bytes), change(self.bytes));
        }
    }

    fn keep(&mut self, item: Item, bytes: usize, now: Instant) {
        let bytes = bytes + OVERHEAD;
        let is_unit = matches!(item, Item::Moment(_));
        self.kept.push_back(Kept { item, bytes, came: now, units: self.units });
        self.units += u64::from(is_unit);
        self.bytes += bytes;
        while let Some(second) = self.starts.get(1).and_then(|number| self.at(*number))
            && now.saturating_duration_since(second.came) >= self.bounds.time
        {
            self.drop_group();
        }
        while self.bytes > self.bounds.bytes {
            self.drop_group();
        }
    }

    fn drop_group(&mut self) {
        self.starts.pop_front();
        let until = self.starts.front().copied().unwrap_or(self.end());
        while self.first < until
            && let Some(kept) = self.kept.pop_front()
        {
            self.first += 1;
            self.bytes -= kept.bytes;
        }
        // What follows of the group that is at work needs what is gone.
        self.flows &= !self.kept.is_empty();
    }

    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn at(&self, number: u64) -> Option<&Kept> {
        self.kept.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tools_mcap::{
        depth::DepthPlane,
        schema::cvmmap_streamer::{DepthMap, depth_map::DepthUnit},
    };

    use super::*;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    fn ring(seconds: u64, bytes: usize) -> Ring {
        Ring::new(Bounds { time: SECONDS(seconds), bytes })
    }

    /// An access unit each second, a keyframe every fourth; the unit of second N has N + 1 bytes.
    fn fill(ring: &mut Ring, from: Instant, seconds: std::ops::Range<u64>) {
        for second in seconds {
            ring.moment(Moment::of_bytes(second % 4 == 0, second as usize + 1), from + SECONDS(second));
        }
    }

    fn rest(ring: &Ring, mut cursor: Cursor) -> Vec<usize> {
        std::iter::from_fn(|| ring.read(&mut cursor))
            .map(|read| match read.item {
                Item::Moment(moment) => moment.bytes() - 1,
                Item::Body(packet) => packet.len(),
            })
            .collect()
    }

    #[test]
    fn it_begins_with_the_youngest_keyframe_that_is_old_enough() {
        let (mut ring, start) = (ring(10, usize::MAX), Instant::now());
        assert_eq!(ring.begin(start), None);
        fill(&mut ring, start, 1..30);
        // 19 is 10 seconds old, and 16 the keyframe before it.
        let cursor = ring.begin(start + SECONDS(29)).unwrap();
        assert_eq!(rest(&ring, cursor), (16..30).collect::<Vec<_>>());
        assert_eq!(cursor.age, SECONDS(13));
        assert_eq!(ring.level().units, 14);
        // Later the same is older, and a younger keyframe old enough.
        assert_eq!(rest(&ring, ring.begin(start + SECONDS(31)).unwrap()), (20..30).collect::<Vec<_>>());
        // What is older than that as a whole is of no use.
        assert_eq!(ring.begin(start + SECONDS(39)), None);
    }

    #[test]
    fn with_less_than_asked_for_it_begins_with_the_oldest_keyframe() {
        let (mut ring, start) = (ring(60, usize::MAX), Instant::now());
        fill(&mut ring, start, 2..9);
        ring.body(&[0; 99], start + SECONDS(9));
        assert_eq!(rest(&ring, ring.begin(start + SECONDS(9)).unwrap()), [4, 5, 6, 7, 8, 99]);
    }

    #[test]
    fn bytes_are_never_more_than_allowed_and_whole_groups_go() {
        let unit = 1000 + OVERHEAD;
        let (mut ring, start) = (ring(1000, 10 * unit), Instant::now());
        for second in 0..200 {
            ring.moment(Moment::of_bytes(second % 4 == 0, 1000), start + SECONDS(second));
            assert!(ring.level().bytes <= 10 * unit);
            let cursor = ring.begin(start + SECONDS(second)).unwrap();
            assert!(second < 10 || cursor.age >= SECONDS(6), "{second}: {:?}", cursor.age);
            assert_eq!(cursor.age.as_secs(), second - (second - cursor.age.as_secs()) / 4 * 4);
        }
        // A group that is larger than that by itself is gone, and what belongs to it is not kept.
        ring.moment(Moment::of_bytes(true, 1), start);
        ring.moment(Moment::of_bytes(false, 11 * unit), start);
        assert_eq!((ring.level(), ring.flows()), (Level::default(), false));
        ring.moment(Moment::of_bytes(false, 1), start);
        ring.body(&[1], start);
        assert_eq!(ring.level(), Level::default());
        ring.moment(Moment::of_bytes(true, 1), start);
        assert!(ring.flows() && ring.level().units == 1);
    }

    #[test]
    fn behind_a_gap_it_goes_on_with_a_keyframe() {
        let (mut ring, start) = (ring(60, usize::MAX), Instant::now());
        fill(&mut ring, start, 0..2);
        ring.interrupt();
        fill(&mut ring, start, 3..6);
        assert_eq!(rest(&ring, ring.begin(start + SECONDS(6)).unwrap()), [0, 1, 4, 5]);
    }

    #[test]
    fn who_reads_slowly_is_told_what_went_meanwhile() {
        let (mut ring, start) = (ring(8, usize::MAX), Instant::now());
        fill(&mut ring, start, 0..10);
        let mut cursor = ring.begin(start + SECONDS(9)).unwrap();
        assert_eq!(ring.read(&mut cursor).unwrap().lost, 0);
        ring.body(&[0; 3], start + SECONDS(9));
        fill(&mut ring, start, 10..17);
        let read = ring.read(&mut cursor).unwrap();
        assert!(matches!(&read.item, Item::Moment(moment) if moment.is_keyframe() && moment.bytes() == 9));
        assert_eq!(read.lost, 7);
        assert_eq!(ring.read(&mut cursor).unwrap().lost, 0);
        // What came after it began is not its.
        assert!(ring.read(&mut cursor).is_none());
        fill(&mut ring, start, 17..60);
        assert!(ring.read(&mut cursor).is_none());
    }

    #[test]
    fn depth_counts_as_much_as_it_takes() {
        let (mut ring, now) = (ring(60, usize::MAX), Instant::now());
        let mut with_depth = Moment::of_bytes(true, 1);
        let buffer = gst::Buffer::with_size(4000).unwrap();
        with_depth.depth = DepthPlane::new(buffer, 1000, 1, DepthUnit::Meter).map(Depth::Plane);
        ring.moment(with_depth.clone(), now);
        ring.moment(Moment::of_bytes(false, 1), now);
        ring.moment(with_depth, now);
        assert_eq!(ring.level().bytes, 3 * (OVERHEAD + 1) + 8000);
        let coded = || Some(Depth::Message(Arc::new(DepthMap { data: vec![0; 100], ..Default::default() })));
        for number in [0, 2] {
            assert_eq!(ring.uncoded().unwrap().0, number);
            ring.code(number, coded());
        }
        assert!(ring.uncoded().is_none());
        assert_eq!(ring.level().bytes, 3 * (OVERHEAD + 1) + 200);
        // It went meanwhile.
        fill(&mut ring, now + SECONDS(100), 0..5);
        ring.code(1, coded());
        assert!(ring.uncoded().is_none());
    }
}
