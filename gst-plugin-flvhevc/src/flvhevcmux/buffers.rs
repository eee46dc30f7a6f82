//! Between GStreamer buffers and plain bytes and times.

use crate::flv::{session::Frame, timeline::Times};
use gst_base::prelude::*;

/// Running time of a buffer, which is negative in front of the pad's segment.
pub fn running_times(pad: &gst_base::AggregatorPad, buffer: &gst::BufferRef) -> Times {
    match pad.segment().downcast::<gst::ClockTime>() {
        Ok(segment) => {
            let pts = running_time(&segment, buffer.pts());
            let dts = if buffer.dts() == buffer.pts() { pts } else { running_time(&segment, buffer.dts()) };
            Times { dts, pts }
        }
        Err(_) => Times::default(),
    }
}

/// A buffer's turn in the stream.
pub fn decode_time(times: Times) -> Option<i64> {
    times.dts.or(times.pts)
}

fn running_time(segment: &gst::FormattedSegment<gst::ClockTime>, time: Option<gst::ClockTime>) -> Option<i64> {
    let limited = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
    Some(match segment.to_running_time_full(time)? {
        gst::Signed::Positive(time) => limited(time),
        gst::Signed::Negative(time) => -limited(time),
    })
}

/// Running time as a buffer carries it: the stream's segment starts at 0.
pub fn clock_time(running_time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(running_time).unwrap_or(0))
}

/// A placeholder for a GAP event rather than something to send.
pub fn is_gap(buffer: &gst::BufferRef) -> bool {
    buffer.size() == 0 && buffer.flags().contains(gst::BufferFlags::GAP)
}

/// Up to here a payload is copied into its tag: that costs less than the two memories that stand around a shared one.
const LARGEST_COPY: usize = 4096;

/// The tag of a frame. A large payload's memory is shared, between own memory for what stands before and behind it: a sink
/// that writes memory by memory (filesink) never copies it; one that maps the whole buffer (rtmp2sink) copies it once, as a
/// contiguous tag would have cost here already.
pub fn tag_buffer(frame: &Frame, payload: &gst::BufferRef, data: &[u8]) -> Result<gst::Buffer, gst::glib::BoolError> {
    let mut tag;
    if data.len() <= LARGEST_COPY {
        tag = gst::Buffer::from_mut_slice([frame.head.as_ref(), data, &frame.trailer].concat());
        payload.copy_into(tag.make_mut(), gst::BufferCopyFlags::META, ..)?;
    } else {
        tag = gst::Buffer::new();
        let buffer = tag.make_mut();
        buffer.append_memory(gst::Memory::from_slice(frame.head));
        payload.copy_into(buffer, gst::BufferCopyFlags::MEMORY | gst::BufferCopyFlags::META, ..)?;
        buffer.append_memory(gst::Memory::from_slice(frame.trailer));
    }
    let buffer = tag.make_mut();
    buffer.set_duration(payload.duration());
    if !frame.random_access {
        buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    Ok(tag)
}

pub fn header_buffer(header: Vec<u8>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(header);
    buffer.make_mut().set_flags(gst::BufferFlags::HEADER);
    buffer
}
