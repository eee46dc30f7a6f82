//! RTMP publishing.

use std::sync::Arc;

use gst::prelude::*;

use super::{Meter, RTMP_PREFIX, backlog, name};
use crate::{
    common::failure::Failure,
    streamer::{
        elements,
        options::{Codec, RtmpMode},
        plan::Rtmp,
    },
};

/// Adds the output to `pipeline` behind `tee`.
///
/// # Errors
/// [`Failure::Usage`] when `rtmp2sink` does not take the URL, [`Failure::Pipeline`] when an element is missing.
pub fn add(pipeline: &gst::Pipeline, tee: &gst::Element, codec: Codec, plan: &Rtmp) -> Result<Arc<Meter>, Failure> {
    let meter = Arc::new(Meter::default());
    let queue = backlog::queue(&meter)?;
    let muxer = muxer(codec, plan.mode)?;
    let sink = elements::make("rtmp2sink")?;
    name(&muxer, RTMP_PREFIX, "muxer");
    name(&sink, RTMP_PREFIX, "sink");
    // Setting the property would fall back to a built-in URL where this one is not understood.
    sink.dynamic_cast_ref::<gst::URIHandler>()
        .ok_or_else(|| elements::missing("rtmp2sink"))?
        .set_uri(plan.url.reveal())
        .map_err(|error| Failure::Usage(plan.url.redact(&format!("--rtmp-url: {}", error.message()))))?;
    sink.set_property("sync", false);
    sink.set_property("async", false);

    meter.watch(&sink, completes_unit);
    elements::add_chain(pipeline, &[&muxer, &sink])?;
    elements::add_chain(pipeline, &[&queue])?;
    queue
        .link_pads(Some("src"), &muxer, Some("video"))
        .map_err(|error| Failure::Pipeline(format!("the RTMP output cannot be assembled: {error}")))?;
    elements::link(tee, &queue)?;
    Ok(meter)
}

fn muxer(codec: Codec, mode: Option<RtmpMode>) -> Result<gst::Element, Failure> {
    match codec {
        Codec::H264 => {
            let muxer = elements::make("flvmux")?;
            muxer.set_property("streamable", true);
            Ok(muxer)
        }
        Codec::H265 => {
            let muxer = elements::make("flvhevcmux")?;
            let packaging = match mode {
                Some(RtmpMode::Domestic) => "domestic",
                Some(RtmpMode::Enhanced) | None => "enhanced",
            };
            muxer.set_property_from_str("hevc-packaging", packaging);
            Ok(muxer)
        }
    }
}

/// Each access unit is one tag; the others are headers or have no time.
fn completes_unit(tag: &gst::BufferRef) -> bool {
    tag.pts().is_some() && !tag.flags().contains(gst::BufferFlags::HEADER)
}
