//! From a queued buffer to the tags that leave.

use super::{
    buffers::{clock_time, decode_time, header_buffer, tag_buffer},
    caps,
    imp::{CAT, FlvHevcMux, State},
    sinks::{Kind, Queued},
};
use crate::flv::{
    headers::Headers,
    session::{Dropped, Frame},
};
use gst::subclass::prelude::*;
use gst_base::prelude::*;

/// A tag that is ready to go, behind the headers that it needs.
pub struct Tag {
    headers: Option<Headers>,
    buffer: gst::Buffer,
    dts: gst::ClockTime,
}

impl FlvHevcMux {
    /// Has the session decide about a frame, and makes its tag.
    pub(super) fn make_tag(&self, queued: &Queued) -> Result<Tag, Dropped> {
        let declared = self.sinks.lock().unwrap().declared();
        let payload = &queued.buffer;
        let data = payload.map_readable();
        let mut state = self.state.lock().unwrap();
        let result = match (&data, queued.kind) {
            (Err(_), Kind::Audio) => Err(Dropped::Unreadable),
            (Err(_), Kind::Video) => {
                state.session.interrupt_video();
                Err(Dropped::Unreadable)
            }
            (Ok(data), Kind::Audio) => state.session.audio_frame(data.len(), queued.times, declared),
            (Ok(data), Kind::Video) => {
                let delta_unit = payload.flags().contains(gst::BufferFlags::DELTA_UNIT);
                state.session.video_frame(data, delta_unit, queued.times, declared)
            }
        };
        let ask_for_keyframe = state.session.take_keyframe_request();
        let result = result.and_then(|frame| {
            let data = data.as_deref().map_err(|_| Dropped::Unreadable)?;
            let mut buffer = tag_buffer(&frame, payload, data).map_err(|_| Dropped::Unreadable)?;
            let dts = state.stamp(buffer.make_mut(), queued, &frame);
            Ok(Tag { headers: frame.headers, buffer, dts })
        });
        let untimed = result.is_ok() && queued.times.pts.is_none();
        let warn_untimed = untimed && !std::mem::replace(&mut state.warned_untimed, true);
        drop(state);
        if ask_for_keyframe {
            self.ask_for_keyframe();
        }
        if warn_untimed {
            self.warn_untimed(queued.kind);
        }
        result
    }

    fn ask_for_keyframe(&self) {
        let pad = self.sinks.lock().unwrap().pad(Kind::Video).clone();
        if let Some(pad) = pad {
            gst::info!(CAT, obj = pad, "asking upstream for a keyframe");
            pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
        }
    }

    pub(super) fn push(&self, tag: Tag) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(headers) = tag.headers {
            self.push_headers(headers, tag.dts)?;
        }
        self.obj().set_position(tag.dts);
        self.obj().finish_buffer(tag.buffer)
    }

    fn push_headers(&self, headers: Headers, dts: gst::ClockTime) -> Result<(), gst::FlowError> {
        gst::info!(CAT, imp = self, "writing {} headers", headers.in_band.len());
        {
            let stats = &mut self.state.lock().unwrap().stats;
            stats.header_changes += u64::from(!headers.first);
            // The file header is no tag.
            stats.tags += headers.in_band.len() as u64 - u64::from(headers.first);
            stats.bytes += headers.in_band.iter().map(|header| header.len() as u64).sum::<u64>();
        }
        self.obj().set_src_caps(&caps::stream_caps(headers.stream.into_iter().map(header_buffer)));
        for header in headers.in_band {
            let mut buffer = header_buffer(header);
            let header = buffer.make_mut();
            header.set_dts(dts);
            header.set_pts(dts);
            self.obj().finish_buffer(buffer)?;
        }
        Ok(())
    }
}

impl State {
    /// Gives a tag its times and flags, and counts it; returns its decode time, which never goes back either.
    fn stamp(&mut self, tag: &mut gst::BufferRef, queued: &Queued, frame: &Frame) -> gst::ClockTime {
        let lost = queued.kind == Kind::Video && std::mem::take(&mut self.lost_video);
        if lost || queued.buffer.flags().contains(gst::BufferFlags::DISCONT) {
            tag.set_flags(gst::BufferFlags::DISCONT);
        }
        let dts = decode_time(queued.times).map_or(self.last_dts, clock_time).max(self.last_dts);
        self.last_dts = dts;
        tag.set_dts(dts);
        tag.set_pts(queued.times.pts.map_or(dts, clock_time));
        self.stats.timestamps_raised += u64::from(frame.raised);
        self.stats.tags += 1;
        self.stats.bytes += tag.size() as u64;
        dts
    }
}
