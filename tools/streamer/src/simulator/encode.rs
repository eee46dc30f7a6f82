//! The simulator's encoded plane: each picture through a software encoder that gives its access unit at once.

use std::time::Duration;

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{elements, x265};

use crate::options::Codec;

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
        let (factory, media) = match codec {
            Codec::H264 => ("x264enc", "video/x-h264"),
            Codec::H265 => ("x265enc", "video/x-h265"),
        };
        let input = gst_app::AppSrc::builder().caps(caps).format(gst::Format::Time).build();
        let convert = elements::make("videoconvert")?;
        let planar = elements::make("capsfilter")?;
        planar.set_property("caps", gst::Caps::builder("video/x-raw").field("format", "I420").build());
        let encoder = elements::make(factory)?;
        encoder.set_property_from_str("tune", "zerolatency");
        encoder.set_property_from_str("speed-preset", "ultrafast");
        encoder.set_property("key-int-max", i32_or_u32(&encoder, fps));
        if codec == Codec::H265 {
            // Consumers start at any keyframe: parameter sets in each, and nothing behind it that needs what was before.
            encoder.set_property("option-string", "repeat-headers=1:open-gop=0:info=0");
            x265::keep_last_headers(&encoder);
        }
        let caps = gst::Caps::builder(media).field("stream-format", "byte-stream").field("alignment", "au").build();
        let output = gst_app::AppSink::builder().caps(&caps).sync(false).build();
        let pipeline = gst::Pipeline::with_name("simulator-encoder");
        elements::add_chain(&pipeline, &[input.upcast_ref(), &convert, &planar, &encoder, output.upcast_ref()])?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| Failure::Pipeline(format!("the simulator's {factory} does not start")))?;
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
        match self.codec {
            Codec::H264 => "h264",
            Codec::H265 => "h265",
        }
    }
}

/// The encoders have this property in different types.
fn i32_or_u32(encoder: &gst::Element, value: u32) -> gst::glib::Value {
    if encoder.property_type("key-int-max") == Some(i32::static_type()) {
        i32::try_from(value).unwrap_or(i32::MAX).to_value()
    } else {
        value.to_value()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Nothing is left to be told a failure to stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
