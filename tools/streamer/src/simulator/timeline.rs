//! Where the simulated source stands: the frame that comes next, and after a seek what time it shows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// A source of frames at a rate, that ends after some of them or never.
#[derive(Debug)]
pub struct Timeline {
    frames: u32,
    fps: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    /// Unix time of the first frame, nanoseconds.
    start: Option<u64>,
    /// Whether the frames are not those of now any more.
    was_sought: bool,
}

/// One frame of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its place in the source.
    pub index: u32,
    /// Its capture time, when that is not now.
    pub timestamp_ns: Option<u64>,
}

impl Timeline {
    /// A source of so many frames; 0 is no end.
    pub fn new(frames: u32, fps: u32) -> Self {
        Self { frames, fps, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame; none behind the last one.
    pub fn advance(&self) -> Option<Moment> {
        let mut state = self.state();
        if self.frames != 0 && state.next >= self.frames {
            return None;
        }
        let index = state.next;
        state.next = state.next.wrapping_add(1);
        let start = *state.start.get_or_insert_with(unix_now);
        Some(Moment { index, timestamp_ns: state.was_sought.then(|| start + self.after(index)) })
    }

    /// First and last timestamp of a source that ends, once it has begun.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        let start = self.state().start.filter(|_| self.frames != 0)?;
        Some((start, start + self.after(self.frames - 1)))
    }

    /// Goes on from the frame at or before a timestamp; that frame's own timestamp.
    pub fn seek(&self, target: u64) -> Option<u64> {
        let (start, end) = self.bounds()?;
        let target = target.clamp(start, end) - start;
        // Rounded up by less than a frame, for a frame's time is itself rounded down.
        let index = (u128::from(target + 1) * u128::from(self.fps)).div_ceil(1_000_000_000).saturating_sub(1) as u32;
        let mut state = self.state();
        state.next = index;
        state.was_sought = true;
        Some(start + self.after(index))
    }

    /// Time of a frame since the first one, nanoseconds.
    fn after(&self, index: u32) -> u64 {
        u64::from(index) * 1_000_000_000 / u64::from(self.fps)
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_lands_on_the_frame_before() {
        let timeline = Timeline::new(90, 30);
        assert_eq!(timeline.bounds(), None);
        assert_eq!(timeline.advance(), Some(Moment { index: 0, timestamp_ns: None }));
        let (start, end) = timeline.bounds().unwrap();
        assert_eq!(end - start, 89 * 1_000_000_000 / 30);
        for index in 0..90 {
            let at = start + timeline.after(index);
            assert_eq!(timeline.seek(at), Some(at), "{index}");
            assert_eq!(timeline.seek(at + 1_000), Some(at), "{index}");
            assert_eq!(timeline.advance(), Some(Moment { index, timestamp_ns: Some(at) }));
        }
        assert_eq!(timeline.advance(), None);
        assert_eq!(timeline.seek(0), Some(start));
        assert_eq!(timeline.seek(u64::MAX), Some(end));
    }

    #[test]
    fn a_source_without_an_end_does_not_seek() {
        let timeline = Timeline::new(0, 30);
        timeline.advance();
        assert_eq!(timeline.seek(0), None);
    }
}
