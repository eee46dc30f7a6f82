//! What was last seen of a producer, for whoever stands in when it is away.

use std::time::{Duration, Instant};

use tools_media::capture_time;

use super::media::Media;

/// A pause of this length is none.
const STEADY: Duration = Duration::from_millis(250);

/// What was last seen of a producer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its last frame came.
    pub at: Instant,
    /// When that was taken, by its clock.
    pub captured_ns: Option<u64>,
    /// The usual time between two frames.
    pub pace: Duration,
    /// What the frame held,
    pub media: Media,
    /// and how.
    pub caps: gst::Caps,
    /// Its picture, where it is kept.
    pub picture: Option<gst::Buffer>,
}

impl Seen {
    /// After one more frame, whose picture is kept or not.
    pub fn after(before: Option<Self>, media: Media, sample: &gst::SampleRef, keeps: bool) -> Option<Self> {
        let at = Instant::now();
        let gap = before.as_ref().map(|before| at.saturating_duration_since(before.at));
        Some(Self {
            at,
            captured_ns: sample.buffer().and_then(capture_time::of),
            pace: pace(before.map(|before| before.pace), gap),
            media,
            caps: sample.caps_owned()?,
            picture: if keeps && !media.is_encoded() { sample.buffer_owned() } else { None },
        })
    }
}

/// The usual time between two frames, after another `gap`.
fn pace(before: Option<Duration>, gap: Option<Duration>) -> Duration {
    match (before.filter(|pace| !pace.is_zero()), gap) {
        // What ends a long silence says nothing.
        (Some(pace), Some(gap)) if gap < pace * 8 + STEADY => (pace * 7 + gap) / 8,
        (Some(pace), _) => pace,
        (None, gap) => gap.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_does_not_change_the_pace() {
        let ms = Duration::from_millis;
        assert_eq!(pace(None, None), ms(0));
        assert_eq!(pace(Some(ms(0)), Some(ms(40))), ms(40));
        assert_eq!(pace(Some(ms(40)), Some(ms(48))), ms(41));
        assert_eq!(pace(Some(ms(40)), Some(ms(10_000))), ms(40));
        // A slower producer is believed after a while.
        let slower = (0..60).fold(ms(40), |pace, _| super::pace(Some(pace), Some(ms(500))));
        assert!(slower > ms(480), "{slower:?}");
    }
}
