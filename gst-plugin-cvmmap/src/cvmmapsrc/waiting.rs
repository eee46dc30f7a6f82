//! Waiting for frames in `create()`.

use std::time::Duration;

use gst_base::prelude::*;

use super::{
    CvmmapSrc,
    category::CAT,
    ingest::{
        Ingest,
        follower::{Captured, Failure},
        turns::Popped,
    },
    negotiation::UNKNOWN_RATE,
    time::cadence::{self, Tick},
};

/// The next frame of the producer.
pub(super) fn next_frame(
    element: &CvmmapSrc,
    ingest: &Ingest,
    timeout: Option<Duration>,
) -> Result<Captured, gst::FlowError> {
    loop {
        match ingest.pop(timeout) {
            Popped::Frame(captured) => return Ok(captured),
            Popped::Flushing => return Err(gst::FlowError::Flushing),
            // GstBaseSrc is not to be told: it would stop the task, and for good if the pause were over by then.
            Popped::Paused => element.wait_playing().map(drop)?,
            Popped::TimedOut => {
                gst::info!(CAT, obj = element, "no frame for {timeout:?}");
                return Err(gst::FlowError::Eos);
            }
            Popped::Failed(Failure::Left) => {
                gst::info!(CAT, obj = element, "the producer has left");
                return Err(gst::FlowError::Eos);
            }
            Popped::Failed(Failure::Picture(why)) => {
                gst::element_error!(element, gst::StreamError::Format, ("{why}"));
                return Err(gst::FlowError::Error);
            }
            Popped::Failed(Failure::Ingest(why)) => {
                gst::element_error!(element, gst::ResourceError::Read, ("{why}"));
                return Err(gst::FlowError::Error);
            }
        }
    }
}

/// The frame rate that a frame and the next one show, which is waited for. None when a pause came in between: the first
/// frame is to be another one.
pub(super) fn frame_rate_from(ingest: &Ingest, first: &Captured) -> Result<Option<gst::Fraction>, gst::FlowError> {
    let tick = |frame: &Captured| Tick { frame_id: frame.sequence, timestamp_ns: frame.timestamp_ns };
    match ingest.peek(Some(cadence::PATIENCE), tick) {
        Popped::Flushing => Err(gst::FlowError::Flushing),
        _ if !ingest.is_current(first) => Ok(None),
        Popped::Frame(second) => Ok(Some(cadence::frame_rate(tick(first), second))),
        // A failure also ends the next wait, and is told there.
        Popped::TimedOut | Popped::Paused | Popped::Failed(_) => Ok(Some(UNKNOWN_RATE)),
    }
}

/// A frame in the form that is agreed on now. None when it was converted to another one before that.
pub(super) fn fit(
    element: &CvmmapSrc,
    ingest: &Ingest,
    captured: Captured,
) -> Result<Option<Captured>, gst::FlowError> {
    captured.fitted(ingest.canvases()).map_err(|error| {
        gst::element_error!(element, gst::StreamError::Format, ("a picture cannot be converted: {error}"));
        gst::FlowError::Error
    })
}
