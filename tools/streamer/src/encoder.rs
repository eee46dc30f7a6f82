//! Which encoder runs, and why that one.

mod candidates;
mod picking;
mod probe;
mod rate;

use std::time::Duration;

use candidates::{CANDIDATES, Candidate, Kind, ProfileBy};
use gst::prelude::*;
use tools_cli::{aside::OPEN_MAX, failure::Failure};
use tools_media::{elements, x265};

use super::{
    options::{Codec, EncoderDevice},
    plan::Encoding,
};
pub use picking::Picking;
use probe::Obstacle;
pub use rate::Rate;

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
            let obstacle = match probe::look_at(candidate, encoding) {
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
    pub fn sentence(&self, encoding: &Encoding) -> String {
        let kind = match self.candidate.kind {
            Kind::Nvenc => "NVENC",
            Kind::Jetson => "Jetson",
            Kind::Vaapi => "VA-API",
            Kind::Software => "software",
        };
        let rate = match (encoding.quality, encoding.kbit) {
            (None, None) => "bit rate by picture size and rate".to_owned(),
            (None, Some(kbit)) => format!("{kbit} kbit/s"),
            (Some(quality), None) => format!("quality {quality}"),
            (Some(quality), Some(kbit)) => format!("quality {quality}, {kbit} kbit/s at most"),
        };
        match &self.note {
            Some(note) => format!("encoder: {} ({kind}; {note}), {rate}", self.name()),
            None => format!("encoder: {} ({kind}), {rate}", self.name()),
        }
    }

    /// Smallest side that the encoder takes.
    pub fn side_min(&self) -> i32 {
        match (self.candidate.codec, self.candidate.factory) {
            (Codec::H265, _) | (_, "openh264enc") => BLOCK,
            (Codec::H264, _) => 2,
        }
    }

    /// Makes the encoder with low-latency settings, between what brings I420 pictures to its input and what keeps to its
    /// profile.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it cannot be made.
    pub fn make(&self, encoding: &Encoding) -> Result<Made, Failure> {
        let Candidate { format, upload, .. } = self.candidate;
        let raw = || gst::Caps::builder("video/x-raw").field("format", *format);
        let mut before = vec![elements::make("videoconvert")?, elements::filter(raw().build())?];
        if let Some(upload) = upload {
            before.push(elements::make(upload.element)?);
            before.push(elements::filter(raw().features([upload.memory]).build())?);
        }
        let encoder = elements::make(self.candidate.factory)?;
        for (name, value) in (self.candidate.settings)(encoding) {
            set(&encoder, name, &value);
        }
        let rate = Rate::new(&encoder, self.candidate, encoding);
        if self.candidate.factory == "x265enc" {
            x265::keep_last_headers(&encoder);
        }
        let profile = encoding.profile.filter(|_| self.candidate.profile == ProfileBy::Caps);
        let after = profile.map(|profile| elements::filter(probe::profile_caps(profile))).transpose()?;
        Ok(Made { before, encoder, after, rate })
    }
}

/// An encoder and what stands around it.
#[derive(Debug)]
pub struct Made {
    /// What brings I420 pictures to it.
    pub before: Vec<gst::Element>,
    /// The encoder.
    pub encoder: gst::Element,
    /// What has it keep to a profile.
    pub after: Option<gst::Element>,
    /// Its bit rate.
    pub rate: Rate,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_passed_over_together_by_what_is_wrong_with_them() {
        let passed_over =
            [("nvh264enc", Obstacle::Closed), ("vah264enc", Obstacle::Absent), ("vah264lpenc", Obstacle::Absent)];
        assert_eq!(told(&passed_over).unwrap(), "does not open: nvh264enc; not installed: vah264enc, vah264lpenc");
        assert_eq!(told(&[]), None);
    }
}
