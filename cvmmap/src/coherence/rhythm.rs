//! How far apart a producer's frames are, and how close the next one may come.

use super::{LEARNED, Recent};

/// Intervals of which the usual one is the median.
const USUAL: usize = 32;
/// Intervals of a block, of which the shortest is remembered.
const BLOCK: u32 = 32;
/// Blocks that are remembered, and those of them that count in full.
const BLOCKS: usize = 8;
const NEWEST: usize = 2;
/// An interval that is shorter than this part of the usual one is short.
const SHORT: f64 = 0.6;

/// The intervals of the last seconds.
///
/// An interval that is far too short may be a hiccup, forgotten after 32 to 64 frames, or what this producer does: of older
/// frames, up to 256, the second shortest block counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    last: Recent<i64, USUAL>,
    /// The shortest of each full block.
    blocks: Recent<i64, BLOCKS>,
    /// The shortest of the block that is being filled, and how many it has.
    filling: Option<i64>,
    filled: u32,
    /// Of `last`, at any time.
    usual: Option<i64>,
    shortest: Option<i64>,
}

impl Rhythm {
    /// Takes note of the time from one timestamp to the next, nanoseconds; of several frames, the mean.
    pub(super) fn note(&mut self, interval: i64) {
        self.last.push(interval);
        self.note_short(interval);
        if self.filled == BLOCK {
            self.blocks.push(self.filling.take().unwrap_or(interval));
            self.filled = 0;
        }
        self.usual = self.last.median();
        self.shortest = self.find_shortest();
    }

    /// Takes note of a time between two frames that is no interval of timestamps, if it is too short to be an accident.
    pub(super) fn note_if_short(&mut self, length: i64) {
        if self.usual.is_some_and(|usual| (length as f64) < usual as f64 * SHORT) {
            self.note_short(length);
            self.shortest = self.find_shortest();
        }
    }

    fn note_short(&mut self, length: i64) {
        self.filling = Some(self.filling.map_or(length, |shortest| shortest.min(length)));
        self.filled = (self.filled + 1).min(BLOCK);
    }

    fn find_shortest(&self) -> Option<i64> {
        let older = self.blocks.len().saturating_sub(NEWEST);
        let newest = self.blocks.iter().skip(older).min();
        let mut lowest = [i64::MAX; 2];
        for shortest in self.blocks.iter().take(older).copied() {
            lowest = match lowest {
                [first, _] if shortest < first => [shortest, first],
                [first, second] => [first, second.min(shortest)],
            };
        }
        let [_, second] = lowest;
        [newest.copied(), self.filling, Some(second)]
            .into_iter()
            .flatten()
            .min()
            .filter(|shortest| *shortest < i64::MAX)
    }

    /// Intervals that are known.
    pub(super) fn known(&self) -> usize {
        self.blocks.len() * BLOCK as usize + self.filled as usize
    }

    pub(super) fn usual(&self) -> Option<i64> {
        self.usual
    }

    pub(super) fn shortest(&self) -> Option<i64> {
        self.shortest
    }

    /// How close the next frame may come. The shortest of a few intervals that differ is not the shortest of all: as much
    /// is taken off as it differs from the usual one, and the less the more are known.
    pub(super) fn expected(&self) -> Option<f64> {
        let (shortest, usual) = (self.shortest? as f64, self.usual? as f64);
        let unseen = LEARNED as f64 / self.known().max(LEARNED) as f64;
        Some((shortest - (usual - shortest).max(0.0) * unseen).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL_NS: i64 = 33_000_000;

    fn of(lengths: impl IntoIterator<Item = i64>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        lengths.into_iter().for_each(|length| rhythm.note(length));
        rhythm
    }

    #[test]
    fn a_regular_rhythm_is_expected_to_go_on() {
        for known in [1, 8, 40, 1000] {
            assert_eq!(of(vec![USUAL_NS; known]).expected(), Some(USUAL_NS as f64), "{known}");
        }
        assert_eq!(of([]).expected(), None);
    }

    #[test]
    fn an_irregular_one_is_expected_to_get_worse_as_long_as_little_is_known() {
        let mixed = |known: usize| (0..known).map(|at| if at % 3 == 1 { 25_000_000 } else { USUAL_NS });
        let (few, many) = (of(mixed(8)).expected().unwrap(), of(mixed(256)).expected().unwrap());
        assert_eq!(few, 17_000_000.0);
        assert!((24_000_000.0..25_000_000.0).contains(&many), "{many}");
    }

    #[test]
    fn a_hiccup_is_forgotten_and_what_comes_again_is_not() {
        let short = 2_000_000;
        let once = |after: usize| [short].into_iter().chain(vec![USUAL_NS; after]);
        assert_eq!(of(once(63)).shortest(), Some(short));
        assert_eq!(of(once(95)).shortest(), Some(USUAL_NS));
        let twice = |after: usize| [short].into_iter().chain(vec![USUAL_NS; 31]).chain(once(after));
        assert_eq!(of(twice(190)).shortest(), Some(short));
        assert_eq!(of(twice(400)).shortest(), Some(USUAL_NS));
    }
}
