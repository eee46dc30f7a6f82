//! RTMP publishing.

use std::sync::Arc;

use gst::prelude::*;

use super::{Kind, Meter, Outlet, backlog};
use crate::{
    common::{elements, failure::Failure},
    streamer::{
        options::{Codec, RtmpMode},
        plan::Rtmp,
    },
};

const KIND: Kind = Kind::Rtmp;

/// Adds the output to `pipeline` behind `tee`.
///
/// # Errors
/// [`Failure::Usage`] when `rtmp2sink` does not take the URL, [`Failure::Pipeline`] when an element is missing.
pub fn add(pipeline: &gst::Pipeline, tee: &gst::Element, codec: Codec, plan: &Rtmp) -> Result<Outlet, Failure> {
    let meter = Arc::new(Meter::default());
    let queue = backlog::queue(KIND, &meter)?;
    let muxer = muxer(codec, plan.mode)?;
    let sink = KIND.make("rtmp2sink")?;
    // Setting the property would fall back to a built-in URL where this one is not understood.
    sink.dynamic_cast_ref::<gst::URIHandler>()
        .ok_or_else(|| elements::missing("rtmp2sink"))?
        .set_uri(plan.url.reveal())
        .map_err(|error| Failure::Usage(plan.url.redact(&format!("--rtmp-url: {}", error.message()))))?;
    sink.set_property("sync", false);
    sink.set_property("async", false);

    elements::add_chain(pipeline, &[&muxer, &sink])?;
    elements::add_chain(pipeline, &[&queue])?;
    let cannot = || Failure::Pipeline("the RTMP output cannot be assembled".to_owned());
    let video = muxer.request_pad_simple("video").ok_or_else(cannot)?;
    elements::pad(&queue, "src").link(&video).map_err(|_| cannot())?;
    meter.watch(&video, &sink, completes_unit);
    Outlet::attach(KIND, meter, pipeline, tee, vec![queue, muxer, sink])
}

fn muxer(codec: Codec, mode: Option<RtmpMode>) -> Result<gst::Element, Failure> {
    match codec {
        Codec::H264 => {
            let muxer = KIND.make("flvmux")?;
            muxer.set_property("streamable", true);
            Ok(muxer)
        }
        Codec::H265 => {
            let muxer = KIND.make("flvhevcmux")?;
            let packaging = match mode {
                Some(RtmpMode::Domestic) => "domestic",
                Some(RtmpMode::Enhanced) | None => "enhanced",
            };
            muxer.set_property_from_str("hevc-packaging", packaging);
            Ok(muxer)
        }
    }
}

/// Each access unit is one tag; others hold metadata, parameter sets or the end of the stream.
/// Source: Adobe Flash Video File Format 10.1, E.4.3; Enhanced RTMP v1, "Defining Additional Video Codecs".
fn completes_unit(tag: &gst::BufferRef) -> bool {
    const TAG_HEADER: usize = 11;
    let mut head = [0; TAG_HEADER + 2];
    if tag.copy_to_slice(0, &mut head).is_err() || head[0] != 9 {
        return false;
    }
    let [first, second] = [head[TAG_HEADER], head[TAG_HEADER + 1]];
    if first & 0x80 != 0 {
        // PacketTypeCodedFrames and PacketTypeCodedFramesX.
        matches!(first & 0x0f, 1 | 3)
    } else {
        // One or more NAL units.
        second == 1
    }
}
