//! Runs real pipelines around an element named `mux` and records what goes in and what comes out.

use crate::flv::{Tag, read_file_header, read_only_tag};
use gst::prelude::*;
use std::sync::{Arc, Mutex};

/// Longest that a pipeline of the tests may take before it counts as hung.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

pub const X264: &str = "x264enc speed-preset=ultrafast key-int-max=10 ! h264parse";
pub const X265: &str =
    "x265enc speed-preset=ultrafast key-int-max=10 tune=zerolatency option-string=info=0 ! h265parse";
/// Default tuning reorders frames.
pub const X264_B: &str = "x264enc bframes=2 b-adapt=false key-int-max=10 ! h264parse";
pub const X265_B: &str = "x265enc option-string=bframes=2:b-adapt=0:info=0:log-level=0 key-int-max=10 ! h265parse";

pub fn picture(frames: u32) -> String {
    format!("videotestsrc num-buffers={frames} ! video/x-raw,format=I420,width=320,height=240,framerate=25/1")
}

/// A frame as it went into the muxer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub pts: u64,
    /// May be negative: running time in nanoseconds.
    pub dts: i64,
    pub delta: bool,
    pub data: Vec<u8>,
}

#[derive(Default)]
pub struct Recording {
    pub buffers: Vec<gst::Buffer>,
    pub caps: Vec<gst::Caps>,
    pub video: Vec<Sent>,
    pub audio: Vec<Sent>,
}

impl Recording {
    /// The tags that went out; the file header before them is checked.
    pub fn tags(&self) -> Vec<Tag> {
        let bytes = |buffer: &gst::Buffer| buffer.map_readable().unwrap().to_vec();
        read_file_header(&bytes(&self.buffers[0]));
        self.buffers[1..].iter().map(|buffer| read_only_tag(&bytes(buffer))).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.buffers.iter().flat_map(|buffer| buffer.map_readable().unwrap().to_vec()).collect()
    }
}

pub fn stream_headers(caps: &gst::Caps) -> Vec<gst::Buffer> {
    let headers: gst::ArrayRef = caps.structure(0).unwrap().get("streamheader").unwrap();
    headers.iter().map(|value| value.get().unwrap()).collect()
}

fn record_input(pad: &gst::Pad, into: fn(&mut Recording) -> &mut Vec<Sent>, recording: &Arc<Mutex<Recording>>) {
    let recording = recording.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer().unwrap();
        let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
        let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
        let signed = |time| match segment.to_running_time_full(time) {
            Some(gst::Signed::Positive(time)) => time.nseconds() as i64,
            Some(gst::Signed::Negative(time)) => -(time.nseconds() as i64),
            None => panic!("no timestamp"),
        };
        into(&mut recording.lock().unwrap()).push(Sent {
            pts: signed(buffer.pts()) as u64,
            dts: signed(buffer.dts().or(buffer.pts())),
            delta: buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data: buffer.map_readable().unwrap().to_vec(),
        });
        gst::PadProbeReturn::Ok
    });
}

/// A pipeline that stops when the test is done with it, however that ends.
pub struct Pipeline(gst::Pipeline);

impl Pipeline {
    pub fn new(description: &str) -> Self {
        crate::init();
        let pipeline = gst::parse::launch(description).expect(description);
        Self(pipeline.downcast().expect("several elements"))
    }

    pub fn play(&self) {
        self.set_state(gst::State::Playing).expect("it plays");
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.by_name(name).expect(name)
    }

    pub fn wait_for_end(&self) -> Result<(), String> {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.bus().unwrap().timed_pop_filtered(PATIENCE, &kinds).expect("the pipeline ends");
        match message.view() {
            gst::MessageView::Error(error) => Err(format!("{}: {}", error.error(), error.debug().unwrap_or_default())),
            _ => Ok(()),
        }
    }
}

impl std::ops::Deref for Pipeline {
    type Target = gst::Pipeline;

    fn deref(&self) -> &gst::Pipeline {
        &self.0
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Runs until EOS and returns what was seen, or the error on the bus.
fn try_run(description: &str) -> Result<Recording, String> {
    let pipeline = Pipeline::new(description);
    let mux = pipeline.element("mux");
    let recording = Arc::new(Mutex::new(Recording::default()));
    if let Some(pad) = mux.static_pad("video") {
        record_input(&pad, |recording| &mut recording.video, &recording);
    }
    if let Some(pad) = mux.static_pad("audio") {
        record_input(&pad, |recording| &mut recording.audio, &recording);
    }
    record_output(&mux, &recording);

    pipeline.play();
    pipeline.wait_for_end()?;
    pipeline.set_state(gst::State::Null).unwrap();
    Ok(std::mem::take(&mut *recording.lock().unwrap()))
}

pub fn run(description: &str) -> Recording {
    try_run(description).unwrap_or_else(|error| panic!("{description}: {error}"))
}

pub fn record_output(mux: &gst::Element, recording: &Arc<Mutex<Recording>>) {
    let recording = recording.clone();
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
    mux.static_pad("src").unwrap().add_probe(what, move |_, info| {
        let mut recording = recording.lock().unwrap();
        if let Some(buffer) = info.buffer() {
            recording.buffers.push(buffer.clone());
        } else if let Some(list) = info.buffer_list() {
            recording.buffers.extend(list.iter_owned());
        } else if let Some(event) = info.event()
            && let gst::EventView::Caps(caps) = event.view()
        {
            recording.caps.push(caps.caps_owned());
        }
        gst::PadProbeReturn::Ok
    });
}
