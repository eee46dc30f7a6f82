//! When running time began.
//!
//! As a rule that is the element's base time. A flush that resets running time makes sinks wait for a buffer, and only when
//! they have one does the pipeline give its elements a new base time. Until then the old one stands, and by it that first
//! buffer would be seconds late, or in a future that a synchronised sink waits for. So running time counts from the flush,
//! until the new base time comes or it is clear that none will.

use gst::prelude::*;

/// When running time began, on the element's clock.
#[derive(Debug, Default)]
pub(super) struct RunningTime {
    flushed: Option<Flushed>,
}

/// A flush whose new base time has not come yet.
#[derive(Debug)]
struct Flushed {
    at: gst::ClockTime,
    /// The base time that is to be replaced.
    base_time: Option<gst::ClockTime>,
}

/// The begin of running time, and how that moved since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) at: gst::ClockTime,
    /// What running times from before have to be moved by, nanoseconds.
    pub(super) moved_by: i64,
}

impl RunningTime {
    /// Running time that begins with the flush of this moment.
    pub(super) fn from_now(element: &gst::Element) -> Self {
        let flushed = element.clock().map(|clock| Flushed { at: clock.time(), base_time: element.base_time() });
        Self { flushed }
    }

    pub(super) fn begin(&mut self, element: &gst::Element) -> Begin {
        let base_time = element.base_time();
        let by_base_time = Begin { at: base_time.unwrap_or_default(), moved_by: 0 };
        let Some(flushed) = &self.flushed else {
            return by_base_time;
        };
        if base_time == flushed.base_time && is_new_base_time_due(element) {
            return Begin { at: flushed.at, moved_by: 0 };
        }
        let moved_by = flushed.at.nseconds() as i64 - by_base_time.at.nseconds() as i64;
        self.flushed = None;
        Begin { moved_by, ..by_base_time }
    }
}

/// Whether the pipeline waits for its sinks, and gives its elements a base time when they are ready.
fn is_new_base_time_due(element: &gst::Element) -> bool {
    let parents = std::iter::successors(element.parent(), |parent| parent.parent());
    let Some(pipeline) = parents.last().and_then(|top| top.downcast::<gst::Pipeline>().ok()) else {
        return false;
    };
    let (changed, ..) = pipeline.state(gst::ClockTime::ZERO);
    // Whoever unsets the start time gives out base times himself.
    pipeline.start_time().is_some() && changed == Ok(gst::StateChangeSuccess::Async)
}
