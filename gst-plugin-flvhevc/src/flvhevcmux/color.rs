//! Color and light as caps tell them, which parsers take from VUI and SEI.

use crate::flv::color::{ColorConfig, ColorInfo, ContentLight, MasteringDisplay};

/// SMPTE ST 2086 as H.265 carries it (D.3.28): chromaticities in steps of 0.00002, luminances in steps of 0.0001 cd/m2.
const CHROMATICITY_STEPS: f64 = 50_000.0;
const LUMINANCE_STEPS: f64 = 10_000.0;

/// Color of pictures with high dynamic range; of all others there is nothing to tell.
pub fn color_info(caps: &gst::CapsRef) -> Option<ColorInfo> {
    let structure = caps.structure(0)?;
    let colorimetry = structure.get::<&str>("colorimetry").ok();
    let colorimetry = colorimetry.and_then(|text| text.parse::<gst_video::VideoColorimetry>().ok());
    let info = ColorInfo {
        config: colorimetry.map(|colorimetry| ColorConfig {
            bit_depth: structure.get("bit-depth-luma").ok(),
            primaries: colorimetry.primaries().to_iso(),
            transfer: colorimetry.transfer().to_iso(),
            matrix: colorimetry.matrix().to_iso(),
        }),
        light: gst_video::VideoContentLightLevel::from_caps(caps).ok().map(|light| ContentLight {
            max: light.max_content_light_level().into(),
            max_frame_average: light.max_frame_average_light_level().into(),
        }),
        display: gst_video::VideoMasteringDisplayInfo::from_caps(caps).ok().map(mastering_display),
    };
    info.is_hdr().then_some(info)
}

fn mastering_display(display: gst_video::VideoMasteringDisplayInfo) -> MasteringDisplay {
    let point = |at: gst_video::VideoMasteringDisplayInfoCoordinate| {
        (f64::from(at.x) / CHROMATICITY_STEPS, f64::from(at.y) / CHROMATICITY_STEPS)
    };
    let [red, green, blue] = display.display_primaries();
    MasteringDisplay {
        red: point(red),
        green: point(green),
        blue: point(blue),
        white: point(display.white_point()),
        max_luminance: f64::from(display.max_display_mastering_luminance()) / LUMINANCE_STEPS,
        min_luminance: f64::from(display.min_display_mastering_luminance()) / LUMINANCE_STEPS,
    }
}
