//! Pictures of odd size. Encoders of 4:2:0 take even sides alone: a black line or column is added, none is lost.

use gst::prelude::*;
use tools_media::elements;

/// Sets the borders of `videobox` for the pictures that reach `entry`, an element upstream of it: when their caps come,
/// and already when it is asked whether they may. `side_min` is the encoder's smallest side.
pub fn install(entry: &gst::Element, videobox: &gst::Element, side_min: i32) {
    let videobox = videobox.downgrade();
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::QUERY_DOWNSTREAM | gst::PadProbeType::PUSH;
    elements::pad(entry, "sink").add_probe(mask, move |_, info| {
        let picture = match &info.data {
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(event) => event.caps().structure(0),
                _ => None,
            },
            Some(gst::PadProbeData::Query(query)) => match query.view() {
                gst::QueryView::Caps(query) => query.filter().and_then(|caps| caps.structure(0)),
                _ => None,
            },
            _ => None,
        };
        if let (Some(picture), Some(videobox)) = (picture, videobox.upgrade()) {
            for (side, border) in [("width", "right"), ("height", "bottom")] {
                let Ok(length) = picture.get::<i32>(side) else {
                    continue;
                };
                // A negative crop is a border.
                let crop = length - padded(length, side_min);
                if videobox.property::<i32>(border) != crop {
                    videobox.set_property(border, crop);
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
