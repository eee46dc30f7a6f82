//! One running time for the pipelines of a run, whenever each starts: a timestamp means the same in all of them.

use gst::prelude::*;

/// A clock, and the time on it at which the run began.
#[derive(Clone, Debug)]
pub struct Timebase {
    clock: gst::Clock,
    base: gst::ClockTime,
}

impl Timebase {
    /// Running time begins now.
    pub fn new() -> Self {
        let clock = gst::SystemClock::obtain();
        let base = clock.time();
        Self { clock, base }
    }

    /// Running time.
    pub fn now(&self) -> Option<gst::ClockTime> {
        self.clock.time().checked_sub(self.base)
    }

    /// Has a pipeline that does not play yet count from the same instant.
    pub fn set(&self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&self.clock));
        // Without one of its own the pipeline leaves the base time as it is.
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(self.base);
    }
}
