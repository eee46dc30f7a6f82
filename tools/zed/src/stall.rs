//! Pipelines that stand still: an element whose error got lost, a driver that does not come back, a disk that does not answer.
//! Nobody waits for them for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;
use tools_cli::{aside::Aside, interrupt::TICK};

/// A pipeline in which nothing moves for so long comes to no end. A machine that stands still itself does not count: looks
/// are counted, and not time.
const LOOKS_MAX: u32 = (60 * 1000 / TICK.as_millis()) as u32;
/// One without a running thread has nobody who could move anything. Threads begin and end one after the other.
const LOOKS_WITHOUT_THREADS: u32 = 10;
/// A pipeline stops within so long, or not at all.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Looks at a pipeline, once in a [`TICK`] in which nothing came of it.
#[derive(Debug, Default)]
pub struct Watch {
    moved: Arc<AtomicU64>,
    seen: u64,
    looks: u32,
    without_threads: u32,
}

impl Watch {
    /// What passes this pad is a movement.
    pub fn over(&self, pad: &gst::Pad) {
        let moved = Arc::clone(&self.moved);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::PULL;
        pad.add_probe(kinds, move |_, _| {
            moved.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// Whether the pipeline stands still for good.
    pub fn stands(&mut self, pipeline: &gst::Pipeline) -> bool {
        let moved = self.moved.load(Ordering::Relaxed);
        if moved != self.seen {
            (self.seen, self.looks, self.without_threads) = (moved, 0, 0);
            return false;
        }
        self.looks += 1;
        self.without_threads = if has_threads(pipeline) { 0 } else { self.without_threads + 1 };
        self.looks >= LOOKS_MAX || self.without_threads >= LOOKS_WITHOUT_THREADS
    }
}

/// Whether a thread of one of the elements runs.
fn has_threads(pipeline: &gst::Pipeline) -> bool {
    let mut elements = pipeline.iterate_recurse();
    loop {
        match elements.next() {
            Ok(Some(element)) => {
                if element.pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started) {
                    return true;
                }
            }
            Ok(None) => return false,
            // They are just changing.
            Err(_) => return true,
        }
    }
}

/// Stops a pipeline. One that does not stop goes with the process.
pub fn stop(pipeline: &gst::Pipeline) {
    let pipeline = pipeline.clone();
    let stopping = Aside::begin(STOP_MAX, move || {
        let _ = pipeline.set_state(gst::State::Null);
    });
    stopping.wait(STOP_MAX);
}
