//! From a queued buffer to the tags that leave, and the end behind the last of them.

use super::{
    buffers::{clock_time, decode_time, header_buffer, tag_buffer},
    caps,
    imp::{CAT, FlvHevcMux, State},
    sinks::{Kind, Queued},
};
use crate::flv::{
    headers::Headers,
    session::{Dropped, Frame},
    tag::FILE_HEADER_SIZE,
};
use gst::subclass::prelude::*;
use gst_base::prelude::*;

/// A tag that is ready to go, behind the headers that it needs.
pub struct Tag {
    headers: Option<Headers>,
    buffer: gst::Buffer,
    dts: gst::ClockTime,
    /// Presentation time in milliseconds, when reading can start here with a picture.
    keyframe: Option<i64>,
}

impl FlvHevcMux {
    /// Has the session decide about a frame, and makes its tag.
    pub(super) fn make_tag(&self, queued: &Queued) -> Result<Tag, Dropped> {
        let declared = self.sinks.lock().unwrap().declared();
        let options = self.settings.lock().unwrap().options();
        let payload = &queued.buffer;
        let data = payload.map_readable();
        let mut state = self.state.lock().unwrap();
        state.session.options = options;
        let result = match (&data, queued.kind) {
            (Err(_), Kind::Audio) => Err(Dropped::Unreadable),
            (Err(_), Kind::Video(track)) => {
                state.session.interrupt_video(track);
                Err(Dropped::Unreadable)
            }
            (Ok(data), Kind::Audio) => state.session.audio_frame(data.len(), queued.times, declared),
            (Ok(data), Kind::Video(track)) => {
                let delta_unit = payload.flags().contains(gst::BufferFlags::DELTA_UNIT);
                state.session.video_frame(track, data, delta_unit, queued.times, declared)
            }
        };
        let ask_for_keyframe = match queued.kind {
            Kind::Video(track) => state.session.take_keyframe_request(track),
            Kind::Audio => false,
        };
        let result = result.and_then(|frame| {
            let data = data.as_deref().map_err(|_| Dropped::Unreadable)?;
            let mut buffer = tag_buffer(&frame, payload, data).map_err(|_| Dropped::Unreadable)?;
            let dts = state.stamp(buffer.make_mut(), queued, &frame);
            let keyframe = (frame.random_access && queued.kind != Kind::Audio).then_some(frame.presentation);
            Ok(Tag { headers: frame.headers, buffer, dts, keyframe })
        });
        let untimed = result.is_ok() && queued.times.pts.is_none();
        let warn_untimed = untimed && !std::mem::replace(&mut state.warned_untimed, true);
        drop(state);
        if ask_for_keyframe {
            self.ask_for_keyframe(queued.kind);
        }
        if warn_untimed {
            self.warn_untimed(queued.kind);
        }
        result
    }

    fn ask_for_keyframe(&self, kind: Kind) {
        let pad = self.sinks.lock().unwrap().pad(kind).cloned();
        if let Some(pad) = pad {
            gst::info!(CAT, obj = pad, "asking upstream for a keyframe");
            pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
        }
    }

    pub(super) fn push(&self, tag: Tag) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(headers) = tag.headers {
            self.push_headers(headers, tag.dts)?;
        }
        {
            let file = &mut self.state.lock().unwrap().file;
            let position = file.append(tag.buffer.size());
            if let Some(time) = tag.keyframe {
                file.add_keyframe(time, position);
            }
        }
        self.obj().set_position(tag.dts);
        self.obj().finish_buffer(tag.buffer)
    }

    /// Ends the video tracks, and completes a file.
    pub(super) fn push_end(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (ends, dts) = {
            let mut state = self.state.lock().unwrap();
            let ends = state.session.end();
            let size = ends.iter().map(Vec::len).sum::<usize>();
            state.stats.tags += ends.len() as u64;
            state.stats.bytes += size as u64;
            state.file.append(size);
            (ends, state.last_dts)
        };
        for end in ends {
            let mut buffer = gst::Buffer::from_slice(end);
            let end = buffer.make_mut();
            end.set_dts(dts);
            end.set_pts(dts);
            end.set_flags(gst::BufferFlags::DELTA_UNIT);
            self.obj().finish_buffer(buffer)?;
        }
        let state = self.state.lock().unwrap();
        let metadata = state.session.closing_metadata(&state.file).map(|metadata| (metadata, state.file.size()));
        drop(state);
        match metadata {
            Some((metadata, size)) => self.complete_file(metadata, size),
            None => Ok(gst::FlowSuccess::Ok),
        }
    }

    /// Writes `metadata` over the first onMetaData of a file of `size` bytes.
    fn complete_file(&self, metadata: Vec<u8>, size: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        let pad = self.obj().src_pad().clone();
        let mut query = gst::query::Seeking::new(gst::Format::Bytes);
        if !pad.peer_query(&mut query) || !query.result().0 {
            self.warn_unseekable();
            return Ok(gst::FlowSuccess::Ok);
        }
        gst::info!(CAT, imp = self, "writing duration, size and keyframes into the first onMetaData");
        let seek = |position: u64| {
            let mut segment = gst::FormattedSegment::<gst::format::Bytes>::new();
            segment.set_start(gst::format::Bytes::from_u64(position));
            segment.set_time(gst::format::Bytes::from_u64(position));
            pad.push_event(gst::event::Segment::new(&segment))
        };
        if !seek(FILE_HEADER_SIZE as u64) {
            self.warn_unseekable();
            return Ok(gst::FlowSuccess::Ok);
        }
        let written = pad.push(header_buffer(metadata));
        // What comes after a flush goes behind the rest.
        seek(size);
        self.obj().update_segment(&gst::FormattedSegment::<gst::ClockTime>::new());
        written
    }

    fn push_headers(&self, headers: Headers, dts: gst::ClockTime) -> Result<(), gst::FlowError> {
        gst::info!(CAT, imp = self, "writing {} headers", headers.in_band.len());
        {
            let mut state = self.state.lock().unwrap();
            let size = headers.in_band.iter().map(Vec::len).sum::<usize>();
            state.stats.header_changes += u64::from(!headers.first);
            // The file header is no tag.
            state.stats.tags += headers.in_band.len() as u64 - u64::from(headers.first);
            state.stats.bytes += size as u64;
            state.file.append(size);
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
        let lost = matches!(queued.kind, Kind::Video(track) if self.lost_video.remove(&track));
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
        let duration = queued.buffer.duration().map_or(0, |duration| duration.mseconds());
        self.file.extend(frame.presentation.saturating_add_unsigned(duration));
        dts
    }
}
