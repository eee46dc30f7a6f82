//! What `x265enc` has to be kept from.

use gst::prelude::*;

use super::elements;

/// A start code, and the NAL header of a video parameter set. Source: ITU-T H.265, B.1.1 and table 7-1.
const VPS: [u8; 6] = [0, 0, 0, 1, 0x40, 0x01];

/// `x265enc` puts headers of its own before the first picture of an encoder, and with them bytes that are none: what memory
/// held behind them, or what another encoder of the process made, a whole picture included. With `repeat-headers=1`, which
/// has to be set, the picture has all that it needs behind them, and what is before is cut off.
pub fn keep_last_headers(encoder: &gst::Element) {
    elements::pad(encoder, "src").add_probe(gst::PadProbeType::BUFFER, |_, info| {
        let Some(unit) = info.buffer_mut().filter(|unit| !unit.flags().contains(gst::BufferFlags::DELTA_UNIT)) else {
            return gst::PadProbeReturn::Ok;
        };
        let last = unit.map_readable().ok().and_then(|bytes| bytes.windows(VPS.len()).rposition(|at| at == VPS));
        if let Some(last) = last {
            // The place was found in it.
            let _ = unit.make_mut().resize(last..);
        }
        gst::PadProbeReturn::Ok
    });
}
