//! Watching a payload for the write that comes next.

/// Looks in a usual interval: a millisecond apart at 30 frames a second, and no less, for waits are as long.
const LOOKS: i64 = 32;
/// Shortest time between two looks, nanoseconds.
const APART_MIN: i64 = 1_000_000;
/// Looks that were further apart than this many times the wish say too little.
const APART_MAX: i64 = 3;
/// Looks before the expected begin.
const BEFORE: i64 = 2;
/// Looks for one write.
const LOOKS_MAX: u32 = 64;

/// Looks at a payload since its frame was announced; nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// From one look to the next.
    apart: i64,
    /// When the payload was known for the last time to be whole.
    unchanged: i64,
    /// When it was seen to have changed.
    changed: Option<i64>,
    next: i64,
    left: u32,
}

/// A look at the payload.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) has_changed: bool,
}

impl Watch {
    /// Of a payload that nobody can have touched before `since` and that was seen first at `seen`, the write being expected at `expected`, of a producer with this usual
    /// interval.
    pub(super) fn new(since: i64, seen: i64, expected: i64, usual: i64) -> Self {
        let apart = (usual / LOOKS).max(APART_MIN);
        let next = expected.saturating_sub(BEFORE * apart).max(seen.saturating_add(apart));
        Self { apart, unchanged: since, changed: None, next, left: LOOKS_MAX }
    }

    pub(super) fn look_at(&self) -> Option<i64> {
        (self.changed.is_none() && self.left > 0).then_some(self.next)
    }

    pub(super) fn note(&mut self, look: Look) {
        if self.changed.is_some() {
            return;
        }
        if look.has_changed {
            self.changed = Some(look.to);
            return;
        }
        self.unchanged = look.from;
        self.left = self.left.saturating_sub(1);
        self.next = self.next.max(look.to.saturating_add(self.apart));
    }

    /// When the write began, if it changed anything.
    pub(super) fn begin(&self) -> Option<Begin> {
        let changed = self.changed?;
        let is_close = changed.saturating_sub(self.unchanged) <= APART_MAX * self.apart;
        Some(if is_close { Begin::Seen(self.unchanged) } else { Begin::Before(changed) })
    }
}

/// When a write began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// No earlier than this, and not much later: the last look at an untouched payload.
    Seen(i64),
    /// Earlier than this. Nobody had looked for a while.
    Before(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: i64 = 32_000_000;

    fn look(at: i64, has_changed: bool) -> Look {
        Look { from: at, to: at + 5_000, has_changed }
    }

    #[test]
    fn the_begin_is_the_last_look_that_showed_nothing() {
        let mut watch = Watch::new(0, 0, 0, USUAL);
        assert_eq!(watch.look_at(), Some(1_000_000));
        for at in 1..10 {
            watch.note(look(at * 1_000_000, false));
        }
        assert_eq!(watch.begin(), None);
        watch.note(look(10_000_000, true));
        assert_eq!((watch.begin(), watch.look_at()), (Some(Begin::Seen(9_000_000)), None));
    }

    #[test]
    fn looks_that_are_far_apart_say_little() {
        let mut watch = Watch::new(0, 0, 0, USUAL);
        watch.note(look(5_000_000, true));
        assert_eq!(watch.begin(), Some(Begin::Before(5_005_000)));
    }

    #[test]
    fn when_the_begin_is_known_only_the_time_around_it_is_looked_at() {
        let mut watch = Watch::new(0, 0, 20_000_000, USUAL);
        assert_eq!(watch.look_at(), Some(18_000_000));
        watch.note(look(18_000_000, false));
        assert_eq!(watch.look_at(), Some(19_005_000));
    }

    #[test]
    fn what_was_written_before_the_first_look_is_not_known() {
        let mut watch = Watch::new(7_000_000, 8_000_000, 0, USUAL);
        watch.note(look(9_000_000, true));
        assert_eq!(watch.begin(), Some(Begin::Seen(7_000_000)));
        let mut watch = Watch::new(2_000_000, 8_000_000, 0, USUAL);
        watch.note(look(9_000_000, true));
        assert_eq!(watch.begin(), Some(Begin::Before(9_005_000)));
    }
}
