//! The proof that packets hold video: GStreamer's own depayloader and parser make access units of them.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufWriter, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gst::prelude::*;
use tools_cli::failure::Failure;

use super::{args::Codec, flow::CLOCK_RATE};

/// Packets that wait for the depayloader. More are dropped: one that stopped must not stop the receiving.
const QUEUE_BYTES: u64 = 64 << 20;

/// How long a packet that is missing is waited for: one that was overtaken on its way comes sooner.
const PATIENCE_MS: u32 = 200;

/// Frames of which the depayloader still may make its first access unit.
const FRAMES_KEPT: usize = 64;

/// How long the elements get for what is in them when the stream has ended.
const DRAIN: gst::ClockTime = gst::ClockTime::from_seconds(5);

#[derive(Debug, Default, Clone)]
pub struct Parsed {
    pub access_units: u64,
    pub keyframes: u64,
    pub bytes: u64,
    pub size: Option<(i32, i32)>,
    /// Number of the frame that the first access unit came from.
    pub first_frame: u64,
}

#[derive(Default)]
struct Shared {
    parsed: Parsed,
    dump: Option<BufWriter<File>>,
    dump_error: Option<String>,
    frames: Frames,
}

/// The frames whose packets the depayloader has got, in the order in which they were sent.
#[derive(Default)]
struct Frames {
    count: u64,
    /// Times of the last ones.
    times: VecDeque<Option<gst::ClockTime>>,
}

impl Frames {
    fn packet(&mut self, time: Option<gst::ClockTime>) {
        if self.times.back() != Some(&time) {
            self.count += 1;
            self.times.push_back(time);
            self.times.drain(..self.times.len().saturating_sub(FRAMES_KEPT));
        }
    }

    /// Number of the frame of a time, from 0.
    fn number(&self, time: Option<gst::ClockTime>) -> u64 {
        let behind = self.times.iter().rev().position(|frame| *frame == time).map_or(0, |behind| behind as u64);
        self.count.saturating_sub(1 + behind)
    }
}

pub struct Depayloader {
    codec: Codec,
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    shared: Arc<Mutex<Shared>>,
}

impl Depayloader {
    /// # Errors
    /// [`Failure::Pipeline`] when an element is missing, [`Failure::Configuration`] when `dump` cannot be used.
    pub fn start(
        codec: Codec,
        payload_type: u8,
        parameter_sets: &[(&'static str, String)],
        dump: Option<&File>,
    ) -> Result<Self, Failure> {
        let mut caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("clock-rate", CLOCK_RATE.cast_signed())
            .field("encoding-name", codec.encoding_name())
            .field("payload", i32::from(payload_type));
        for (field, value) in parameter_sets {
            caps = caps.field(*field, value);
        }
        let source = gst_app::AppSrc::builder()
            .caps(&caps.build())
            .format(gst::Format::Time)
            .is_live(true)
            .do_timestamp(true)
            .max_bytes(QUEUE_BYTES)
            .leaky_type(gst_app::AppLeakyType::Upstream)
            .build();
        let (depay, parse, media) = match codec {
            Codec::H264 => ("rtph264depay", "h264parse", "video/x-h264"),
            Codec::H265 => ("rtph265depay", "h265parse", "video/x-h265"),
        };
        let order = make("rtpjitterbuffer")?;
        // By the packets' own timestamps alone: each frame keeps a time of its own.
        order.set_property_from_str("mode", "none");
        order.set_property("latency", PATIENCE_MS);
        let depay = make(depay)?;
        let parse = make(parse)?;
        let sink = gst_app::AppSink::builder()
            .caps(&gst::Caps::builder(media).field("stream-format", "byte-stream").field("alignment", "au").build())
            .sync(false)
            .max_buffers(16)
            .build();
        let shared = Arc::new(Mutex::new(Shared { dump: dump.map(writer).transpose()?, ..Shared::default() }));
        let counter = Arc::clone(&shared);
        let ordered = depay.static_pad("sink").expect("a depayloader has a sink pad");
        ordered.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
            let frames = &mut lock(&counter).frames;
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => frames.packet(buffer.pts()),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(|buffer| frames.packet(buffer.pts())),
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
        let receiver = Arc::clone(&shared);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    lock(&receiver).access_unit(&sample);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &order, &depay, &parse, sink.upcast_ref()];
        let broken =
            |error: &dyn std::fmt::Display| Failure::Pipeline(format!("the depayloader cannot be started: {error}"));
        pipeline.add_many(elements).map_err(|error| broken(&error))?;
        gst::Element::link_many(elements).map_err(|error| broken(&error))?;
        pipeline.set_state(gst::State::Playing).map_err(|error| broken(&error))?;
        Ok(Self { codec, pipeline, source, shared })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Takes a packet, in the order of arrival.
    pub fn packet(&self, bytes: &[u8]) {
        // A depayloader that stopped shows as access units that are missing, and in `finish`.
        let _ = self.source.push_buffer(gst::Buffer::from_mut_slice(bytes.to_vec()));
    }

    pub fn parsed(&self) -> Parsed {
        lock(&self.shared).parsed.clone()
    }

    /// Lets the elements finish with what they have, and completes the dump.
    ///
    /// # Errors
    /// When the dump could not be written.
    pub fn finish(self) -> Result<Parsed, Failure> {
        let _ = self.source.end_of_stream();
        if let Some(bus) = self.pipeline.bus() {
            bus.timed_pop_filtered(DRAIN, &[gst::MessageType::Eos, gst::MessageType::Error]);
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        let mut shared = lock(&self.shared);
        let flushed = shared.dump.take().map(|mut dump| dump.flush());
        if let Some(Err(error)) = flushed {
            shared.dump_error.get_or_insert(error.to_string());
        }
        match &shared.dump_error {
            None => Ok(shared.parsed.clone()),
            Some(error) => Err(Failure::Configuration(format!("what came cannot be kept: {error}"))),
        }
    }
}

impl Drop for Depayloader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Shared {
    fn access_unit(&mut self, sample: &gst::Sample) {
        let Some(buffer) = sample.buffer() else {
            return;
        };
        let size = sample
            .caps()
            .and_then(|caps| caps.structure(0))
            .and_then(|caps| Some((caps.get::<i32>("width").ok()?, caps.get::<i32>("height").ok()?)));
        // Only a parser that has read a parameter set knows the size, and noise can pass for one.
        if size.is_none_or(|(width, height)| width <= 0 || height <= 0) {
            return;
        }
        self.parsed.size = size;
        if self.parsed.access_units == 0 {
            self.parsed.first_frame = self.frames.number(buffer.pts());
        }
        self.parsed.access_units += 1;
        self.parsed.bytes += buffer.size() as u64;
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.parsed.keyframes += 1;
        }
        if let Some(dump) = &mut self.dump {
            let written = buffer.map_readable().map_err(std::io::Error::other).and_then(|map| dump.write_all(&map));
            if let Err(error) = written {
                self.dump = None;
                self.dump_error = Some(error.to_string());
            }
        }
    }
}

/// The codec that is not the one in the packets writes nothing, so depayloaders can share the file.
fn writer(file: &File) -> Result<BufWriter<File>, Failure> {
    file.try_clone()
        .map(BufWriter::new)
        .map_err(|error| Failure::Configuration(format!("what comes cannot be kept: {error}")))
}

fn make(factory: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        Failure::Pipeline(format!("there is no GStreamer element {factory}: install the good and bad plugin sets"))
    })
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
