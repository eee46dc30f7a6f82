//! What is not muxed is refused with advice.

use crate::input::{
    AVCC, DELTA, HVCC, KEY, aac_caps, at, avc_caps, hevc_caps, pull_tag, skip_headers, video_harness, watch_bus,
};
use gst::prelude::*;
use gst_check::Harness;

/// The error that caps and one buffer cause on a pad.
fn refusal(pad: &str, caps: gst::Caps) -> String {
    crate::init();
    let mut harness = Harness::with_padnames("flvhevcmux", Some(pad), Some("src"));
    let bus = watch_bus(&harness.element().unwrap());
    harness.set_src_caps(caps);
    // The muxer meets caps together with the first buffer, on its own thread.
    let _ = harness.push(at(KEY, 0));
    let message =
        bus.timed_pop_filtered(crate::pipeline::PATIENCE, &[gst::MessageType::Error]).expect("an error on the bus");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered");
    };
    assert!(error.error().matches(gst::CoreError::Negotiation));
    loop {
        match harness.push(at(DELTA, 40)) {
            Err(error) => break assert_eq!(error, gst::FlowError::NotNegotiated),
            Ok(_) => std::thread::yield_now(),
        }
    }
    format!("{} {}", error.error(), error.debug().unwrap_or_default())
}

fn changed(mut caps: gst::Caps, field: &str, value: &str) -> gst::Caps {
    caps.make_mut().set(field, value);
    caps
}

fn without(mut caps: gst::Caps, field: &str) -> gst::Caps {
    caps.make_mut().structure_mut(0).unwrap().remove_field(field);
    caps
}

#[test]
fn refusals_say_what_to_do() {
    crate::init();
    let hevc = || hevc_caps(&HVCC);
    let mut no_profile = HVCC;
    no_profile[1] = 0;
    for (pad, caps, advice) in [
        ("video", without(hevc(), "codec_data"), "insert h265parse"),
        ("video", changed(hevc(), "stream-format", "byte-stream"), "insert h265parse"),
        ("video", changed(hevc(), "stream-format", "hev1"), "insert h265parse"),
        ("video", changed(hevc(), "alignment", "nal"), "insert h265parse"),
        ("video", hevc_caps(&no_profile), "profile 0"),
        ("video", hevc_caps(&vec![1; 1 << 24]), "does not fit an FLV tag"),
        ("video", hevc_caps(&HVCC[..22]), "at least 23"),
        ("video", hevc_caps(&HVCC[..100]), "ends within"),
        ("video", without(avc_caps(&AVCC), "codec_data"), "insert h264parse"),
        ("video", avc_caps(&AVCC[..30]), "ends within"),
        ("video", avc_caps(&HVCC), "avcC"),
        ("audio", without(aac_caps(), "codec_data"), "insert aacparse"),
        ("audio", changed(aac_caps(), "stream-format", "adts"), "insert aacparse"),
    ] {
        let error = refusal(pad, caps.clone());
        assert!(error.contains(advice), "{caps}: {error}");
    }
}

/// Caps of another kind do not even get in, and links are refused by the templates.
#[test]
fn other_media_is_not_accepted() {
    let harness = video_harness();
    let mux = harness.element().unwrap();
    let pad = mux.static_pad("video").unwrap();
    let accepts = |caps: &gst::Caps| pad.query_accept_caps(caps);
    assert!(accepts(&hevc_caps(&HVCC)));
    assert!(!accepts(&aac_caps()));
    let offered = pad.query_caps(None);
    for other in ["video/x-h265,stream-format=byte-stream", "video/x-h264,stream-format=avc3"] {
        let other: gst::Caps = other.parse().unwrap();
        assert!(!offered.can_intersect(&other));
    }
}

#[test]
fn codec_cannot_change_within_a_stream() {
    let mut harness = video_harness();
    let bus = watch_bus(&harness.element().unwrap());
    harness.push(at(KEY, 0)).unwrap();
    skip_headers(&mut harness, 1);
    pull_tag(&mut harness);
    harness.set_src_caps(avc_caps(&AVCC));
    let _ = harness.push(at(KEY, 40));
    let error = bus.timed_pop_filtered(crate::pipeline::PATIENCE, &[gst::MessageType::Error]).expect("an error");
    assert!(format!("{error:?}").contains("another video codec"));
}

#[test]
fn segment_in_bytes_is_taken_as_time() {
    crate::init();
    // appsrc sends such a segment unless told otherwise.
    let mut harness = Harness::with_padnames("flvhevcmux", Some("video"), Some("src"));
    harness.push_event(gst::event::StreamStart::new("test"));
    harness.push_event(gst::event::Caps::new(&hevc_caps(&HVCC)));
    let bytes = gst::FormattedSegment::<gst::format::Bytes>::new();
    harness.push_event(gst::event::Segment::new(&bytes));
    harness.push(at(KEY, 500)).unwrap();
    harness.push(at(DELTA, 540)).unwrap();
    skip_headers(&mut harness, 1);
    assert_eq!(pull_tag(&mut harness).timestamp, 0);
    assert_eq!(pull_tag(&mut harness).timestamp, 40);
}
