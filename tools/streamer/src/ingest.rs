//! The producer's frames: a pipeline of its own, for it outlives every encoder.

use std::sync::Arc;

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::{
    frame_rate::FrameRate,
    handoff::Handoff,
    options::VideoSource,
    plan::{Input, Stream},
    timebase::Timebase,
};

/// Name of the message that tells of frames which nobody takes yet.
pub const FRAMES_WAIT: &str = "cvmmap-streamer-frames-wait";
/// Name of the source in the pipeline.
pub const INPUT: &str = "input";

/// x265 does not start without a frame rate: a slower producer, or one of unknown rate, is told to the encoder as this.
/// The bits for each frame stay the same.
const FPS_MIN: gst::Fraction = gst::Fraction::new_raw(5, 1);
/// Fastest rate told to the encoder.
const FPS_MAX: gst::Fraction = gst::Fraction::new_raw(1000, 1);

/// Reads a producer's frames and hands them on.
#[derive(Debug)]
pub struct Ingest {
    pipeline: gst::Pipeline,
    source: gst::Element,
    handoff: Arc<Handoff>,
    /// Frames before the source was started over.
    before: Frames,
}

/// What became of the producer's frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    /// Read.
    pub received: u64,
    /// Of those, handed on,
    pub pushed: u64,
    /// and replaced by newer ones.
    pub dropped: u64,
    /// Overwritten by the producer while they were read.
    pub torn: u64,
    /// Copied too late to be sure of them.
    pub late: u64,
    /// Published and never seen.
    pub skipped: u64,
    /// Unreadable.
    pub invalid: u64,
    /// Access units of no use, for one before them is missing.
    pub undecodable: u64,
}

impl Frames {
    fn of(stats: &gst::StructureRef) -> Self {
        let count = |field: &str| -> u64 {
            stats.get(field).unwrap_or_else(|error| panic!("cvmmapsrc counts {field}: {error}"))
        };
        Self {
            received: count("frames-received"),
            pushed: count("frames-pushed"),
            dropped: count("frames-dropped"),
            torn: count("frames-torn"),
            late: count("frames-late"),
            skipped: count("frames-skipped"),
            invalid: count("frames-invalid") + count("frames-unavailable"),
            undecodable: count("frames-undecodable"),
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            received: self.received + more.received,
            pushed: self.pushed + more.pushed,
            dropped: self.dropped + more.dropped,
            torn: self.torn + more.torn,
            late: self.late + more.late,
            skipped: self.skipped + more.skipped,
            invalid: self.invalid + more.invalid,
            undecodable: self.undecodable + more.undecodable,
        }
    }
}

impl Ingest {
    /// Assembles the pipeline; nothing runs yet.
    ///
    /// # Errors
    /// When an element is missing or refuses its settings.
    pub fn new(plan: &Stream, timebase: &Timebase, handoff: Arc<Handoff>) -> Result<Self, Failure> {
        let source = source(plan)?;
        let end = elements::make_app::<gst_app::AppSink>("appsink")?;
        // Every encoder's input is made from I420.
        let mut caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("framerate", gst::FractionRange::new(FPS_MIN, FPS_MAX))
            .build();
        for encoded in ["video/x-h264", "video/x-h265"] {
            caps.make_mut().append(gst::Caps::new_empty_simple(encoded));
        }
        end.set_caps(Some(&caps));
        end.set_property("sync", false);
        end.set_property("async", false);
        end.set_property("enable-last-sample", false);
        let taker = Arc::clone(&handoff);
        let mut rate = plan.encoding.max_fps.map(FrameRate::new);
        let take = move |sink: &gst_app::AppSink| {
            let mut sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(rate) = &mut rate {
                let Some(thinned) = rate.thin(sample) else {
                    return Ok(gst::FlowSuccess::Ok);
                };
                sample = thinned;
            }
            let ask = || {
                let question = gst::Structure::new_empty(FRAMES_WAIT);
                // Refused only by a pipeline that is being torn down.
                let _ = sink.post_message(gst::message::Application::builder(question).src(sink).build());
            };
            taker.offer(&sample, || sink.current_running_time(), ask)
        };
        end.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
        leave_size_to_parser(&end);
        let pipeline = gst::Pipeline::with_name("ingest");
        timebase.set(&pipeline);
        elements::add_chain(&pipeline, &[&source, end.upcast_ref()])?;
        Ok(Self { pipeline, source, handoff, before: Frames::default() })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// The element that reads them.
    pub fn source(&self) -> &gst::Element {
        &self.source
    }

    /// Goes on with the producer's pictures, whatever was read before.
    ///
    /// # Errors
    /// When the source does not start again.
    pub fn turn_to_pictures(&mut self) -> Result<(), Failure> {
        let frames = self.frames();
        self.stop();
        self.before = frames;
        self.source.set_property_from_str("plane", "left");
        self.handoff.open();
        self.pipeline
            .set_state(gst::State::Playing)
            .map(|_| ())
            .map_err(|refused| Failure::Pipeline(format!("input: the source does not start again: {refused}")))
    }

    /// What became of the frames so far.
    pub fn frames(&self) -> Frames {
        self.before.plus(Frames::of(&self.source.property::<gst::Structure>("stats")))
    }

    fn stop(&self) {
        self.handoff.close();
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Caps of access units tell the size of the picture beside them. A parser would believe it, and find no change in a stream
/// that has another one.
fn leave_size_to_parser(end: &gst_app::AppSink) {
    elements::pad(end.upcast_ref(), "sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if let gst::EventView::Caps(told) = event.view()
            && told.caps().structure(0).is_some_and(|structure| structure.name() != "video/x-raw")
        {
            let mut caps = told.caps_owned();
            for structure in caps.make_mut().iter_mut() {
                structure.remove_fields(["width", "height"]);
            }
            *event = gst::event::Caps::builder(&caps).seqnum(told.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Makes the element that reads the producer.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has no `cvmmapsrc`.
pub fn source(plan: &Stream) -> Result<gst::Element, Failure> {
    let source = elements::make("cvmmapsrc")?;
    source.set_property("name", INPUT);
    match &plan.input {
        Input::Target(target) => source.set_property("uri", target.to_string()),
        Input::Address(address) => {
            source.set_property("shm-name", address.shm_name());
            source.set_property("zmq-endpoint", address.zmq_endpoint());
            source.set_property("label", address.label());
        }
    }
    tools_media::nats::configure(&source, plan.nats.as_ref());
    let plane = match plan.video_source {
        VideoSource::Auto => "auto",
        VideoSource::Raw => "left",
        VideoSource::Encoded => "encoded",
    };
    source.set_property_from_str("plane", plane);
    source.set_property("queue-size", plan.queue_size);
    source.set_property("idle-timeout", plan.idle_timeout_ms);
    source.set_property("max-frames", plan.max_frames);
    Ok(source)
}
