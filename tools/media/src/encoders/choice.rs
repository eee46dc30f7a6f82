//! Which encoder runs, and why that one.

use std::time::Duration;

use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::{aside::OPEN_MAX, failure::Failure};

use super::{
    candidate::{Candidate, Kind, ProfileBy, Settings},
    device::{Device, SOFTWARE},
    live::{Live, Needs},
    probe::{self, Obstacle},
    rate::Rate,
    stored::{Purpose, Stored},
    table::CANDIDATES,
    times,
};
use crate::{elements, x265};

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
    pub fn pick(codec: Codec, device: Device, needs: Needs) -> Result<Self, Failure> {
        Self::first(codec, device, needs).map_err(|passed_over| Failure::Pipeline(device.in_vain(&passed_over)))
    }

    /// A software encoder, after the hardware one let the run down; `why` says how.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when there is none.
    pub fn software(codec: Codec, needs: Needs, why: &str) -> Result<Self, Failure> {
        let found = Self::first(codec, Device::Software, needs)
            .map_err(|passed_over| Failure::Pipeline(format!("{why}; {passed_over}; {SOFTWARE}")))?;
        Ok(Self { note: Some(why.to_owned()), ..found })
    }

    /// The first that works, or why none does.
    fn first(codec: Codec, device: Device, needs: Needs) -> Result<Self, String> {
        let mut passed_over = Vec::new();
        let allowed = |candidate: &&Candidate| candidate.codec == codec && device.allows(candidate.kind);
        for candidate in CANDIDATES.iter().filter(allowed) {
            let obstacle = match probe::look_at(candidate, needs) {
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

    /// Which one it is, and why not another one, for the user.
    pub fn sentence(&self) -> String {
        let kind = self.candidate.kind.name();
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

    /// Makes the encoder with low-latency settings, between what brings I420 pictures to its input and what keeps to its
    /// profile; and its bit rate.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it cannot be made.
    pub fn live(&self, asked: &Live) -> Result<(Made, Rate), Failure> {
        let mut made = self.make((self.candidate.live)(asked))?;
        let rate = Rate::new(&made.encoder, self.candidate, asked);
        if self.candidate.counts_time && asked.b_frames == 0 {
            times::keep(&made.encoder);
        }
        if self.candidate.factory == "x265enc" {
            x265::keep_last_headers(&made.encoder);
        }
        let profile = asked.profile.filter(|_| self.candidate.profile == ProfileBy::Caps);
        made.after = profile.map(|profile| elements::filter(probe::profile_caps(profile))).transpose()?;
        Ok((made, rate))
    }

    /// Makes the encoder with settings of a constant quality, behind what brings pictures to its input.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it cannot be made.
    pub fn stored(&self, asked: &Stored) -> Result<Made, Failure> {
        let made = self.make((self.candidate.stored)(asked))?;
        if self.candidate.counts_time {
            times::keep(&made.encoder);
        }
        if self.candidate.factory == "x265enc" && asked.purpose == Purpose::Messages {
            x265::keep_last_headers(&made.encoder);
        }
        Ok(made)
    }

    fn make(&self, settings: Settings) -> Result<Made, Failure> {
        let Candidate { format, upload, .. } = self.candidate;
        let raw = || gst::Caps::builder("video/x-raw").field("format", *format);
        let mut before = vec![elements::make("videoconvert")?, elements::filter(raw().build())?];
        if let Some(upload) = upload {
            before.push(elements::make(upload.element)?);
            before.push(elements::filter(raw().features([upload.memory]).build())?);
        }
        let encoder = elements::make(self.candidate.factory)?;
        for (name, value) in settings {
            set(&encoder, name, &value);
        }
        Ok(Made { before, encoder, after: None })
    }
}

/// An encoder and what stands around it.
#[derive(Debug)]
pub struct Made {
    /// What brings pictures to it.
    pub before: Vec<gst::Element>,
    /// The encoder.
    pub encoder: gst::Element,
    /// What has it keep to a profile.
    pub after: Option<gst::Element>,
}

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
