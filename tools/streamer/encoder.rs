//! Which encoder runs, and with what settings.

use gst::prelude::*;

use super::{
    options::{Codec, EncoderDevice},
    plan::Encoding,
};
use crate::common::{elements, failure::Failure};

/// Bits for each pixel of each frame: enough for camera pictures at the fast presets that latency asks for.
const H264_BITS_PER_PIXEL: f64 = 0.10;
/// H.265 needs about a third less for the same picture.
const H265_BITS_PER_PIXEL: f64 = 0.07;
/// Small pictures need more bits for each pixel than the rule of thumb gives.
const KBIT_MIN: u32 = 1000;
/// x265enc takes no more.
const KBIT_MAX: u32 = 100_000;
/// Frame rate for the bit rate of a producer that tells none.
const ASSUMED_FPS: f64 = 30.0;
/// x265 takes no side below this.
const H265_SIDE_MIN: i32 = 16;

/// An encoder that is there and opens.
#[derive(Clone, Debug)]
pub struct Choice {
    factory: &'static str,
    codec: Codec,
    hardware: bool,
    note: Option<String>,
}

impl Choice {
    /// Picks the encoder: NVENC first, where the device allows it.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when no allowed encoder is there.
    pub fn pick(encoding: &Encoding) -> Result<Self, Failure> {
        let hardware = match encoding.codec {
            Codec::H264 => "nvh264enc",
            Codec::H265 => "nvh265enc",
        };
        if encoding.device == EncoderDevice::Software {
            return Self::software(encoding.codec, None);
        }
        match (opens(hardware), encoding.device) {
            (Ok(()), _) => Ok(Self { factory: hardware, codec: encoding.codec, hardware: true, note: None }),
            (Err(reason), EncoderDevice::Nvidia) => Err(Failure::Pipeline(format!(
                "--encoder-device nvidia: {reason}; install the NVIDIA driver and GStreamer's nvcodec plugin, or take \
                 --encoder-device auto or software"
            ))),
            (Err(reason), _) => Self::software(encoding.codec, Some(reason)),
        }
    }

    /// The software encoder, after the hardware one let the run down.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it is not there.
    pub fn software(codec: Codec, note: Option<String>) -> Result<Self, Failure> {
        let factory = match codec {
            Codec::H264 => "x264enc",
            Codec::H265 => "x265enc",
        };
        if gst::ElementFactory::find(factory).is_none() {
            return Err(elements::missing(factory));
        }
        Ok(Self { factory, codec, hardware: false, note })
    }

    /// Element name of the encoder.
    pub fn name(&self) -> &'static str {
        self.factory
    }

    /// Whether the encoder is hardware.
    pub fn is_hardware(&self) -> bool {
        self.hardware
    }

    /// One line for the user.
    pub fn sentence(&self) -> String {
        let kind = if self.hardware { "NVENC" } else { "software" };
        match &self.note {
            Some(note) => format!("encoder: {} ({kind}; {note})", self.factory),
            None => format!("encoder: {} ({kind})", self.factory),
        }
    }

    /// Raw format that the encoder is fed with.
    pub fn input_format(&self) -> &'static str {
        if self.hardware { "NV12" } else { "I420" }
    }

    /// Smallest side that the encoder takes.
    pub fn side_min(&self) -> i32 {
        match self.codec {
            Codec::H264 => 2,
            Codec::H265 => H265_SIDE_MIN,
        }
    }

    /// Makes the encoder with low-latency settings.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it cannot be made.
    pub fn make(&self, encoding: &Encoding) -> Result<gst::Element, Failure> {
        let encoder = elements::make(self.factory)?;
        match (self.hardware, self.codec) {
            (true, _) => set_nvenc(&encoder, encoding),
            (false, Codec::H264) => set_x264(&encoder, encoding),
            (false, Codec::H265) => set_x265(&encoder, encoding),
        }
        Ok(encoder)
    }

    /// Bit rate in kbit/s for pictures of these caps.
    pub fn bitrate(&self, caps: &gst::CapsRef) -> Option<u32> {
        let structure = caps.structure(0)?;
        let width = structure.get::<i32>("width").ok()?;
        let height = structure.get::<i32>("height").ok()?;
        let fps = structure
            .get::<gst::Fraction>("framerate")
            .ok()
            .filter(|rate| rate.numer() > 0)
            .map_or(ASSUMED_FPS, |rate| f64::from(rate.numer()) / f64::from(rate.denom()));
        Some(bitrate(self.codec, width, height, fps))
    }
}

fn bitrate(codec: Codec, width: i32, height: i32, fps: f64) -> u32 {
    let per_pixel = match codec {
        Codec::H264 => H264_BITS_PER_PIXEL,
        Codec::H265 => H265_BITS_PER_PIXEL,
    };
    let kbit = f64::from(width) * f64::from(height) * fps * per_pixel / 1000.0;
    (kbit as u32).clamp(KBIT_MIN, KBIT_MAX)
}

/// Whether an encoder is there and its device opens.
fn opens(factory: &str) -> Result<(), String> {
    let Some(encoder) = gst::ElementFactory::find(factory) else {
        return Err(format!("NVENC is not there: no element {factory}"));
    };
    let encoder = encoder.create().build().map_err(|_| format!("NVENC is not there: {factory} cannot be made"))?;
    let opened = encoder.set_state(gst::State::Ready);
    // An element in NULL has let go of its device.
    let _ = encoder.set_state(gst::State::Null);
    opened.map(|_| ()).map_err(|_| format!("NVENC does not open: {factory} finds no usable device"))
}

fn set_x264(encoder: &gst::Element, encoding: &Encoding) {
    encoder.set_property_from_str("tune", "zerolatency");
    encoder.set_property_from_str("speed-preset", "superfast");
    encoder.set_property("key-int-max", encoding.gop);
    encoder.set_property("bframes", encoding.b_frames);
    encoder.set_property("b-adapt", false);
    // Access unit delimiters are of no use in RTP and FLV, which frame the units themselves.
    encoder.set_property("aud", false);
    // A keyframe exactly every --gop frames, and no other.
    encoder.set_property("option-string", "scenecut=0:open-gop=0");
}

fn set_x265(encoder: &gst::Element, encoding: &Encoding) {
    let Encoding { gop, b_frames, .. } = encoding;
    // B-frames need a look ahead of their own number and one; without any there is none.
    let lookahead = if *b_frames == 0 { 0 } else { b_frames + 1 };
    encoder.set_property_from_str("tune", "zerolatency");
    encoder.set_property_from_str("speed-preset", "ultrafast");
    encoder.set_property("key-int-max", *gop as i32);
    encoder.set_property(
        "option-string",
        format!(
            "bframes={b_frames}:b-adapt=0:rc-lookahead={lookahead}:min-keyint={gop}:scenecut=0:open-gop=0:\
             repeat-headers=1"
        ),
    );
}

/// The properties of NVENC elements differ between GStreamer releases and between cards.
fn set_nvenc(encoder: &gst::Element, encoding: &Encoding) {
    for (name, value) in [
        ("preset", "low-latency-hq"),
        ("zerolatency", "true"),
        ("rc-mode", "cbr"),
        ("strict-gop", "true"),
        ("gop-size", encoding.gop.to_string().as_str()),
        ("bframes", encoding.b_frames.to_string().as_str()),
        ("b-frames", encoding.b_frames.to_string().as_str()),
    ] {
        let Some(spec) = encoder.find_property(name) else {
            continue;
        };
        if let Ok(value) = gst::glib::Value::deserialize_with_pspec(value, &spec) {
            encoder.set_property_from_value(name, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bit_rate_follows_picture_size_and_rate() {
        assert_eq!(bitrate(Codec::H264, 1920, 1080, 30.0), 6220);
        assert_eq!(bitrate(Codec::H265, 1920, 1080, 30.0), 4354);
        assert_eq!(bitrate(Codec::H264, 320, 180, 10.0), KBIT_MIN);
        assert_eq!(bitrate(Codec::H264, 16384, 16384, 1000.0), KBIT_MAX);
    }
}
