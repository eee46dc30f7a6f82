//! What the element and downstream agree on.

use gst::prelude::*;
use gst_base::prelude::*;

use super::{CvmmapSrc, category::CAT, planes::media::Media};

/// A frame rate that is not known.
pub(super) const UNKNOWN_RATE: gst::Fraction = gst::Fraction::new_raw(0, 1);

/// Caps of what a frame holds at its frame rate, or at the nearest one that the peer of a pad takes.
fn agreed_caps(pad: &gst::Pad, media: &Media, frame_rate: Option<gst::Fraction>) -> Result<gst::Caps, String> {
    let caps = media.caps()?;
    let mut taken = pad.peer_query_caps(Some(&caps)).intersect(&caps);
    if taken.is_empty() {
        return Err(format!("downstream takes no {caps}"));
    }
    taken.truncate();
    let structure = taken.make_mut().structure_mut(0).ok_or("no caps")?;
    let known = frame_rate.filter(|rate| rate.numer() > 0);
    if structure.has_field("framerate") {
        structure.fixate_field_nearest_fraction("framerate", known.unwrap_or(UNKNOWN_RATE));
    } else if let Some(frame_rate) = known.or(matches!(media, Media::Raw(_)).then_some(UNKNOWN_RATE)) {
        structure.set("framerate", frame_rate);
    }
    taken.fixate();
    Ok(taken)
}

/// Has downstream agree to what a frame holds. An error is told on the bus, unless the pad is being shut down.
pub(super) fn negotiate(
    element: &CvmmapSrc,
    media: &Media,
    frame_rate: Option<gst::Fraction>,
) -> Result<(), gst::LoggableError> {
    let pad = element.src_pad();
    let agreed = agreed_caps(pad, media, frame_rate).and_then(|caps| {
        gst::info!(CAT, obj = element, "the stream is {caps}");
        element.set_caps(&caps).map_err(|_| format!("downstream refuses {caps}"))
    });
    agreed.map_err(|why| {
        // A pad that is being shut down refuses everything.
        if !pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
            gst::element_error!(element, gst::CoreError::Negotiation, ("{why}"));
        }
        gst::loggable_error!(CAT, "{why}")
    })
}
