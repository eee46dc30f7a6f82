//! What an output got, what it sent, and how old that was.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;

use crate::streamer::{elements, latency::Histogram};

/// Counts access units at both ends of one output.
#[derive(Debug, Default)]
pub struct Meter {
    offered: AtomicU64,
    sent: AtomicU64,
    latency: Mutex<Histogram>,
}

impl Meter {
    /// Access units that reached the sink.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Access units that the output was given and did not send.
    pub fn dropped(&self) -> u64 {
        self.offered.load(Ordering::Relaxed).saturating_sub(self.sent())
    }

    /// Time from capture to the sink.
    pub fn latency(&self) -> Histogram {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts an access unit that comes in.
    pub(super) fn offer(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts access units that reach `sink`; `completes_unit` tells the last buffer of one.
    pub(super) fn watch(self: &Arc<Self>, sink: &gst::Element, completes_unit: fn(&gst::BufferRef) -> bool) {
        let meter = Arc::clone(self);
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        elements::pad(sink, "sink").add_probe(mask, move |pad, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) if completes_unit(buffer) => {
                    meter.sent_one(pad, buffer);
                }
                Some(gst::PadProbeData::BufferList(list)) => {
                    for buffer in list.iter().filter(|buffer| completes_unit(buffer)) {
                        meter.sent_one(pad, buffer);
                    }
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn sent_one(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if let Some(age) = age(pad, buffer) {
            self.latency.lock().unwrap_or_else(PoisonError::into_inner).record(age);
        }
    }
}

/// Pipeline running time now, less the buffer's: its timestamp is when it was captured.
fn age(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<Duration> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let captured = segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)?;
    let now = pad.parent_element()?.current_running_time()?;
    Some(now.saturating_sub(captured).into())
}
