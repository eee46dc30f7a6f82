//! The one pipeline that all players share while there is one.

use std::sync::Arc;

use cvmmap::Codec;
use gst::prelude::*;
use gst_rtsp_server::{RTSPMedia, RTSPMediaFactory, gst_rtsp::RTSPLowerTrans, prelude::*};
use tools_media::{codec, elements};

use crate::outlet::{
    feed::Feed,
    rtp::{capture_clock::CaptureClock, part_of_unit},
};

const SOURCE: &str = "source";
/// The server knows a stream by this name.
const PAYLOADER: &str = "pay0";

/// Makes the pipeline when the first player comes.
pub fn factory(codec: Codec, feed: &Arc<Feed>) -> RTSPMediaFactory {
    let parser = codec::parser(codec);
    let payloader = match codec {
        Codec::H264 => "rtph264pay",
        Codec::H265 => "rtph265pay",
    };
    let factory = RTSPMediaFactory::new();
    factory.set_launch(&format!(
        "( appsrc name={SOURCE} is-live=true ! {parser} ! {payloader} name={PAYLOADER} pt=96 aggregate-mode=zero-latency )"
    ));
    factory.set_shared(true);
    factory.set_protocols(RTSPLowerTrans::UDP | RTSPLowerTrans::TCP);
    let feed = Arc::clone(feed);
    factory.connect_media_configure(move |_, media| configure(media, &feed));
    factory
}

fn configure(media: &RTSPMedia, feed: &Arc<Feed>) {
    let found = media.element().downcast::<gst::Bin>().ok().and_then(|bin| {
        let source = bin.by_name(SOURCE)?.downcast::<gst_app::AppSrc>().ok()?;
        Some((source, bin.by_name(PAYLOADER)?))
    });
    let Some((source, payloader)) = found else {
        return;
    };
    // Pictures go when they come.
    media.set_rate_control(false);
    feed.meter().watch_pad(&elements::pad(&payloader, "src"), part_of_unit);
    let clock = CaptureClock::watch(&payloader, false);
    feed.lend(&source);
    media.connect_prepared(move |media| correct_reports(media, &clock));
    let feed = Arc::clone(feed);
    media.connect_unprepared(move |_| feed.take_back(&source));
}

/// Has the reports tell capture times.
fn correct_reports(media: &RTSPMedia, clock: &CaptureClock) {
    let Some(pipeline) = media.element().parent().and_downcast::<gst::Bin>() else {
        return;
    };
    let is_session = |element: &gst::Element| element.factory().is_some_and(|factory| factory.name() == "rtpsession");
    let sessions = pipeline.iterate_recurse().into_iter().flatten().filter(is_session);
    for reports in sessions.filter_map(|session| session.static_pad("send_rtcp_src")) {
        clock.clone().correct(&reports);
    }
}
