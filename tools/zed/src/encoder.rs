//! What is asked of the encoder that makes a file, and the one in software that takes over from hardware that does not work.

use clap::Args;
use cvmmap::Codec;
use tools_cli::{failure::Failure, interrupt, progress::say};
use tools_media::{
    codec,
    encoders::{
        Choice, Device, Needs, Picking, Stored,
        stored::{Preset, Purpose},
    },
};

use super::encode_error::EncodeError;

/// A player can jump to every second.
const KEYFRAME_SECONDS: u64 = 1;

/// What is asked of an encoder, as the programs are told it.
#[derive(Args, Clone, Copy, Debug)]
pub struct Encoding {
    /// Video codec
    #[arg(long, value_parser = codec::flag(), default_value = "h265", help_heading = "Encoder")]
    pub codec: Codec,
    /// What encodes
    #[arg(long, value_enum, default_value_t = Device::Auto, help_heading = "Encoder")]
    pub encoder_device: Device,
    /// Time spent for a smaller file of the same quality
    #[arg(long, value_enum, default_value_t = Preset::Balanced, help_heading = "Encoder")]
    pub preset: Preset,
    /// 0, the best picture, to 51, the smallest file: the constant rate factor of x264 and x265, the quantizer of others
    #[arg(long, value_name = "Q", default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=51),
          help_heading = "Encoder")]
    pub quality: u8,
}

impl Encoding {
    /// Does the work with the encoder to try first; and once more in software, when a hardware one turns out not to work.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when no encoder works, or what else the work fails with.
    pub fn attempt<T>(
        &self,
        program: &str,
        mut work: impl FnMut(&Choice) -> Result<T, EncodeError>,
    ) -> Result<T, Failure> {
        let mut choice = self.pick(self.encoder_device)?;
        loop {
            say(program, &choice.sentence());
            match work(&choice) {
                Ok(done) => return Ok(done),
                Err(EncodeError::Other(failure)) => return Err(failure),
                Err(EncodeError::Encoder(why)) if choice.is_hardware() && self.encoder_device == Device::Auto => {
                    say(program, &format!("{} does not work ({why}); going on in software", choice.name()));
                    choice = self.pick(Device::Software)?;
                }
                Err(EncodeError::Encoder(why)) => {
                    return Err(Failure::Pipeline(format!(
                        "{} does not work: {why}; take another --encoder-device, --codec or --preset",
                        choice.name()
                    )));
                }
            }
        }
    }

    /// The encoder to try first, of those that the device allows.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when there is none, or [`Failure::Interrupted`].
    pub fn pick(&self, device: Device) -> Result<Choice, Failure> {
        let codec = self.codec;
        let picking = Picking::begin(move || Choice::pick(codec, device, Needs::default()));
        loop {
            if let Some(picked) = picking.wait(interrupt::TICK) {
                return picked;
            }
            interrupt::check()?;
        }
    }

    /// How pictures are encoded that are usually `interval` nanoseconds apart.
    pub fn stored(&self, purpose: Purpose, interval: u64) -> Stored {
        let gop = (KEYFRAME_SECONDS * 1_000_000_000 / interval.max(1)).clamp(1, 1000) as u32;
        Stored { gop, quality: self.quality, preset: self.preset, purpose }
    }
}
