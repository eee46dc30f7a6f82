//! RTP over UDP unicast.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use gst::prelude::*;

use super::{Kind, Meter, Outlet, backlog};
use crate::{
    common::{elements, failure::Failure},
    streamer::{options::Codec, plan::Rtp, sdp},
};

const KIND: Kind = Kind::Rtp;

/// Adds the output to `pipeline` behind `tee`.
///
/// # Errors
/// [`Failure::Configuration`] when the session description cannot be written, [`Failure::Pipeline`] when an element is
/// missing.
pub fn add(pipeline: &gst::Pipeline, tee: &gst::Element, codec: Codec, plan: &Rtp) -> Result<Outlet, Failure> {
    let meter = Arc::new(Meter::default());
    let queue = backlog::queue(KIND, &meter)?;
    let payloader = KIND.make(match codec {
        Codec::H264 => "rtph264pay",
        Codec::H265 => "rtph265pay",
    })?;
    payloader.set_property("pt", u32::from(plan.payload_type));
    // The parser puts parameter sets before every keyframe. Asked for the same, the H.264 payloader would put them
    // before every slice of it.
    payloader.set_property_from_str("aggregate-mode", "zero-latency");
    let sink = KIND.make("udpsink")?;
    sink.set_property("host", plan.destination.ip().to_string());
    sink.set_property("port", i32::from(plan.destination.port()));
    sink.set_property("sync", false);
    sink.set_property("async", false);

    if let Some(path) = &plan.sdp {
        describe(&payloader, sdp::File::new(path)?, plan.destination);
    }
    meter.watch(&elements::pad(&payloader, "sink"), &sink, completes_unit);
    elements::add_chain(pipeline, &[&queue, &payloader, &sink])?;
    Outlet::attach(KIND, meter, pipeline, tee, vec![queue, payloader, sink])
}

/// The marker bit ends an access unit. Source: RFC 3550 section 5.1, RFC 6184 section 5.1, RFC 7798 section 4.1.
fn completes_unit(packet: &gst::BufferRef) -> bool {
    let mut header = [0; 2];
    packet.copy_to_slice(0, &mut header).is_ok() && header[1] & 0x80 != 0
}

/// Writes the session description each time the stream's parameters are known anew, before the first packet that has
/// them.
fn describe(payloader: &gst::Element, file: sdp::File, destination: SocketAddr) {
    let pad = elements::pad(payloader, "src");
    let file = Mutex::new(file);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            let written = file.lock().unwrap_or_else(PoisonError::into_inner).write(event.caps(), destination);
            if let (Err(error), Some(payloader)) = (written, pad.parent_element()) {
                gst::element_error!(payloader, gst::ResourceError::Write, ["{error}"]);
            }
        }
        gst::PadProbeReturn::Ok
    });
}
