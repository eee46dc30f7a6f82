//! How late frames leave, as a live source has to tell.

/// Latency before a frame was seen: one frame at 30 per second.
const FIRST: gst::ClockTime = gst::ClockTime::from_nseconds(33_333_334);
/// It grows in such steps, or each slower frame would make the pipeline redistribute it.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// A frame later than this is an accident, not the producer's latency.
const MAX: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// The latency of a source: that of its oldest frame so far.
#[derive(Debug, Default)]
pub(super) struct Latency(Option<gst::ClockTime>);

impl Latency {
    pub(super) fn least(&self) -> gst::ClockTime {
        self.0.unwrap_or(FIRST)
    }

    /// Counts a frame of this age in; the latency that it is now, if that is more.
    pub(super) fn raise(&mut self, age: gst::ClockTime) -> Option<gst::ClockTime> {
        if age <= self.least() || age > MAX {
            return None;
        }
        self.0 = Some(STEP * age.nseconds().div_ceil(STEP.nseconds()));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_in_steps_and_forgives_accidents() {
        let ms = gst::ClockTime::from_mseconds;
        let mut latency = Latency::default();
        assert_eq!(latency.least(), FIRST);
        assert_eq!(latency.raise(ms(33)), None);
        assert_eq!(latency.raise(ms(34)), Some(ms(40)));
        assert_eq!(latency.raise(ms(40)), None);
        assert_eq!(latency.raise(ms(1_001)), None);
        assert_eq!(latency.least(), ms(40));
        assert_eq!(latency.raise(ms(1_000)), Some(ms(1_000)));
    }
}
