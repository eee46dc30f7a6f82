//! Fewer frames a second than the producer publishes.

use std::num::NonZeroU32;

/// Lets so many frames a second through, evenly.
#[derive(Debug)]
pub struct FrameRate {
    fps: gst::Fraction,
    interval: gst::ClockTime,
    next: Option<gst::ClockTime>,
    caps: Option<(gst::Caps, gst::Caps)>,
}

impl FrameRate {
    /// At most `fps` frames a second.
    pub fn new(fps: NonZeroU32) -> Self {
        let interval = gst::ClockTime::SECOND / u64::from(fps.get());
        Self {
            fps: gst::Fraction::new(i32::try_from(fps.get()).unwrap_or(i32::MAX), 1),
            interval,
            next: None,
            caps: None,
        }
    }

    /// The picture with caps that tell the rate, or nothing when it is one too many. What is no picture passes.
    pub fn thin(&mut self, sample: gst::Sample) -> Option<gst::Sample> {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return Some(sample);
        };
        let is_picture = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
        if !is_picture {
            return Some(sample);
        }
        if let Some(time) = buffer.pts()
            && !self.is_due(time)
        {
            return None;
        }
        if self.caps.as_ref().is_none_or(|(last, _)| last.as_ref() != caps) {
            self.caps = Some((caps.to_owned(), self.told(caps)));
        }
        let (_, told) = self.caps.as_ref()?;
        Some(gst::Sample::builder().buffer(&sample.buffer_owned()?).caps(told).build())
    }

    fn is_due(&mut self, time: gst::ClockTime) -> bool {
        // Half an interval early is as near as half an interval late, and capture times are never quite even.
        let slack = self.interval / 2;
        let next = match self.next {
            // A clock that was set back, or a pause: the count begins anew. A frame that was early has put the next off by up to one
            // and a half intervals.
            Some(next) if time + self.interval * 2 < next || time > next + self.interval => time,
            Some(next) if time + slack < next => return false,
            Some(next) => next,
            None => time,
        };
        self.next = Some(next + self.interval);
        true
    }

    fn told(&self, caps: &gst::CapsRef) -> gst::Caps {
        let mut caps = caps.to_owned();
        let told = caps.structure(0).and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
        if told.is_none_or(|told| told > self.fps) {
            caps.make_mut().set("framerate", self.fps);
        }
        caps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(fps: u32, times_ms: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut rate = FrameRate::new(NonZeroU32::new(fps).unwrap());
        times_ms.filter(|ms| rate.is_due(gst::ClockTime::from_mseconds(*ms))).collect()
    }

    #[test]
    fn as_many_pass_as_may() {
        let thirty = || (0..300).map(|frame| frame * 1000 / 30 + frame % 3);
        for (fps, expected) in [(30, 300), (25, 250), (15, 150), (10, 100), (1, 10), (60, 300)] {
            assert!(passed(fps, thirty()).len().abs_diff(expected) <= 1, "{fps}");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for_and_a_clock_may_go_back() {
        let times = [0, 10, 5000, 5010, 5020, 100, 110, 210];
        assert_eq!(passed(10, times.into_iter()), [0, 5000, 100, 210]);
    }
}
