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
/// An encoder on a card that has given nothing before, and for so long gives nothing: 10 seconds.
pub const FIRST_LOOKS_MAX: u32 = (10 * 1000 / TICK.as_millis()) as u32;
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
        // A probe that names one of PUSH and PULL sees nothing of the other.
        let kinds = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::PUSH
            | gst::PadProbeType::PULL;
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

    /// Looks since something moved.
    pub fn looks(&self) -> u32 {
        self.looks
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

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(watch: &mut Watch, pipeline: &gst::Pipeline, most: u32) -> Option<u32> {
        (1..=most).find(|_| watch.stands(pipeline))
    }

    /// The thread of the source ends, and nobody hears of it: what a demuxer does whose error gets lost.
    #[test]
    fn a_pipeline_whose_threads_are_gone_stands() {
        gst::init().unwrap();
        let pipeline = gst::parse::launch("fakesrc name=source num-buffers=3 ! fakesink name=sink").unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("source").unwrap().static_pad("src").unwrap();
        let (ends, ended) = std::sync::mpsc::channel();
        source.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| match info.event() {
            Some(event) if event.type_() == gst::EventType::Eos => {
                ends.send(()).unwrap();
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        });
        let mut watch = Watch::default();
        watch.over(&source);
        pipeline.set_state(gst::State::Playing).unwrap();
        ended.recv_timeout(STOP_MAX).unwrap();
        // The task pauses behind its last event.
        let bus = pipeline.bus().unwrap();
        while source.task_state() == gst::TaskState::Started {
            assert!(bus.timed_pop_filtered(gst::ClockTime::from_mseconds(10), &[gst::MessageType::Error]).is_none());
        }
        // The first look sees what moved before.
        assert_eq!(looks(&mut watch, &pipeline, LOOKS_MAX), Some(LOOKS_WITHOUT_THREADS + 1));
        stop(&pipeline);
    }

    #[test]
    fn a_pipeline_that_takes_its_time_does_not_stand() {
        gst::init().unwrap();
        let pipeline = gst::parse::launch("fakesrc name=source is-live=true ! fakesink sync=true").unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut watch = Watch::default();
        assert_eq!(looks(&mut watch, &pipeline, LOOKS_WITHOUT_THREADS * 2), None);
        // Nobody waits for ever either.
        assert_eq!(looks(&mut watch, &pipeline, LOOKS_MAX), Some(LOOKS_MAX - LOOKS_WITHOUT_THREADS * 2));
        stop(&pipeline);
    }
}
