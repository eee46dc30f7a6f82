//! What the element says on the bus.

use super::{
    buffers::{clock_time, decode_time},
    imp::{CAT, FlvHevcMux},
    sinks::{Kind, Queued},
};
use crate::flv::session::Dropped;
use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

impl FlvHevcMux {
    /// Makes a lost frame visible: counter, QoS message, and a warning whose number grows slower than the losses'.
    pub(super) fn report_drop(&self, queued: &Queued, dropped: &Dropped) {
        let (count, stats) = {
            let mut state = self.state.lock().unwrap();
            if let Kind::Video(track) = queued.kind {
                state.lost_video.insert(track);
            }
            (state.stats.count_drop(dropped), state.stats)
        };
        let pad = queued.kind;
        gst::debug!(CAT, imp = self, "{pad} pad: dropped: {dropped}");
        if *dropped == Dropped::BeforeKeyframe {
            return;
        }
        let message = gst::message::Qos::builder(self.obj().latency().is_some())
            .src(&*self.obj())
            .running_time(decode_time(queued.times).map(clock_time))
            .timestamp(queued.buffer.pts())
            .duration(queued.buffer.duration())
            .stats(gst::format::Buffers::from_u64(stats.tags), gst::format::Buffers::from_u64(stats.dropped()))
            .build();
        let _ = self.obj().post_message(message);
        if count.is_power_of_two() {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Mux,
                ["{pad} pad: frame dropped, {count} of its kind: {dropped}"]
            );
        }
    }

    pub(super) fn warn_untimed(&self, kind: Kind) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Mux,
            [
                "{kind} pad: buffer without PTS, its timestamp is guessed: insert a parser or let the source stamp its buffers"
            ]
        );
    }

    /// The file cannot be completed.
    pub(super) fn warn_unseekable(&self) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Mux,
            [
                "streamable is false and the sink cannot seek: onMetaData has no duration, size and keyframes; take filesink, or leave streamable true"
            ]
        );
    }

    pub(super) fn report_end(&self) {
        let stats = self.state.lock().unwrap().stats;
        gst::info!(CAT, imp = self, "end of stream: {stats:?}");
        if stats.tags == 0 && stats.dropped() > 0 {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Mux,
                ["nothing was muxed: no sound keyframe came in {} frames", stats.dropped()]
            );
        }
    }
}
