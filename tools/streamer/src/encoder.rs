//! Which encoder runs, and why that one.

mod candidates;
mod picking;
mod probe;

use std::time::Duration;

use candidates::{CANDIDATES, Candidate, Kind};
use gst::prelude::*;
use tools_cli::{aside::OPEN_MAX, failure::Failure};
use tools_media::{elements, x265};

use super::{
    options::{Codec, EncoderDevice},
    plan::Encoding,
};
pub use picking::Picking;
use probe::Obstacle;

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
/// H.265 codes blocks of this size, and x265 takes no side below it; neither does OpenH264.
const BLOCK: i32 = 16;

/// All of them have been tried by then.
pub const PICK_MAX: Duration = OPEN_MAX.saturating_mul(CANDIDATES.len() as u32);

/// An encoder that is there and opens.
#[derive(Clone, Debug)]
pub struct Choice {
    candidate: &'static Candidate,
    /// Why not another one.
    note: Option<String>,
}

impl Choice {
    /// Picks the first encoder that is there and opens, of those that the device allows.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when there is none.
    pub fn pick(codec: Codec, encoding: &Encoding) -> Result<Self, Failure> {
        let allowed = |candidate: &Candidate| match encoding.device {
            EncoderDevice::Auto => true,
            EncoderDevice::Nvidia => candidate.kind == Kind::Nvenc,
            EncoderDevice::Jetson => candidate.kind == Kind::Jetson,
            EncoderDevice::Vaapi => candidate.kind == Kind::Vaapi,
            EncoderDevice::Software => candidate.kind == Kind::Software,
        };
        Self::first(codec, encoding, allowed).map_err(|passed_over| {
            let (flag, remedy) = match encoding.device {
                EncoderDevice::Auto => ("auto", SOFTWARE_REMEDY),
                EncoderDevice::Software => ("software", SOFTWARE_REMEDY),
                EncoderDevice::Nvidia => ("nvidia", "install the NVIDIA driver and GStreamer's nvcodec plugin"),
                EncoderDevice::Jetson => ("jetson", "install NVIDIA's L4T GStreamer plugins (nvidia-l4t-gstreamer)"),
                EncoderDevice::Vaapi => ("vaapi", "install the card's VA-API driver and GStreamer's va plugin"),
            };
            let otherwise = match encoding.device {
                EncoderDevice::Auto | EncoderDevice::Software => "",
                _ => ", or take --encoder-device auto or software",
            };
            Failure::Pipeline(format!("--encoder-device {flag}: {passed_over}; {remedy}{otherwise}"))
        })
    }

    /// A software encoder, after the hardware one let the run down; `why` says how.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when there is none.
    pub fn software(codec: Codec, encoding: &Encoding, why: &str) -> Result<Self, Failure> {
        let software = |candidate: &Candidate| candidate.kind == Kind::Software;
        let found = Self::first(codec, encoding, software)
            .map_err(|passed_over| Failure::Pipeline(format!("{why}; {passed_over}; {SOFTWARE_REMEDY}")))?;
        Ok(Self { note: Some(why.to_owned()), ..found })
    }

    /// The first that works, or why none does.
    fn first(codec: Codec, encoding: &Encoding, allowed: impl Fn(&Candidate) -> bool) -> Result<Self, String> {
        let mut passed_over = Vec::new();
        for candidate in CANDIDATES.iter().filter(|candidate| candidate.codec == codec && allowed(candidate)) {
            let obstacle = match probe::look_at(candidate) {
                Ok(()) if encoding.b_frames > 0 && !candidate.b_frames => Obstacle::NoBFrames,
                Ok(()) => return Ok(Self { candidate, note: told(&passed_over) }),
                Err(obstacle) => obstacle,
            };
            passed_over.push((candidate.factory, obstacle));
        }
        Err(told(&passed_over).unwrap_or_default())
    }

    /// Element name of the encoder.
    pub fn name(&self) -> &'static str {
        self.candidate.factory
    }

    /// Whether the encoder is hardware.
    pub fn is_hardware(&self) -> bool {
        self.candidate.kind != Kind::Software
    }

    /// One line for the user.
    pub fn sentence(&self) -> String {
        let kind = match self.candidate.kind {
            Kind::Nvenc => "NVENC",
            Kind::Jetson => "Jetson",
            Kind::Vaapi => "VA-API",
            Kind::Software => "software",
        };
        match &self.note {
            Some(note) => format!("encoder: {} ({kind}; {note})", self.name()),
            None => format!("encoder: {} ({kind})", self.name()),
        }
    }

    /// Smallest side that the encoder takes.
    pub fn side_min(&self) -> i32 {
        match (self.candidate.codec, self.candidate.factory) {
            (Codec::H265, _) | (_, "openh264enc") => BLOCK,
            (Codec::H264, _) => 2,
        }
    }

    /// Makes the encoder with low-latency settings, behind what brings I420 pictures to its input. It is the last.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it cannot be made.
    pub fn make(&self, encoding: &Encoding) -> Result<Vec<gst::Element>, Failure> {
        let Candidate { format, upload, .. } = self.candidate;
        let raw = || gst::Caps::builder("video/x-raw").field("format", *format);
        let mut chain = vec![elements::make("videoconvert")?, elements::filter(raw().build())?];
        if let Some(upload) = upload {
            chain.push(elements::make(upload.element)?);
            chain.push(elements::filter(raw().features([upload.memory]).build())?);
        }
        let encoder = elements::make(self.candidate.factory)?;
        for (name, value) in (self.candidate.settings)(encoding) {
            set(&encoder, name, &value);
        }
        follow_picture(&encoder, self.candidate);
        if self.candidate.factory == "x265enc" {
            x265::keep_last_headers(&encoder);
        }
        chain.push(encoder);
        Ok(chain)
    }
}

const SOFTWARE_REMEDY: &str =
    "install x264enc (Debian: gstreamer1.0-plugins-ugly) or x265enc (gstreamer1.0-plugins-bad)";

/// Encoders that were passed over, together by what is wrong with them.
fn told(passed_over: &[(&str, Obstacle)]) -> Option<String> {
    let mut groups = Vec::<(&Obstacle, Vec<&str>)>::new();
    for (factory, obstacle) in passed_over {
        match groups.iter_mut().find(|(known, _)| *known == obstacle) {
            Some((_, factories)) => factories.push(factory),
            None => groups.push((obstacle, vec![factory])),
        }
    }
    let groups = groups.iter().map(|(obstacle, factories)| format!("{obstacle}: {}", factories.join(", ")));
    Some(groups.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}

/// Sets a property that elements of one name have in some releases and on some cards only.
fn set(encoder: &gst::Element, name: &str, value: &str) {
    if let Some(spec) = encoder.find_property(name)
        && let Ok(value) = gst::glib::Value::deserialize_with_pspec(value, &spec)
    {
        encoder.set_property_from_value(name, &value);
    }
}

/// Sets the bit rate from the picture's size and rate, each time they change.
fn follow_picture(encoder: &gst::Element, candidate: &'static Candidate) {
    elements::pad(encoder, "sink").add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(kbit) = bitrate_for(candidate.codec, event.caps())
            && let Some(encoder) = pad.parent_element()
        {
            encoder.set_property("bitrate", kbit * candidate.bitrate_per_kbit);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Bit rate in kbit/s for pictures of these caps.
fn bitrate_for(codec: Codec, caps: &gst::CapsRef) -> Option<u32> {
    let structure = caps.structure(0)?;
    let width = structure.get::<i32>("width").ok()?;
    let height = structure.get::<i32>("height").ok()?;
    let fps = structure
        .get::<gst::Fraction>("framerate")
        .ok()
        .filter(|rate| rate.numer() > 0)
        .map_or(ASSUMED_FPS, |rate| f64::from(rate.numer()) / f64::from(rate.denom()));
    Some(bitrate(codec, width, height, fps))
}

fn bitrate(codec: Codec, width: i32, height: i32, fps: f64) -> u32 {
    let per_pixel = match codec {
        Codec::H264 => H264_BITS_PER_PIXEL,
        Codec::H265 => H265_BITS_PER_PIXEL,
    };
    let kbit = f64::from(width) * f64::from(height) * fps * per_pixel / 1000.0;
    (kbit as u32).clamp(KBIT_MIN, KBIT_MAX)
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

    #[test]
    fn encoders_are_passed_over_together_by_what_is_wrong_with_them() {
        let passed_over =
            [("nvh264enc", Obstacle::Closed), ("vah264enc", Obstacle::Absent), ("vah264lpenc", Obstacle::Absent)];
        assert_eq!(told(&passed_over).unwrap(), "does not open: nvh264enc; not installed: vah264enc, vah264lpenc");
        assert_eq!(told(&[]), None);
    }
}
