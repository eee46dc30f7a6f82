//! What one frame id says after another.

/// From such a step of the frame ids on the source started over, and lost nothing.
const RESTART: u32 = 1 << 16;

/// From one frame id to the next one seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The one that follows.
    Next,
    /// The same one.
    Same,
    /// This many are missing in between.
    Lost(u32),
    /// The source started over.
    Restart,
}

impl Step {
    /// Frame ids wrap at 2^32.
    pub(crate) fn between(last: u32, now: u32) -> Self {
        match now.wrapping_sub(last) {
            0 => Self::Same,
            1 => Self::Next,
            step @ 2..RESTART => Self::Lost(step - 1),
            _ => Self::Restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_from_a_source_that_starts_over() {
        assert_eq!(Step::between(7, 8), Step::Next);
        assert_eq!(Step::between(u32::MAX, 0), Step::Next);
        assert_eq!(Step::between(u32::MAX - 1, 2), Step::Lost(3));
        assert_eq!(Step::between(7, 7), Step::Same);
        assert_eq!(Step::between(7, 0), Step::Restart);
        assert_eq!(Step::between(0, 1 << 20), Step::Restart);
    }
}
