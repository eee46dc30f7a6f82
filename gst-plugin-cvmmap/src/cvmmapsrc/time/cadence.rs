//! The producer's frame rate, told from two of its frames: the metadata do not carry it, and encoders want to know
//! (x265enc does not start without).

use std::time::Duration;

/// How long the first frame waits for a second one. A slower producer's rate stays unknown.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// What two frames are compared by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    pub(crate) frame_id: u32,
    pub(crate) timestamp_ns: u64,
}

/// Whole frames per second between two frames, 0/1 when they do not tell.
pub(crate) fn frame_rate(first: Tick, second: Tick) -> gst::Fraction {
    let unknown = gst::Fraction::new(0, 1);
    let frames = u64::from(second.frame_id.wrapping_sub(first.frame_id));
    let Some(elapsed) = second.timestamp_ns.checked_sub(first.timestamp_ns).filter(|elapsed| *elapsed > 0) else {
        return unknown;
    };
    // A source that started over in between is not a cadence.
    if !(1..=100).contains(&frames) {
        return unknown;
    }
    let second = 1_000_000_000;
    let rate = (frames * second + elapsed / 2) / elapsed;
    match i32::try_from(rate) {
        Ok(rate @ 1..=1000) => gst::Fraction::new(rate, 1),
        _ => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(frames: u32, elapsed_us: u64) -> (i32, i32) {
        let first = Tick { frame_id: u32::MAX, timestamp_ns: 7 };
        let second = Tick { frame_id: u32::MAX.wrapping_add(frames), timestamp_ns: 7 + elapsed_us * 1_000 };
        let rate = frame_rate(first, second);
        (rate.numer(), rate.denom())
    }

    #[test]
    fn jitter_is_rounded_away() {
        assert_eq!(rate(1, 33_333), (30, 1));
        assert_eq!(rate(1, 33_700), (30, 1));
        assert_eq!(rate(2, 33_333), (60, 1));
        assert_eq!(rate(1, 8_333), (120, 1));
    }

    #[test]
    fn what_is_no_cadence_is_unknown() {
        for (frames, elapsed) in [(1, 0), (0, 33_333), (101, 33_333), (1, 5_000_000), (1, 10)] {
            assert_eq!(rate(frames, elapsed), (0, 1), "{frames} in {elapsed}");
        }
        let later = Tick { frame_id: 1, timestamp_ns: 5 };
        assert_eq!(frame_rate(later, Tick { frame_id: 2, timestamp_ns: 4 }).numer(), 0);
    }
}
