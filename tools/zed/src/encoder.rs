//! Which encoder makes a file, and how it is set for quality: a constant one, whatever the bit rate.

use clap::{Args, ValueEnum};
use gst::prelude::*;
use tools_cli::{aside::OPEN_MAX, failure::Failure, progress::say};
use tools_media::{elements, x265};

use super::encode_error::EncodeError;

/// A player can jump to every second.
const KEYFRAME_SECONDS: u64 = 1;
/// Pictures that an encoder in software looks ahead for messages. Those of other cameras wait for it.
const LOOKAHEAD: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    #[value(alias = "avc")]
    H264,
    #[value(alias = "hevc")]
    H265,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// NVENC when it is there, else software
    Auto,
    Nvidia,
    Software,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    Fast,
    Balanced,
    Slow,
}

/// What the access units are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file that may hold them in another order than they are shown.
    File,
    /// Messages: each shows its picture as soon as it is there, and a keyframe's has all that decoding begins with.
    Messages,
}

/// What is asked of an encoder, as the programs are told it.
#[derive(Args, Clone, Copy, Debug)]
pub struct Encoding {
    /// Video codec
    #[arg(long, value_enum, default_value_t = Codec::H265, help_heading = "Encoder")]
    pub codec: Codec,
    /// What encodes
    #[arg(long, value_enum, default_value_t = Device::Auto, help_heading = "Encoder")]
    pub encoder_device: Device,
    /// Time spent for a smaller file of the same quality
    #[arg(long, value_enum, default_value_t = Preset::Balanced, help_heading = "Encoder")]
    pub preset: Preset,
    /// 0, the best picture, to 51, the smallest file: the constant rate factor of x264 and x265, the quantizer of NVENC
    #[arg(long, value_name = "Q", default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=51),
          help_heading = "Encoder")]
    pub quality: u8,
}

/// An encoder that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub factory: &'static str,
    pub hardware: bool,
}

impl Encoding {
    /// Does the work with the encoder to try first; and once more in software, when a hardware one turns out not to work.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when no encoder works, or what else the work fails with.
    pub fn attempt<T>(
        &self,
        program: &str,
        mut work: impl FnMut(Choice) -> Result<T, EncodeError>,
    ) -> Result<T, Failure> {
        let mut choice = self.pick()?;
        loop {
            say(program, &format!("encoder: {}", choice.factory));
            match work(choice) {
                Ok(done) => return Ok(done),
                Err(EncodeError::Other(failure)) => return Err(failure),
                Err(EncodeError::Encoder(why)) if choice.hardware && self.encoder_device == Device::Auto => {
                    say(program, &format!("{} does not work ({why}); going on in software", choice.factory));
                    choice = self.software()?;
                }
                Err(EncodeError::Encoder(why)) => {
                    return Err(Failure::Pipeline(format!(
                        "{} does not work: {why}; take another --encoder-device, --codec or --preset",
                        choice.factory
                    )));
                }
            }
        }
    }

    /// The encoder to try first.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when none that is allowed is there.
    pub fn pick(&self) -> Result<Choice, Failure> {
        let factory = match self.codec {
            Codec::H264 => "nvh264enc",
            Codec::H265 => "nvh265enc",
        };
        match self.encoder_device {
            Device::Software => self.software(),
            _ if opens(factory) => Ok(Choice { factory, hardware: true }),
            Device::Auto => self.software(),
            Device::Nvidia => Err(Failure::Pipeline(format!(
                "--encoder-device nvidia: {factory} is not there or finds no device; install the NVIDIA driver and \
                 GStreamer's nvcodec plugin, or take --encoder-device auto or software"
            ))),
        }
    }

    /// The encoder in software.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when it is not there.
    pub fn software(&self) -> Result<Choice, Failure> {
        let factory = match self.codec {
            Codec::H264 => "x264enc",
            Codec::H265 => "x265enc",
        };
        match gst::ElementFactory::find(factory) {
            Some(_) => Ok(Choice { factory, hardware: false }),
            None => Err(elements::missing(factory)),
        }
    }

    /// Makes an encoder for pictures that are usually `interval` nanoseconds apart, and the parser behind it.
    ///
    /// # Errors
    /// [`Failure::Pipeline`] when GStreamer lacks one.
    pub fn make(&self, choice: Choice, purpose: Purpose, interval: u64) -> Result<[gst::Element; 2], Failure> {
        let encoder = elements::make(choice.factory)?;
        let gop = (KEYFRAME_SECONDS * 1_000_000_000 / interval.max(1)).clamp(1, 1000);
        let settings = if choice.hardware { self.nvenc(gop, purpose) } else { self.in_software(gop, purpose) };
        for (name, value) in settings {
            // NVENC's elements differ from release to release.
            if let Some(property) = encoder.find_property(name)
                && let Ok(value) = gst::glib::Value::deserialize_with_pspec(&value, &property)
            {
                encoder.set_property_from_value(name, &value);
            }
        }
        let parser = elements::make(match self.codec {
            Codec::H264 => "h264parse",
            Codec::H265 => "h265parse",
        })?;
        if purpose == Purpose::Messages {
            // Before each keyframe.
            parser.set_property("config-interval", -1);
            if choice.factory == "x265enc" {
                x265::keep_last_headers(&encoder);
            }
        }
        Ok([encoder, parser])
    }

    fn nvenc(&self, gop: u64, purpose: Purpose) -> Vec<(&'static str, String)> {
        // The names of the older elements, and of the newer.
        let (old, new) = match self.preset {
            Preset::Fast => ("hp", "p2"),
            Preset::Balanced => ("default", "p4"),
            Preset::Slow => ("hq", "p7"),
        };
        let quality = self.quality.to_string();
        [
            ("preset", old),
            ("preset", new),
            ("rc-mode", "constqp"),
            ("qp-const", &quality),
            ("qp-i", &quality),
            ("qp-p", &quality),
            ("qp-b", &quality),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into_iter()
        .chain([("gop-size", gop.to_string())])
        .chain(match purpose {
            Purpose::File => vec![],
            // One name of the older elements, one of the newer.
            Purpose::Messages => vec![("bframes", "0".to_owned()), ("b-frames", "0".to_owned())],
        })
        .collect()
    }

    fn in_software(&self, gop: u64, purpose: Purpose) -> Vec<(&'static str, String)> {
        let preset = match self.preset {
            Preset::Fast => "veryfast",
            Preset::Balanced => "fast",
            Preset::Slow => "slow",
        };
        let quality = self.quality;
        let mut settings = vec![("speed-preset", preset.to_owned()), ("key-int-max", gop.to_string())];
        let messages = purpose == Purpose::Messages;
        match self.codec {
            Codec::H264 => {
                settings.extend([("pass", "qual".to_owned()), ("quantizer", quality.to_string())]);
                // The element's bit rate would bound the quality else.
                settings.push(("vbv-buf-capacity", "0".to_owned()));
                if messages {
                    settings.extend([("bframes", "0".to_owned()), ("rc-lookahead", LOOKAHEAD.to_string())]);
                }
            }
            Codec::H265 => {
                let more = if messages {
                    format!(":bframes=0:open-gop=0:rc-lookahead={LOOKAHEAD}:repeat-headers=1")
                } else {
                    String::new()
                };
                settings.push(("option-string", format!("crf={quality}:info=0{more}")));
            }
        }
        settings
    }
}

/// Whether an encoder is there and its device opens.
fn opens(factory: &str) -> bool {
    gst::ElementFactory::find(factory)
        .is_some_and(|factory| elements::try_out(factory).wait(OPEN_MAX) == Some(Ok(true)))
}
