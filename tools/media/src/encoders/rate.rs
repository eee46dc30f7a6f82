//! The bit rate of an encoder: what is asked for, or what pictures of such a size and rate need.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use cvmmap::Codec;
use gst::prelude::*;

use super::{candidate::Candidate, live::Live};
use crate::elements;

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

/// The bit rate of an encoder.
#[derive(Debug)]
pub struct Rate {
    encoder: gst::Element,
    candidate: &'static Candidate,
    property: &'static str,
    /// In kbit/s; 0 before the first picture of an encoder that follows it, and for a quality without a ceiling.
    kbit: Arc<AtomicU32>,
}

impl Rate {
    /// Sets the bit rate, now or with the first picture.
    pub(super) fn new(encoder: &gst::Element, candidate: &'static Candidate, asked: &Live) -> Self {
        let property = if asked.quality.is_some() { candidate.ceiling } else { "bitrate" };
        let kbit = Arc::new(AtomicU32::new(asked.kbit.unwrap_or(0)));
        let rate = Self { encoder: encoder.clone(), candidate, property, kbit };
        match (asked.kbit, asked.quality) {
            (Some(kbit), _) => rate.apply(kbit),
            (None, Some(_)) => {}
            (None, None) => rate.follow_picture(),
        }
        rate
    }

    /// In kbit/s, as far as it is known.
    pub fn kbit(&self) -> Option<u32> {
        Some(self.kbit.load(Ordering::Relaxed)).filter(|kbit| *kbit > 0)
    }

    /// Changes it while the encoder runs. False when that takes another encoder.
    pub fn change(&self, kbit: u32) -> bool {
        let changes = |spec: gst::glib::ParamSpec| spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        // Without a rate from the start it has no buffer model, or another property, for one.
        let can = self.kbit().is_some()
            && self.candidate.changes_rate
            && self.encoder.find_property(self.property).is_some_and(changes);
        if can {
            self.apply(kbit);
        }
        can
    }

    fn apply(&self, kbit: u32) {
        self.kbit.store(kbit, Ordering::Relaxed);
        set(&self.encoder, self.property, kbit * self.candidate.bitrate_per_kbit);
    }

    /// Sets the bit rate from the picture's size and rate, each time they change.
    fn follow_picture(&self) {
        let (candidate, known, encoder) = (self.candidate, Arc::clone(&self.kbit), self.encoder.downgrade());
        elements::watch_caps(&elements::pad(&self.encoder, "sink"), move |caps| {
            if let (Some(kbit), Some(encoder)) = (bitrate_for(candidate.codec, caps), encoder.upgrade()) {
                known.store(kbit, Ordering::Relaxed);
                set(&encoder, "bitrate", kbit * candidate.bitrate_per_kbit);
            }
        });
    }
}

/// Not every release of an element has each property.
fn set(encoder: &gst::Element, property: &str, value: u32) {
    if encoder.find_property(property).is_some_and(|spec| spec.value_type() == gst::glib::Type::U32) {
        encoder.set_property(property, value);
    }
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
}
