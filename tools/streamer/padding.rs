//! Pictures of odd size. Encoders of 4:2:0 take even sides alone: a black line or column is added, none is lost.

use gst::prelude::*;

use super::elements;

/// Sets the borders of `videobox` from the caps that reach `entry`, an element upstream of it, before they are negotiated
/// any further. `side_min` is the encoder's smallest side.
pub fn install(entry: &gst::Element, videobox: &gst::Element, side_min: i32) {
    let videobox = videobox.downgrade();
    elements::pad(entry, "sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(structure) = event.caps().structure(0)
            && let Some(videobox) = videobox.upgrade()
        {
            for (side, border) in [("width", "right"), ("height", "bottom")] {
                if let Ok(length) = structure.get::<i32>(side) {
                    // A negative crop is a border.
                    videobox.set_property(border, length - padded(length, side_min));
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn padded(length: i32, side_min: i32) -> i32 {
    let length = length.max(side_min);
    length.saturating_add(length % 2)
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn sides_become_even_and_large_enough() {
        assert_eq!(padded(640, 2), 640);
        assert_eq!(padded(641, 2), 642);
        assert_eq!(padded(1, 2), 2);
        assert_eq!(padded(15, 16), 16);
        assert_eq!(padded(17, 16), 18);
    }
}
