//! What the streaming thread knows of the stream so far, and the place that it gives each frame in it.

use gst::prelude::MulDiv;
use gst_video::VideoInfo;

use super::{
    TimestampMode,
    ingest::{follower::Captured, frame_queue::Session, sequence::Step},
    planes::media::Media,
    time::{
        clocks::Now,
        timeline::{Stamp, Timeline},
    },
};
use crate::picture::CAPTURE_TIME_CAPS;

/// The stream so far.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) media: Option<Media>,
    /// What downstream has agreed to take its pictures as.
    pub(super) agreed: Option<VideoInfo>,
    /// Told by the timestamps of two frames.
    pub(super) learned_frame_rate: Option<gst::Fraction>,
    timeline: Timeline,
    /// Place in the sequence and session of the buffer before.
    last: Option<(u32, Session)>,
    pub(super) pushed: u64,
    /// Frame ids missing between the buffers.
    lost: u64,
}

/// Place of a frame in the stream.
pub(super) struct Place {
    pub(super) stamp: Stamp,
    pub(super) pts: gst::ClockTime,
    /// Whether it is the next one after the buffer before.
    is_next: bool,
    /// Frames that are missing before it, and how long they took.
    pub(super) lost: u64,
    pub(super) missing: Option<gst::ClockTime>,
    /// How long the frame that downstream has and those that may wait take.
    pub(super) room: Option<gst::ClockTime>,
    /// Frames that passed and were lost so far.
    pub(super) so_far: (u64, u64),
}

impl Stream {
    /// Frames per second, as far as it is known.
    pub(super) fn frame_rate(&self) -> Option<gst::Fraction> {
        self.media.and_then(|media| media.told_frame_rate()).or(self.learned_frame_rate)
    }

    /// Takes note of what a frame holds. False when that is the same as before; else nothing follows what came before, even
    /// if the ids happen to go on.
    pub(super) fn begin(&mut self, media: Media) -> bool {
        if self.media.replace(media) == Some(media) {
            return false;
        }
        self.last = None;
        true
    }

    /// Running time starts over, and nothing that comes follows what came before.
    pub(super) fn start_over(&mut self) {
        self.timeline = Timeline::default();
        self.last = None;
    }

    /// The source starts over; see [`Timeline::start_over`].
    pub(super) fn follow_source_over(&mut self) {
        self.timeline.start_over();
    }

    /// Counts a frame in.
    pub(super) fn place(&mut self, frame: &Captured, mode: TimestampMode, now: Now) -> Place {
        let stamp = self.timeline.stamp(mode, frame.timestamp_ns, now);
        // What passed during a pause was not lost.
        let last = self.last.replace((frame.sequence, frame.session));
        let last = last.filter(|(_, session)| *session == frame.session);
        let step = last.map(|(last, _)| Step::between(last, frame.sequence));
        let lost = match step {
            Some(Step::Lost(lost)) => u64::from(lost),
            _ => 0,
        };
        self.pushed += 1;
        self.lost += lost;
        Place {
            stamp,
            pts: gst::ClockTime::from_nseconds(stamp.pts),
            is_next: step == Some(Step::Next),
            lost,
            missing: self.duration_of(lost),
            // Downstream has this one, and the others may wait.
            room: self.duration_of(frame.may_wait + 1),
            so_far: (self.pushed, self.lost),
        }
    }

    /// How long so many frames take, as far as the frame rate is known.
    fn duration_of(&self, frames: u64) -> Option<gst::ClockTime> {
        let rate = self.frame_rate().filter(|rate| rate.numer() > 0)?;
        gst::ClockTime::SECOND.mul_div_floor(frames * rate.denom() as u64, rate.numer() as u64)
    }
}

impl Place {
    /// Writes it on the frame's buffer: times, offsets and flags.
    pub(super) fn mark(&self, buffer: &mut gst::BufferRef, frame_id: u32, timestamp_ns: u64) {
        buffer.set_pts(self.pts);
        buffer.set_dts(gst::ClockTime::NONE);
        buffer.set_duration(gst::ClockTime::NONE);
        buffer.set_offset(frame_id.into());
        buffer.set_offset_end(u64::from(frame_id) + 1);
        if self.is_next {
            buffer.unset_flags(gst::BufferFlags::DISCONT);
        } else {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        }
        if timestamp_ns < u64::MAX {
            let captured_at = gst::ClockTime::from_nseconds(timestamp_ns);
            gst::ReferenceTimestampMeta::add(buffer, &CAPTURE_TIME_CAPS, captured_at, gst::ClockTime::NONE);
        }
    }

    /// The message that tells the application of the frames that are missing.
    pub(super) fn loss_message(&self, source: &gst::Element) -> gst::Message {
        let (pushed, lost) = self.so_far;
        gst::message::Qos::builder(true)
            .src(source)
            .running_time(self.pts)
            .stream_time(self.pts)
            .timestamp(self.pts)
            .duration(self.missing)
            .stats(gst::format::Buffers::from_u64(pushed), gst::format::Buffers::from_u64(lost))
            .build()
    }
}
