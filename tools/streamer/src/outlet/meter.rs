//! What an output got, what it sent, and how old that was.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use gst::prelude::*;
use tools_media::elements;

use crate::latency::Histogram;

/// No packer holds as many.
const UNDERWAY_MAX: usize = 1024;

/// What a buffer at the sink is of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// None: a header of the packaging.
    None,
    /// Not the last of it.
    Some,
    /// The last of it, or all.
    Last,
}

/// Counts access units at both ends of one output.
#[derive(Debug, Default)]
pub struct Meter {
    offered: AtomicU64,
    sent: AtomicU64,
    bytes: AtomicU64,
    /// Capture times of the access units between backlog and sink. The packer keeps their order and not their
    /// timestamps: `flvmux` puts out decoding times.
    underway: Mutex<VecDeque<Option<Instant>>>,
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

    /// Bytes that reached the sink.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Time from capture to the first byte at the sink.
    pub fn latency(&self) -> Histogram {
        lock(&self.latency).clone()
    }

    /// Counts an access unit that comes in.
    pub fn offer(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an access unit that came in and was sent at once, by an output without a pipeline.
    pub fn pass(&self, captured: Option<Instant>, bytes: usize) {
        self.offer();
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(captured) = captured {
            lock(&self.latency).record(captured.elapsed());
        }
    }

    /// A new pipeline begins: what was underway in the last one is lost.
    pub(super) fn begin(&self) {
        lock(&self.underway).clear();
    }

    /// An access unit goes to the packer.
    pub(super) fn depart(&self, captured: Option<Instant>) {
        let mut underway = lock(&self.underway);
        if underway.len() == UNDERWAY_MAX {
            underway.pop_front();
        }
        underway.push_back(captured);
    }

    /// Counts access units that reach `sink`, and how old each is when its first buffer does. `part_of_unit` tells what a
    /// buffer there is.
    pub(super) fn watch(self: &Arc<Self>, sink: &gst::Element, part_of_unit: fn(&gst::BufferRef) -> Part) {
        self.watch_pad(&elements::pad(sink, "sink"), part_of_unit);
    }

    /// The same at a pad.
    pub(super) fn watch_pad(self: &Arc<Self>, pad: &gst::Pad, part_of_unit: fn(&gst::BufferRef) -> Part) {
        let meter = Arc::clone(self);
        let is_under_way = AtomicBool::new(false);
        let pass = move |buffer: &gst::BufferRef| {
            let part = part_of_unit(buffer);
            meter.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            if part != Part::None && !is_under_way.swap(part != Part::Last, Ordering::Relaxed) {
                meter.begins_one();
            }
            if part == Part::Last {
                meter.sent.fetch_add(1, Ordering::Relaxed);
            }
        };
        packets(pad, pass);
    }

    fn begins_one(&self) {
        let captured = lock(&self.underway).pop_front().flatten();
        if let Some(captured) = captured {
            lock(&self.latency).record(captured.elapsed());
        }
    }
}

/// Has `seen` look at every buffer that passes `pad`.
pub(super) fn packets(pad: &gst::Pad, seen: impl Fn(&gst::BufferRef) + Send + Sync + 'static) {
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(mask, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => seen(buffer),
            Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(&seen),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
