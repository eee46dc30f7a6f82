//! An RTP session around a payloader: reports beside the packets, and a goodbye behind them.

use std::{net::SocketAddr, sync::OnceLock};

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::capture_clock::CaptureClock;
use crate::{plan::Rtp, random_name::random_name};

/// Receivers line streams up after the first report.
const REPORTS_SPACING_MIN: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// Number of the header extension in the packets. Source: RFC 8285; the session description says it.
const NTP_64: (&str, &str) = ("extmap-3", "urn:ietf:params:rtp-hdrext:ntp-64");

/// Makes the end of a pipeline that sends datagrams.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has no `udpsink`.
pub fn udp_sink(destination: SocketAddr) -> Result<gst::Element, Failure> {
    let sink = elements::make("udpsink")?;
    sink.set_property("host", destination.ip().to_string());
    sink.set_property("port", i32::from(destination.port()));
    sink.set_property("sync", false);
    sink.set_property("async", false);
    Ok(sink)
}

/// Links `payloader` to `sink`, through a session that reports where the plan has it.
///
/// # Errors
/// [`Failure::Pipeline`] when an element is missing.
pub fn join(
    pipeline: &gst::Pipeline,
    payloader: &gst::Element,
    sink: &gst::Element,
    plan: &Rtp,
    clock: CaptureClock,
) -> Result<(), Failure> {
    let mut caps = gst::Caps::new_empty_simple("application/x-rtp");
    if plan.capture_time {
        caps.make_mut().set(NTP_64.0, NTP_64.1);
    }
    let extensions = elements::filter(caps)?;
    elements::add_chain(pipeline, &[&extensions])?;
    elements::link(payloader, &extensions)?;
    let Some(rtcp) = plan.rtcp else {
        return elements::link(&extensions, sink);
    };
    let session = elements::make("rtpsession")?;
    session.set_property("rtcp-min-interval", REPORTS_SPACING_MIN.nseconds());
    session.set_property("update-ntp64-header-ext", false);
    session
        .set_property("sdes", gst::Structure::builder("application/x-rtp-source-sdes").field("cname", name()).build());
    let reports = udp_sink(rtcp)?;
    elements::add_chain(pipeline, &[&session])?;
    elements::add_chain(pipeline, &[&reports])?;
    let cannot = || Failure::Pipeline("the RTP session cannot be assembled".to_owned());
    let entry = session.request_pad_simple("send_rtp_sink").ok_or_else(cannot)?;
    elements::pad(&extensions, "src").link(&entry).map_err(|_| cannot())?;
    elements::pad(&session, "send_rtp_src").link(&elements::pad(sink, "sink")).map_err(|_| cannot())?;
    let report = session.request_pad_simple("send_rtcp_src").ok_or_else(cannot)?;
    clock.correct(&report);
    report.link(&elements::pad(&reports, "sink")).map_err(|_| cannot())?;
    hasten_goodbye(&entry, &session);
    Ok(())
}

/// Has the goodbye behind the last packet go out at once. The session would wait for the time of its next report with it.
fn hasten_goodbye(entry: &gst::Pad, session: &gst::Element) {
    let session = session.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            session.upgrade().iter().for_each(|session| session.set_property("rtcp-min-interval", 0_u64));
        }
        gst::PadProbeReturn::Ok
    });
}

/// One for all streams of this program, which share their clock, and no name of the machine. Source: RFC 3550, 6.5.1; RFC 7022.
fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(random_name)
}
