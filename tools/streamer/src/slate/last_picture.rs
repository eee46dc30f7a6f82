//! The last picture of a stream of access units, where nobody else decodes it.

use cvmmap::Codec;
use gst::prelude::*;
use gst_video::VideoInfo;
use tools_cli::failure::Failure;
use tools_media::{codec, elements};

/// A decoder that takes longer has failed.
const DECODE_MAX: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// A picture and what it is like.
#[derive(Debug)]
pub struct Picture {
    /// Its pixels, in I420.
    pub buffer: gst::Buffer,
    /// Its size.
    pub info: VideoInfo,
}

/// Decodes a group of pictures up to its last one. May take its time.
///
/// # Errors
/// [`Failure::Pipeline`] when there is no decoder, or it gives no picture.
pub fn decode(group: &[gst::Sample]) -> Result<Picture, Failure> {
    let caps = group.first().and_then(|unit| unit.caps_owned());
    let name = caps.as_ref().and_then(|caps| caps.structure(0)).map(|caps| caps.name().as_str());
    let codec = name.and_then(codec::of_media_type).unwrap_or(Codec::H265);
    let source = elements::make_app::<gst_app::AppSrc>("appsrc")?;
    source.set_format(gst::Format::Time);
    source.set_max_bytes(0);
    let planar = elements::filter(gst::Caps::builder("video/x-raw").field("format", "I420").build())?;
    let sink = elements::make_app::<gst_app::AppSink>("appsink")?;
    sink.set_property("sync", false);
    // The last is wanted alone.
    sink.set_max_buffers(1);
    sink.set_drop(true);
    sink.set_wait_on_eos(false);
    let pipeline = gst::Pipeline::new();
    let [parser, decoder, convert] = [
        elements::make(codec::parser(codec))?,
        elements::make(codec::decoder(codec))?,
        elements::make("videoconvert")?,
    ];
    elements::add_chain(&pipeline, &[source.upcast_ref(), &parser, &decoder, &convert, &planar, sink.upcast_ref()])?;
    let decoded = run(&pipeline, &source, &sink, group);
    // Of a pipeline that is given up nothing more is asked.
    let _ = pipeline.set_state(gst::State::Null);
    decoded.ok_or_else(|| Failure::Pipeline("the last picture cannot be decoded".to_owned()))
}

fn run(
    pipeline: &gst::Pipeline,
    source: &gst_app::AppSrc,
    sink: &gst_app::AppSink,
    group: &[gst::Sample],
) -> Option<Picture> {
    pipeline.set_state(gst::State::Playing).ok()?;
    for unit in group {
        source.push_sample(unit).ok()?;
    }
    source.end_of_stream().ok()?;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    pipeline.bus()?.timed_pop_filtered(DECODE_MAX, &ends)?;
    let sample = sink.try_pull_sample(gst::ClockTime::ZERO)?;
    let info = VideoInfo::from_caps(sample.caps()?).ok()?;
    Some(Picture { buffer: sample.buffer_owned()?, info })
}
