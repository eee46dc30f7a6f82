//! A simulated producer: test pictures under the names of a camera.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cvmmap::Address;
use gst::prelude::*;

use crate::common::{elements, failure::Failure};

/// Name of the publishing element in the pipeline.
pub const SINK: &str = "simulator";

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where consumers look for it.
    pub address: Address,
    /// Frames; 0 is unlimited.
    pub frames: u32,
    /// Frames a second.
    pub fps: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A simulated producer.
#[derive(Debug)]
pub struct Simulator {
    pipeline: gst::Pipeline,
    published: Arc<AtomicU64>,
}

impl Simulator {
    /// Assembles the simulator; nothing is published yet.
    ///
    /// # Errors
    /// When an element is missing.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        let source = elements::make("videotestsrc")?;
        source.set_property("is-live", true);
        source.set_property_from_str("pattern", "ball");
        if settings.frames != 0 {
            source.set_property("num-buffers", settings.frames as i32);
        }
        let filter = elements::make("capsfilter")?;
        filter.set_property(
            "caps",
            gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::Bgr)
                .width(settings.width as i32)
                .height(settings.height as i32)
                .framerate(gst::Fraction::new(settings.fps as i32, 1))
                .build(),
        );
        let sink = elements::make("cvmmapsink")?;
        sink.set_property("name", SINK);
        // The source keeps the pace; waiting a second time would make each frame older by the pipeline's latency.
        sink.set_property("sync", false);
        sink.set_property("shm-name", settings.address.shm_name());
        sink.set_property("zmq-endpoint", settings.address.zmq_endpoint());
        sink.set_property("label", settings.address.label());

        let published = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&published);
        elements::pad(&sink, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let pipeline = gst::Pipeline::with_name("simulator-pipeline");
        elements::add_chain(&pipeline, &[&source, &filter, &sink])?;
        Ok(Self { pipeline, published })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Frames published so far.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
