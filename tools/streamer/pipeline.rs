//! The encoder's pipeline: producer -> picture -> encoder -> parser -> fan-out to the outputs.

use std::{
    cell::{RefCell, RefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gst::prelude::*;

use super::{
    encoder,
    options::Codec,
    outlet::{FanOut, Outlets},
    padding,
    plan::{Encoding, Input, Stream},
    summary,
};
use crate::common::{elements, failure::Failure, nats};

/// Frames into an encoder that has given nothing before it is judged broken. Source: the specification, "NVENC with
/// Fallback".
const SILENT_FRAMES_MAX: u64 = 60;
/// x265 does not start without a frame rate: a slower producer, or one of unknown rate, is told to the encoder as this.
/// The bits for each frame stay the same.
const FPS_MIN: gst::Fraction = gst::Fraction::new_raw(5, 1);
/// Fastest rate told to the encoder.
const FPS_MAX: gst::Fraction = gst::Fraction::new_raw(1000, 1);
/// Name of the message that tells of such an encoder.
pub const ENCODER_SILENT: &str = "cvmmap-streamer-encoder-silent";

/// Name of the source in the pipeline.
pub const INPUT: &str = "input";
/// Name of the encoder in the pipeline.
pub const ENCODER: &str = "encoder";

/// From a producer to its outputs.
#[derive(Debug)]
pub struct Streamer {
    pipeline: gst::Pipeline,
    source: gst::Element,
    encoder: encoder::Choice,
    counts: Arc<Counts>,
    outlets: RefCell<Outlets>,
}

#[derive(Debug, Default)]
struct Counts {
    offered: AtomicU64,
    encoded: AtomicU64,
}

impl Streamer {
    /// Assembles the pipeline; nothing runs yet.
    ///
    /// # Errors
    /// When an element is missing or refuses its settings.
    pub fn new(plan: &Stream, choice: encoder::Choice) -> Result<Self, Failure> {
        let pipeline = gst::Pipeline::with_name("streamer");
        let source = source(plan)?;
        let counts = Arc::new(Counts::default());
        let fan_out = FanOut::new()?;
        encode(&pipeline, &source, &choice, &plan.encoding, &counts, fan_out.element())?;
        let outlets = RefCell::new(Outlets::new(plan, &fan_out)?);
        Ok(Self { pipeline, source, encoder: choice, counts, outlets })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Which encoder runs.
    pub fn encoder(&self) -> &encoder::Choice {
        &self.encoder
    }

    /// Begins anew with a keyframe: the source starts over.
    pub fn force_keyframe(&self) {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        if let Some(encoder) = self.pipeline.by_name(ENCODER) {
            // Refused only by an encoder that is not running.
            let _ = encoder.send_event(event);
        }
    }

    /// Whether nothing has come out of the encoder.
    pub fn encoded_nothing(&self) -> bool {
        self.counts.encoded.load(Ordering::Relaxed) == 0
    }

    /// Frames that the source has read, and those of them that still wait for the encoder.
    pub fn progress(&self) -> (u64, u64) {
        let [received, pushed, dropped] =
            ["frames-received", "frames-pushed", "frames-dropped"].map(|field| count(&self.stats(), field));
        (received, received.saturating_sub(pushed + dropped))
    }

    /// The outputs.
    pub fn outlets(&self) -> RefMut<'_, Outlets> {
        self.outlets.borrow_mut()
    }

    /// What happened so far.
    pub fn summary(&self) -> summary::Stream {
        let stats = self.stats();
        summary::Stream {
            frames_in: count(&stats, "frames-received"),
            dropped: count(&stats, "frames-dropped"),
            torn: count(&stats, "frames-torn"),
            late: count(&stats, "frames-late"),
            skipped: count(&stats, "frames-skipped"),
            invalid: count(&stats, "frames-invalid") + count(&stats, "frames-unavailable"),
            encoder: self.encoder.name(),
            encoded: self.counts.encoded.load(Ordering::Relaxed),
            outputs: self.outlets().summary(),
        }
    }

    fn stats(&self) -> gst::Structure {
        self.source.property("stats")
    }
}

fn count(stats: &gst::StructureRef, field: &str) -> u64 {
    stats.get(field).unwrap_or_else(|error| panic!("cvmmapsrc counts {field}: {error}"))
}

impl Drop for Streamer {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn source(plan: &Stream) -> Result<gst::Element, Failure> {
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
    nats::Server::tell(plan.nats.as_ref(), &source);
    source.set_property("queue-size", plan.queue_size);
    source.set_property("idle-timeout", plan.idle_timeout_ms);
    source.set_property("max-frames", plan.max_frames);
    Ok(source)
}

/// Adds everything from the source to the fan-out, `end`.
fn encode(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    choice: &encoder::Choice,
    encoding: &Encoding,
    counts: &Arc<Counts>,
    end: &gst::Element,
) -> Result<(), Failure> {
    // The border is drawn in I420, the one 4:2:0 format that videobox knows and every encoder's input is made from.
    let to_planar = elements::make("videoconvert")?;
    let planar = filter(
        gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("framerate", gst::FractionRange::new(FPS_MIN, FPS_MAX))
            .build(),
    )?;
    let videobox = elements::make("videobox")?;
    let to_input = elements::make("videoconvert")?;
    let input = filter(gst::Caps::builder("video/x-raw").field("format", choice.input_format()).build())?;
    let encoder = choice.make(encoding)?;
    encoder.set_property("name", ENCODER);
    let (parser, encoded) = match encoding.codec {
        Codec::H264 => ("h264parse", ("video/x-h264", "avc")),
        Codec::H265 => ("h265parse", ("video/x-h265", "hvc1")),
    };
    let parser = elements::make(parser)?;
    // Parameter sets in every keyframe, and in the caps for the outputs' headers.
    parser.set_property("config-interval", -1);
    let encoded =
        filter(gst::Caps::builder(encoded.0).field("stream-format", encoded.1).field("alignment", "au").build())?;

    padding::install(&to_planar, &videobox, choice.side_min());
    follow_picture(&encoder, choice);
    watch(&encoder, choice, counts);
    elements::add_chain(
        pipeline,
        &[source, &to_planar, &planar, &videobox, &to_input, &input, &encoder, &parser, &encoded, end],
    )
}

fn filter(caps: gst::Caps) -> Result<gst::Element, Failure> {
    let filter = elements::make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Sets the bit rate from the picture's size and rate, each time they change.
fn follow_picture(encoder: &gst::Element, choice: &encoder::Choice) {
    let choice = choice.clone();
    elements::pad(encoder, "sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(bitrate) = choice.bitrate(event.caps())
            && let Some(encoder) = pad.parent_element()
        {
            encoder.set_property("bitrate", bitrate);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Counts frames in and access units out, and tells when a hardware encoder swallows frames and gives nothing.
fn watch(encoder: &gst::Element, choice: &encoder::Choice, counts: &Arc<Counts>) {
    let hardware = choice.is_hardware();
    let offered = Arc::clone(counts);
    elements::pad(encoder, "sink").add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let frames = offered.offered.fetch_add(1, Ordering::Relaxed) + 1;
        if hardware
            && frames == SILENT_FRAMES_MAX
            && offered.encoded.load(Ordering::Relaxed) == 0
            && let Some(encoder) = pad.parent_element()
        {
            let message =
                gst::message::Application::builder(gst::Structure::new_empty(ENCODER_SILENT)).src(&encoder).build();
            // Refused only by a pipeline that is being torn down.
            let _ = encoder.post_message(message);
        }
        gst::PadProbeReturn::Ok
    });
    let encoded = Arc::clone(counts);
    elements::pad(encoder, "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        encoded.encoded.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
}
