//! How long the encoder itself takes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use gst::prelude::*;
use tools_media::elements;

use super::latency::Histogram;

/// No encoder holds as many frames.
const INSIDE_MAX: usize = 256;

/// Measures from a frame's way in to its access unit's way out, for one encoder after another.
#[derive(Debug, Default)]
pub struct EncodeTime {
    inside: Mutex<VecDeque<(gst::ClockTime, Instant)>>,
    taken: Mutex<Histogram>,
}

impl EncodeTime {
    /// The times so far.
    pub fn histogram(&self) -> Histogram {
        lock(&self.taken).clone()
    }

    /// Measures at both ends of `encoder`.
    pub fn watch(self: &Arc<Self>, encoder: &gst::Element) {
        lock(&self.inside).clear();
        let time = Arc::clone(self);
        on_buffer(encoder, "sink", move |at| time.enter(at, Instant::now()));
        let time = Arc::clone(self);
        on_buffer(encoder, "src", move |at| time.leave(at, Instant::now()));
    }

    fn enter(&self, time: gst::ClockTime, now: Instant) {
        let mut inside = lock(&self.inside);
        if inside.len() == INSIDE_MAX {
            inside.pop_front();
        }
        inside.push_back((time, now));
    }

    /// Found by its time, for B-frames come out in another order; what came in before it and is not out by then may
    /// still come.
    fn leave(&self, time: gst::ClockTime, now: Instant) {
        let mut inside = lock(&self.inside);
        let Some(at) = inside.iter().position(|(entered, _)| *entered == time) else {
            return;
        };
        if let Some((_, since)) = inside.remove(at) {
            lock(&self.taken).record(now.saturating_duration_since(since));
        }
    }
}

fn on_buffer(encoder: &gst::Element, pad: &str, seen: impl Fn(gst::ClockTime) + Send + Sync + 'static) {
    elements::pad(encoder, pad).add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(time) = info.buffer().and_then(|buffer| running_time(pad, buffer)) {
            seen(time);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The one time that is the same on both sides: x264enc moves timestamps and segment by a thousand hours.
fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn units_are_told_apart_by_their_times() {
        let time = EncodeTime::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let pts = gst::ClockTime::from_mseconds;
        time.enter(pts(0), at(0));
        time.enter(pts(33), at(10));
        time.leave(pts(33), at(20));
        time.leave(pts(77), at(20));
        time.leave(pts(0), at(40));
        let histogram = time.histogram();
        let milliseconds = |percent| histogram.percentile(percent).map(|time| time.as_millis());
        assert_eq!((milliseconds(50.0), milliseconds(100.0)), (Some(10), Some(40)));
        assert!(lock(&time.inside).is_empty());
    }

    #[test]
    fn frames_that_never_come_out_do_not_pile_up() {
        let time = EncodeTime::default();
        for frame in 0..10 * INSIDE_MAX as u64 {
            time.enter(gst::ClockTime::from_mseconds(frame), Instant::now());
        }
        assert_eq!(lock(&time.inside).len(), INSIDE_MAX);
    }
}
