//! The end of the encoder's pipeline: hands each access unit to every output and waits for none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::feed::{AskForKeyframe, Feed, Unit};
use crate::{
    common::{elements, failure::Failure},
    recorder::Recorders,
};

/// The last element behind the encoder.
#[derive(Debug)]
pub struct FanOut {
    sink: gst_app::AppSink,
    asked: Arc<AtomicBool>,
}

impl FanOut {
    /// Makes the element.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer has no `appsink`.
    pub fn new() -> Result<Self, Failure> {
        let sink = elements::make("appsink")?
            .downcast::<gst_app::AppSink>()
            .map_err(|_| Failure::Pipeline("the element 'appsink' is not GStreamer's".to_owned()))?;
        sink.set_property("sync", false);
        sink.set_property("async", false);
        sink.set_property("enable-last-sample", false);
        Ok(Self { sink, asked: Arc::default() })
    }

    /// The element.
    pub fn element(&self) -> &gst::Element {
        self.sink.upcast_ref()
    }

    /// Asks the encoder for a keyframe; several outputs that ask before it comes share one.
    pub fn ask_for_keyframe(&self) -> AskForKeyframe {
        let pad = elements::pad(self.element(), "sink").downgrade();
        let asked = Arc::clone(&self.asked);
        Arc::new(move || {
            if let Some(pad) = pad.upgrade()
                && !asked.swap(true, Ordering::Relaxed)
            {
                let request = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                // Without an answer the encoder's own next keyframe ends the wait.
                let _ = pad.push_event(request);
            }
        })
    }

    /// Hands what comes to `feeds` and `recorders` from now on.
    pub fn serve(&self, feeds: Vec<Arc<Feed>>, recorders: Arc<Recorders>) {
        let asked = Arc::clone(&self.asked);
        self.sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let is_keyframe =
                        sample.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
                    if is_keyframe {
                        asked.store(false, Ordering::Relaxed);
                    }
                    let unit = Unit { captured: captured(sink, &sample), sample };
                    feeds.iter().for_each(|feed| feed.offer(unit.clone()));
                    recorders.offer(&unit.sample);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
    }
}

/// When a frame was captured: its timestamp says.
fn captured(sink: &gst_app::AppSink, sample: &gst::Sample) -> Option<Instant> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let captured = segment.to_running_time(sample.buffer()?.pts()?)?;
    let age = sink.current_running_time()?.saturating_sub(captured);
    Instant::now().checked_sub(Duration::from(age))
}
