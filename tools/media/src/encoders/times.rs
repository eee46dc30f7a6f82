//! Times of access units for encoders that count pictures to tell them: each gets its picture's own time again, which goes
//! through the encoder with it. Cameras pause, and frames are left out.

use std::sync::LazyLock;

use gst::prelude::*;

use crate::elements;

/// Caps of the reference timestamp that holds a picture's running time.
static PICTURE: LazyLock<gst::Caps> = LazyLock::new(|| gst::Caps::new_empty_simple("timestamp/x-cvmmap-picture"));

/// Has an encoder's access units keep their pictures' times. It has to give them in the order of its pictures.
pub(super) fn keep(encoder: &gst::Element) {
    elements::pad(encoder, "sink").add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        if let (Some(picture), Some(segment)) = (info.buffer_mut(), segment(pad))
            && let Some(time) = segment.to_running_time(picture.pts())
        {
            let duration = picture.duration();
            gst::ReferenceTimestampMeta::add(picture.make_mut(), &PICTURE, time, duration);
        }
        gst::PadProbeReturn::Ok
    });
    elements::pad(encoder, "src").add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        if let (Some(unit), Some(segment)) = (info.buffer_mut(), segment(pad))
            && let Some((time, duration)) = of(unit)
            && let Some(position) = segment.position_from_running_time(time)
        {
            let unit = unit.make_mut();
            unit.set_pts(position);
            unit.set_dts(position);
            unit.set_duration(duration);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The running time and the duration of the picture in an access unit.
fn of(unit: &gst::BufferRef) -> Option<(gst::ClockTime, Option<gst::ClockTime>)> {
    let mut times = unit.iter_meta::<gst::ReferenceTimestampMeta>();
    let meta = times.find(|meta| meta.reference() == PICTURE.as_ref())?;
    Some((meta.timestamp(), meta.duration()))
}

fn segment(pad: &gst::Pad) -> Option<gst::FormattedSegment<gst::ClockTime>> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>().cloned()
}
