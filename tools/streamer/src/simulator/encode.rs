//! The simulator's encoded plane: each picture through a software encoder that gives its access unit at once.

use std::time::Duration;

use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{
    codec, elements,
    encoders::{Choice, Device, Live, Needs, live::Preset},
};

/// An encoder that has not given a picture's access unit after so long gives none for it.
const UNIT_MAX: Duration = Duration::from_secs(2);

/// A software encoder.
#[derive(Debug)]
pub struct Encoder {
    pipeline: gst::Pipeline,
    input: gst_app::AppSrc,
    output: gst_app::AppSink,
    codec: Codec,
    count: u64,
    interval: gst::ClockTime,
}

impl Encoder {
    /// An encoder of pictures of these caps.
    ///
    /// # Errors
    /// When an element is missing or does not start.
    pub fn new(codec: Codec, caps: &gst::Caps, fps: u32) -> Result<Self, Failure> {
        let choice = Choice::pick(codec, Device::Software, Needs::default())?;
        // A keyframe a second.
        let live = Live { gop: fps, b_frames: 0, kbit: None, quality: None, preset: Some(Preset::Fast), profile: None };
        let (made, _) = choice.live(&live)?;
        let input = gst_app::AppSrc::builder().caps(caps).format(gst::Format::Time).build();
        let output = gst_app::AppSink::builder().caps(&codec::byte_stream(codec)).sync(false).build();
        let pipeline = gst::Pipeline::with_name("simulator-encoder");
        let chain = std::iter::once(input.upcast_ref())
            .chain(&made.before)
            .chain([&made.encoder, output.upcast_ref()])
            .collect::<Vec<_>>();
        elements::add_chain(&pipeline, &chain)?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| Failure::Pipeline(format!("the simulator's {} does not start", choice.name())))?;
        let interval = gst::ClockTime::SECOND / u64::from(fps);
        Ok(Self { pipeline, input, output, codec, count: 0, interval })
    }

    /// The access unit of a picture; none when the encoder gives none.
    pub fn encode(&mut self, picture: &gst::BufferRef) -> Option<gst::Buffer> {
        let mut picture = picture.copy();
        let pts = self.interval * self.count;
        self.count += 1;
        picture.get_mut()?.set_pts(pts);
        self.input.push_buffer(picture).ok()?;
        // A unit of an earlier picture, given late, is not this picture's.
        loop {
            let sample = self.output.try_pull_sample(gst::ClockTime::try_from(UNIT_MAX).ok())?;
            let unit = sample.buffer_owned()?;
            // Encoders move all timestamps away from 0, to have room for decoding times.
            if unit.pts() >= Some(pts) {
                return Some(unit);
            }
        }
    }

    /// Name of the codec on a picture's meta.
    pub fn codec(&self) -> &'static str {
        self.codec.name()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
