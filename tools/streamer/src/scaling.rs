//! Pictures of another size than the camera's, for the encoder.

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::elements;

use super::options::Scale;

/// Makes what brings I420 pictures to that size. The shape of pixels stays.
///
/// # Errors
/// [`Failure::Pipeline`] when an element is missing.
pub fn elements(scale: Scale, side_min: i32, threads: u32) -> Result<[gst::Element; 2], Failure> {
    let scaler = elements::make("videoscale")?;
    scaler.set_property("n-threads", threads);
    // What another shape leaves over is black.
    scaler.set_property("add-borders", true);
    let sized = |width, height| {
        gst::Caps::builder("video/x-raw")
            .field("width", width)
            .field("height", height)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build()
    };
    let filter = match scale {
        Scale::Size(width, height) => elements::filter(sized(width, height))?,
        Scale::Factor(factor) => {
            let filter = elements::filter(gst::Caps::new_any())?;
            let (side, to) = (move |side| scaled(side, factor, side_min), filter.downgrade());
            elements::watch_caps(&elements::pad(&scaler, "sink"), move |caps| {
                if let Some(picture) = caps.structure(0)
                    && let (Ok(width), Ok(height)) = (picture.get("width"), picture.get("height"))
                    && let Some(filter) = to.upgrade()
                {
                    filter.set_property("caps", sized(side(width), side(height)));
                }
            });
            filter
        }
    };
    Ok([scaler, filter])
}

/// An even side that the encoder takes.
fn scaled(side: i32, factor: f64, side_min: i32) -> i32 {
    let even = (f64::from(side) * factor / 2.0).round() as i32;
    even.saturating_mul(2).max(side_min)
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn sides_stay_even_and_large_enough() {
        assert_eq!(scaled(1280, 0.5, 2), 640);
        assert_eq!(scaled(641, 0.5, 2), 320);
        assert_eq!(scaled(721, 1.0, 2), 722);
        assert_eq!(scaled(100, 0.01, 16), 16);
    }
}
