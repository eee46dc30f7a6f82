//! Which capture time belongs to which RTP timestamp.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use tools_media::{capture_time, elements};

use crate::outlet::meter::packets;

/// Ticks a second. Source: RFC 6184 section 8.2.1, RFC 7798 section 7.1.
const RATE: i128 = 90_000;
/// From NTP's epoch to that of Unix. Source: RFC 5905, figure 4.
const UNIX_EPOCH_S: u64 = 2_208_988_800;
/// A producer's clock that is this far from ours says nothing of ours: 32-bit timestamps begin anew after 13 hours.
const APART_MAX_NS: i128 = 3_600_000_000_000;
/// First byte of a sender report's type. Source: RFC 3550, 6.4.1.
const SENDER_REPORT: u8 = 200;

/// Learns from what passes a payloader.
#[derive(Clone, Debug, Default)]
pub struct CaptureClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Capture time of the access unit that is being packed, in nanoseconds since the Unix epoch.
    entered: Option<u64>,
    /// RTP timestamp of the last packet, and when its frame was captured.
    last: Option<(u32, u64)>,
}

impl CaptureClock {
    /// Watches `payloader`; `shows` each packet's capture time to its header extension.
    pub fn watch(payloader: &gst::Element, shows: bool) -> Self {
        let clock = Self::default();
        let entering = clock.clone();
        elements::pad(payloader, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(unit) = info.buffer_mut() {
                let captured = capture_time::of(unit);
                entering.lock().entered = captured;
                if let Some(captured) = captured.filter(|_| shows) {
                    tell_extension(unit.make_mut(), captured);
                }
            }
            gst::PadProbeReturn::Ok
        });
        let leaving = clock.clone();
        packets(&elements::pad(payloader, "src"), move |packet| {
            let mut header = [0; 8];
            let mut state = leaving.lock();
            if packet.copy_to_slice(0, &mut header).is_ok()
                && let Some(captured) = state.entered
            {
                let [.., a, b, c, d] = header;
                state.last = Some((u32::from_be_bytes([a, b, c, d]), captured));
            }
        });
        clock
    }

    /// Has the sender reports that leave by `pad` tell capture times: the session knows when packets were sent.
    pub fn correct(self, pad: &gst::Pad) {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(report) = info.buffer_mut()
                && let Some((timestamp, captured)) = self.lock().last
                && let Ok(mut bytes) = report.make_mut().map_writable()
            {
                rewrite(&mut bytes, timestamp, captured);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `rtphdrextntp64` sends this.
fn tell_extension(unit: &mut gst::BufferRef, captured_ns: u64) {
    let ntp = gst::ClockTime::from_nseconds(captured_ns) + gst::ClockTime::from_seconds(UNIX_EPOCH_S);
    let reference = gst::Caps::new_empty_simple("timestamp/x-ntp");
    gst::ReferenceTimestampMeta::add(unit, &reference, ntp, gst::ClockTime::NONE);
}

/// The RTP timestamp of a picture that is captured when the report says it is sent.
fn rewrite(report: &mut [u8], timestamp: u32, captured_ns: u64) {
    let Some(head) = report.first_chunk_mut::<20>().filter(|head| head[1] == SENDER_REPORT) else {
        return;
    };
    let [.., s0, s1, s2, s3, f0, f1, f2, f3, _, _, _, _] = *head;
    let seconds = i128::from(u32::from_be_bytes([s0, s1, s2, s3])) - i128::from(UNIX_EPOCH_S);
    let fraction = i128::from(u32::from_be_bytes([f0, f1, f2, f3]));
    let sent_ns = seconds * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32);
    let since = sent_ns - i128::from(captured_ns);
    if since.abs() < APART_MAX_NS {
        let ticks = since * RATE / 1_000_000_000;
        head[16..].copy_from_slice(&timestamp.wrapping_add(ticks as u32).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sent_s: u32) -> [u8; 28] {
        let mut report = [0; 28];
        report[1] = SENDER_REPORT;
        report[8..12].copy_from_slice(&(sent_s + UNIX_EPOCH_S as u32).to_be_bytes());
        report[12..16].copy_from_slice(&(1u32 << 31).to_be_bytes());
        report
    }

    #[test]
    fn reports_follow_the_capture_clock() {
        let mut sent = report(1000);
        rewrite(&mut sent, u32::MAX - 9, 1_000_400_000_000);
        assert_eq!(sent[16..20], 8990u32.to_be_bytes());
        let mut early = report(1000);
        rewrite(&mut early, 9000, 1_000_600_000_000);
        assert_eq!(early[16..20], 0u32.to_be_bytes());
    }

    #[test]
    fn another_clock_and_other_packets_stay_out_of_it() {
        let mut far = report(10_000);
        rewrite(&mut far, 7, 5);
        assert_eq!(far, report(10_000));
        let mut receiver_report = report(1000);
        receiver_report[1] = 201;
        rewrite(&mut receiver_report, 7, 1_000_400_000_000);
        assert_eq!(receiver_report[16..20], [0; 4]);
        rewrite(&mut [0x80, SENDER_REPORT, 0], 7, 5);
    }
}
