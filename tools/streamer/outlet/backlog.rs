//! The bounded queue in front of an output. When it overflows, the oldest access units go, and then all up to the next
//! keyframe: what refers to a lost picture would only show smears.

use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;

use super::{Kind, Meter};
use crate::common::{elements, failure::Failure};

/// Longest backlog. An output that is further behind is better served with newer pictures.
const TIME_MAX: gst::ClockTime = gst::ClockTime::SECOND;
/// Largest backlog, against a wild bit rate.
const BYTES_MAX: u32 = 16 << 20;

/// Makes the queue. It offers what comes in to `meter`.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has no queue.
pub fn queue(kind: Kind, meter: &Arc<Meter>) -> Result<gst::Element, Failure> {
    let queue = kind.make("queue")?;
    queue.set_property_from_str("leaky", "downstream");
    queue.set_property("max-size-time", TIME_MAX);
    queue.set_property("max-size-bytes", BYTES_MAX);
    queue.set_property("max-size-buffers", 0u32);

    let meter = Arc::clone(meter);
    elements::pad(&queue, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        meter.offer();
        // From here on the flag tells what this queue lost, and nothing else.
        if let Some(buffer) = info.buffer_mut()
            && buffer.flags().contains(gst::BufferFlags::DISCONT)
        {
            buffer.make_mut().unset_flags(gst::BufferFlags::DISCONT);
        }
        gst::PadProbeReturn::Ok
    });

    let gate = Mutex::new(Gate::default());
    elements::pad(&queue, "src").add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(flags) = info.buffer().map(|buffer| buffer.flags()) else {
            return gst::PadProbeReturn::Ok;
        };
        let verdict = gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pass(flags.contains(gst::BufferFlags::DISCONT), flags.contains(gst::BufferFlags::DELTA_UNIT));
        match verdict {
            Verdict::Send => gst::PadProbeReturn::Ok,
            Verdict::Drop => gst::PadProbeReturn::Drop,
            Verdict::DropAndAsk => {
                ask_for_keyframe(pad);
                gst::PadProbeReturn::Drop
            }
        }
    });
    Ok(queue)
}

fn ask_for_keyframe(pad: &gst::Pad) {
    let Some(queue) = pad.parent_element() else {
        return;
    };
    let request = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
    // Without an answer the encoder's own next keyframe ends the wait.
    let _ = elements::pad(&queue, "sink").push_event(request);
}

/// Holds access units back from a loss to the next keyframe.
#[derive(Default)]
struct Gate {
    waiting: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Send,
    Drop,
    DropAndAsk,
}

impl Gate {
    fn pass(&mut self, after_loss: bool, needs_others: bool) -> Verdict {
        if !needs_others {
            self.waiting = false;
            Verdict::Send
        } else if self.waiting {
            Verdict::Drop
        } else if after_loss {
            self.waiting = true;
            Verdict::DropAndAsk
        } else {
            Verdict::Send
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_loss_the_next_keyframe_is_the_first_to_go() {
        let mut gate = Gate::default();
        assert_eq!(gate.pass(false, false), Verdict::Send);
        assert_eq!(gate.pass(false, true), Verdict::Send);
        assert_eq!(gate.pass(true, true), Verdict::DropAndAsk);
        assert_eq!(gate.pass(false, true), Verdict::Drop);
        assert_eq!(gate.pass(true, true), Verdict::Drop);
        assert_eq!(gate.pass(false, false), Verdict::Send);
        assert_eq!(gate.pass(false, true), Verdict::Send);
        assert_eq!(gate.pass(true, false), Verdict::Send);
    }
}
