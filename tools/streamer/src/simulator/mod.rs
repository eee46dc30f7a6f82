//! A simulated producer: test pictures under the names of a camera.

mod bodies;
mod camera;
mod encode;
mod planes;
mod playlist;
mod timeline;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use cvmmap::{Address, Codec, Permissions, body::Format};
use gst::prelude::*;
use tools_cli::{failure::Failure, nats};
use tools_media::{capture_time, elements};

use self::{
    camera::Camera,
    encode::Encoder,
    playlist::{DEFAULT_PATTERN, Playlist},
    timeline::Timeline,
};
use crate::options::Skeleton;

/// Name of the publishing element in the pipeline.
pub const SINK: &str = "simulator";

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where consumers look for it.
    pub address: Address,
    /// Who may read it.
    pub permissions: Permissions,
    /// Frames; 0 is unlimited.
    pub frames: u32,
    /// Frames a second.
    pub fps: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether there is a depth plane.
    pub depth: bool,
    /// Whether there is a confidence plane.
    pub confidence: bool,
    /// Codec of the encoded plane.
    pub encoded: Option<Codec>,
    /// Skeleton of the simulated bodies.
    pub body: Option<Skeleton>,
    /// NATS server.
    pub nats: Option<nats::Server>,
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
        source.set_property_from_str("pattern", DEFAULT_PATTERN);
        let filter = elements::make("capsfilter")?;
        let caps = gst_video::VideoCapsBuilder::new()
            .format(gst_video::VideoFormat::Bgr)
            .width(settings.width as i32)
            .height(settings.height as i32)
            .framerate(gst::Fraction::new(settings.fps as i32, 1))
            .build();
        filter.set_property("caps", &caps);
        let sink = elements::make("cvmmapsink")?;
        sink.set_property("name", SINK);
        // The source keeps the pace; waiting a second time would make each frame older by the pipeline's latency.
        sink.set_property("sync", false);
        sink.set_property("shm-name", settings.address.shm_name());
        sink.set_property("zmq-endpoint", settings.address.zmq_endpoint());
        sink.set_property("label", settings.address.label());
        if let Some(mode) = settings.permissions.mode() {
            sink.set_property("perms", mode);
        }
        // Planes may be missing on single frames, and there may be confidence without depth.
        if settings.confidence || settings.encoded.is_some() {
            sink.set_property_from_str("abi", "v2.1");
        }
        tools_media::nats::configure(&sink, settings.nats.as_ref());
        decorate(&source, &sink, settings, &caps)?;

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

/// Gives each frame its place in the source, and what rides on it.
fn decorate(source: &gst::Element, sink: &gst::Element, settings: &Settings, caps: &gst::Caps) -> Result<(), Failure> {
    let timeline = Arc::new(Timeline::new(settings.frames, settings.fps));
    let sought = Arc::clone(&timeline);
    sink.connect("seek-source", false, move |values| {
        let landed = values[1].get::<u64>().ok().and_then(|target| sought.seek(target));
        let landed = landed.map(|landed| gst::Structure::builder("landed").field("landed-timestamp", landed).build());
        Some(landed.to_value())
    });
    let camera = simulate_camera(sink);
    let playlist = simulate_playlist(source, sink, settings.fps)?;
    let encoder = settings.encoded.map(|codec| Encoder::new(codec, caps, settings.fps)).transpose()?;
    let encoder = Mutex::new(encoder);
    let (settings, weak_source, weak_sink) = (settings.clone(), source.downgrade(), sink.downgrade());
    elements::pad(source, "src").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(pattern) = playlist.advance()
            && let (Some(source), Some(sink)) = (weak_source.upgrade(), weak_sink.upgrade())
        {
            // This picture was drawn before: the next one is the first of the other recording.
            source.set_property_from_str("pattern", &pattern);
            sink.set_property("playlist", playlist.describe());
            return gst::PadProbeReturn::Handled;
        }
        let Some(moment) = timeline.advance() else {
            info.flow_res = Err(gst::FlowError::Eos);
            return gst::PadProbeReturn::Handled;
        };
        if moment.index == 0
            && let (Some(sink), Some((start, end))) = (weak_sink.upgrade(), timeline.bounds())
        {
            let told = gst::Structure::builder("source").field("kind", "finite").field("can-seek", true);
            sink.set_property("source-info", told.field("start", start).field("end", end).build());
        }
        if let Some(buffer) = info.buffer_mut() {
            let buffer = buffer.make_mut();
            if let Some(captured) = moment.timestamp_ns {
                capture_time::tell(buffer, captured);
            }
            camera.expose(buffer);
            let encoder = &mut *encoder.lock().unwrap_or_else(PoisonError::into_inner);
            load(buffer, moment.index, &settings, encoder.as_mut());
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// A camera whose controls are answered by the sink.
fn simulate_camera(sink: &gst::Element) -> Arc<Camera> {
    let camera = Arc::new(Camera::new());
    sink.set_property("camera-controls", camera.describe());
    let asked = Arc::clone(&camera);
    sink.connect("set-camera-control", false, move |values| {
        let setting = values[1].get::<&str>().unwrap_or_default();
        let wanted = values[2].get::<gst::Structure>().expect("checked by GObject");
        let answer = match asked.change(setting, &wanted) {
            Ok(()) => asked.describe(),
            Err((code, message)) => refuse(code, &message),
        };
        Some(Some(answer).to_value())
    });
    camera
}

/// A playlist that is answered by the sink.
fn simulate_playlist(source: &gst::Element, sink: &gst::Element, fps: u32) -> Result<Arc<Playlist>, Failure> {
    let playlist =
        Playlist::new(source, fps).ok_or_else(|| Failure::Pipeline("videotestsrc has no patterns here".to_owned()))?;
    let playlist = Arc::new(playlist);
    sink.set_property("playlist", playlist.describe());
    let asked = Arc::clone(&playlist);
    sink.connect("apply-playlist", false, move |values| {
        let wanted = values[1].get::<gst::Structure>().expect("checked by GObject");
        let answer = match asked.apply(&wanted) {
            Ok(()) => asked.describe(),
            Err(message) => refuse("INVALID_PAYLOAD", &message),
        };
        Some(Some(answer).to_value())
    });
    Ok(playlist)
}

/// How a handler of the sink's signals refuses.
fn refuse(code: &str, message: &str) -> gst::Structure {
    gst::Structure::builder("refused").field("error", code).field("message", message).build()
}

/// Puts planes and bodies on a picture.
fn load(buffer: &mut gst::BufferRef, index: u32, settings: &Settings, encoder: Option<&mut Encoder>) {
    let size = (settings.width, settings.height);
    if let Some(encoder) = encoder
        && let Some(unit) = encoder.encode(buffer)
    {
        planes::attach_unit(buffer, encoder.codec(), &unit);
    }
    if settings.depth {
        planes::attach_floats(buffer, "depth", planes::depth(index, size), size, Some("millimeter"));
    }
    if settings.confidence {
        planes::attach_floats(buffer, "confidence", planes::confidence(size), size, None);
    }
    if let Some(skeleton) = settings.body {
        let format = match skeleton {
            Skeleton::Body18 => Format::Body18,
            Skeleton::Body34 => Format::Body34,
            Skeleton::Body38 => Format::Body38,
        };
        gstcvmmap::body::attach_packet(buffer, &bodies::packet(index, format, size));
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
