//! What the element and downstream agree on.

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInfo;

use super::{
    CvmmapSrc,
    category::CAT,
    planes::{
        media::Media,
        planar::{Conversion, PLANAR_FORMATS, default_colours},
    },
};
use crate::picture::Picture;

/// A frame rate that is not known.
pub(super) const UNKNOWN_RATE: gst::Fraction = gst::Fraction::new_raw(0, 1);

/// Has downstream agree to what a frame holds, in its own form or, when pictures may be converted, in a planar one; the form
/// of pictures. An error is told on the bus, unless the pad is being shut down.
pub(super) fn negotiate(
    element: &CvmmapSrc,
    media: &Media,
    frame_rate: Option<gst::Fraction>,
    may_convert: bool,
) -> Result<Option<VideoInfo>, gst::LoggableError> {
    let pad = element.src_pad();
    let agreed = agreed_caps(pad, media, frame_rate, may_convert).and_then(|caps| {
        gst::info!(CAT, obj = element, "the stream is {caps}");
        element.set_caps(&caps).map_err(|_| format!("downstream refuses {caps}"))?;
        Ok(VideoInfo::from_caps(&caps).ok().filter(|_| matches!(media, Media::Raw(_))))
    });
    agreed.map_err(|why| {
        // A pad that is being shut down refuses everything.
        if !pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
            gst::element_error!(element, gst::CoreError::Negotiation, ("{why}"));
        }
        gst::loggable_error!(CAT, "{why}")
    })
}

/// The first caps of those offered that the peer of a pad takes, at the frame rate or the nearest one that it takes.
fn agreed_caps(
    pad: &gst::Pad,
    media: &Media,
    frame_rate: Option<gst::Fraction>,
    may_convert: bool,
) -> Result<gst::Caps, String> {
    let offered = media.offered_caps(may_convert)?;
    let taken = offered.intersect_with_mode(&pad.peer_query_caps(Some(&offered)), gst::CapsIntersectMode::First);
    for structure in taken.iter() {
        let mut caps = gst::Caps::from(structure.to_owned());
        let fields = caps.make_mut().structure_mut(0).ok_or("no caps")?;
        let known = frame_rate.filter(|rate| rate.numer() > 0);
        if fields.has_field("framerate") {
            fields.fixate_field_nearest_fraction("framerate", known.unwrap_or(UNKNOWN_RATE));
        } else if let Some(frame_rate) = known.or(matches!(media, Media::Raw(_)).then_some(UNKNOWN_RATE)) {
            fields.set("framerate", frame_rate);
        }
        caps.fixate();
        match media {
            Media::Raw(picture) if is_planar(&caps) => {
                if let Some(caps) = with_colours(caps, picture)? {
                    return Ok(caps);
                }
            }
            _ => return Ok(caps),
        }
    }
    Err(format!("downstream takes no {offered}"))
}

fn is_planar(caps: &gst::Caps) -> bool {
    VideoInfo::from_caps(caps).is_ok_and(|info| PLANAR_FORMATS.contains(&info.format()))
}

/// Caps of a planar picture with the colours that downstream asks for, else the usual ones. None when such cannot be made.
fn with_colours(mut caps: gst::Caps, picture: &Picture) -> Result<Option<gst::Caps>, String> {
    let fields = caps.make_mut().structure_mut(0).ok_or("no caps")?;
    if !fields.has_field("colorimetry") {
        fields.set("colorimetry", default_colours(picture)?.to_string());
    }
    let info = VideoInfo::from_caps(&caps).ok();
    Ok(info.and_then(|info| Conversion::new(*picture, &info)).map(|_| caps))
}
