//! Where access units come from, whatever makes them at the moment: each is handed to every output, and none is waited
//! for.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::feed::{AskForKeyframe, Feed, Unit};
use crate::{capture_sei, latency::Histogram, recorder::Recorders};

/// Between the makers of access units, one after the other, and the outputs and recordings.
#[derive(Debug)]
pub struct FanOut(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    recorders: Arc<Recorders>,
    /// Access units get their capture time into the bit stream.
    stamps: bool,
    asked: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// The end of the pipeline that is listened to; what comes out of any other one is late, and thrown away.
    from: Option<gst_app::AppSink>,
    feeds: Vec<Arc<Feed>>,
    /// Time from captures to their access units.
    latency: Histogram,
    /// Bytes of access units.
    bytes: u64,
    /// The last keyframe and what followed it, where it is kept.
    group: Option<Group>,
}

/// A group of pictures, from its keyframe on.
#[derive(Debug)]
struct Group {
    units: Vec<gst::Sample>,
    bytes: usize,
    /// What goes beyond is left out, but for the keyframe.
    bytes_max: usize,
    /// Something was left out, and what follows needs it.
    is_full: bool,
}

impl Group {
    fn take_in(&mut self, sample: &gst::Sample, is_keyframe: bool) {
        let bytes = sample.buffer().map_or(0, gst::BufferRef::size);
        if is_keyframe {
            self.units.clear();
            (self.bytes, self.is_full) = (0, false);
        } else {
            self.is_full |= self.units.is_empty() || self.bytes + bytes > self.bytes_max;
            if self.is_full {
                return;
            }
        }
        self.units.push(sample.clone());
        self.bytes += bytes;
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, sink: &gst_app::AppSink) -> Result<gst::FlowSuccess, gst::FlowError> {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let is_keyframe = sample.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        let captured = captured(sink, &sample);
        let sample = if self.stamps { capture_sei::stamp(sample) } else { sample };
        let unit = Unit { captured, sample };
        let mut heard = self.heard();
        if heard.from.as_ref() != Some(sink) {
            return Err(gst::FlowError::Flushing);
        }
        if is_keyframe {
            self.asked.store(false, Ordering::Relaxed);
        }
        if let Some(captured) = unit.captured {
            heard.latency.record(captured.elapsed());
        }
        if let Some(group) = &mut heard.group {
            group.take_in(&unit.sample, is_keyframe);
        }
        heard.bytes += unit.sample.buffer().map_or(0, |buffer| buffer.size() as u64);
        heard.feeds.iter().for_each(|feed| feed.offer(unit.clone()));
        // Recordings ask for a keyframe from in there, which looks at what is heard.
        drop(heard);
        self.recorders.offer(&unit.sample);
        Ok(gst::FlowSuccess::Ok)
    }
}

impl FanOut {
    /// Hands everything to `recorders`, and to no output yet; with its capture time in the bit stream, if it `stamps`.
    pub fn new(recorders: Arc<Recorders>, stamps: bool) -> Self {
        Self(Arc::new(Shared { recorders, stamps, asked: AtomicBool::default(), heard: Mutex::default() }))
    }

    /// Makes the last element of a pipeline that makes access units; [`FanOut::listen_to`] it.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer has no `appsink`.
    pub fn end(&self) -> Result<gst_app::AppSink, Failure> {
        let sink = elements::make_app::<gst_app::AppSink>("appsink")?;
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("enable-last-sample", false);
        let shared = Arc::downgrade(&self.0);
        let take = move |sink: &gst_app::AppSink| shared.upgrade().ok_or(gst::FlowError::Flushing)?.take(sink);
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
        Ok(sink)
    }

    /// From now on access units come from here, and from nowhere else.
    pub fn listen_to(&self, sink: &gst_app::AppSink) {
        self.0.heard().from = Some(sink.clone());
        self.0.asked.store(false, Ordering::Relaxed);
    }

    /// Asks the encoder for a keyframe; several outputs that ask before it comes share one.
    pub fn ask_for_keyframe(&self) -> AskForKeyframe {
        let shared = Arc::downgrade(&self.0);
        Arc::new(move || {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let from = shared.heard().from.clone();
            if let Some(sink) = from
                && !shared.asked.swap(true, Ordering::Relaxed)
            {
                let request = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                // Without an answer the encoder's own next keyframe ends the wait, or that of the producer which encodes.
                let _ = elements::pad(sink.upcast_ref(), "sink").push_event(request);
            }
        })
    }

    /// Time from captures to their access units.
    pub fn latency(&self) -> Histogram {
        self.0.heard().latency.clone()
    }

    /// Bytes of access units so far.
    pub fn bytes(&self) -> u64 {
        self.0.heard().bytes
    }

    /// From now on the last keyframe is kept, with so many bytes of what followed it.
    pub fn keep_group(&self, bytes_max: usize) {
        self.0.heard().group = Some(Group { units: Vec::new(), bytes: 0, bytes_max, is_full: false });
    }

    /// The last keyframe and what followed it, as far as it was kept.
    pub fn group(&self) -> Vec<gst::Sample> {
        self.0.heard().group.as_ref().map_or_else(Vec::new, |group| group.units.clone())
    }

    /// Hands what comes to `feeds` from now on.
    pub fn serve(&self, feeds: Vec<Arc<Feed>>) {
        self.0.heard().feeds = feeds;
    }
}

/// When a frame was captured: its timestamp says.
fn captured(sink: &gst_app::AppSink, sample: &gst::Sample) -> Option<Instant> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let captured = segment.to_running_time(sample.buffer()?.pts()?)?;
    let age = sink.current_running_time()?.saturating_sub(captured);
    Instant::now().checked_sub(Duration::from(age))
}
