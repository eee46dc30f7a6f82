//! The encoder's flags.

use std::{num::NonZeroU32, str::FromStr};

use clap::Args;
use tools_media::encoders::live::{Preset, Profile};

/// What is asked of the encoder.
#[derive(Clone, Debug, Args)]
pub struct EncodingArgs {
    /// Frames from one keyframe to the next
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Codec")]
    pub gop: u32,
    /// B-frames between two reference frames; 0 has the lowest latency
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Codec")]
    pub b_frames: u32,
    /// Bit rate in kbit/s, 50 to 100000; with --quality the highest [default: by the picture's size and rate]
    #[arg(long, value_name = "KBIT", help_heading = "Codec")]
    pub bitrate: Option<u32>,
    /// Constant quality as a quantizer, from 1 (best) to 51; without --bitrate, whatever rate that takes
    #[arg(long, value_name = "N", help_heading = "Codec")]
    pub quality: Option<u32>,
    /// How much time the encoder takes for a picture [default: what has the lowest latency]
    #[arg(long, value_enum, value_name = "PRESET", help_heading = "Codec")]
    pub encoder_preset: Option<Preset>,
    /// Profile of H.264, for receivers that know no other [default: the encoder's choice]
    #[arg(long, value_enum, help_heading = "Codec")]
    pub profile: Option<Profile>,
    /// Size of the picture that is encoded: WIDTHxHEIGHT, with black borders where the shape differs, or a factor of 1 at most
    #[arg(long, value_name = "WxH|FACTOR", help_heading = "Codec")]
    pub scale: Option<Scale>,
    /// Encode so many frames a second at most; those between are left out
    #[arg(long, value_name = "N", help_heading = "Codec")]
    pub max_fps: Option<NonZeroU32>,
    /// Lower the bit rate, to this many kbit/s at most, while an RTMP server does not keep up
    #[arg(long, value_name = "MIN", help_heading = "Codec")]
    pub adapt: Option<u32>,
}

/// `--scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// This width and height.
    Size(i32, i32),
    /// So much of both sides.
    Factor(f64),
}

/// Sides that every encoder takes.
const SIDES: std::ops::RangeInclusive<i32> = 16..=8192;

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((width, height)) = text.split_once(['x', 'X']) {
            let side = |side: &str| {
                let side = side.parse::<i32>().ok().filter(|side| SIDES.contains(side) && side % 2 == 0);
                side.ok_or_else(|| format!("sides are even numbers of {} to {}", SIDES.start(), SIDES.end()))
            };
            return Ok(Self::Size(side(width)?, side(height)?));
        }
        let factor = text.parse::<f64>().ok().filter(|factor| (0.01..=1.0).contains(factor));
        factor.map(Self::Factor).ok_or_else(|| "neither WIDTHxHEIGHT nor a factor of 0.01 to 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_factors_are_understood_and_nothing_else() {
        assert_eq!("640x360".parse(), Ok(Scale::Size(640, 360)));
        assert_eq!("0.5".parse(), Ok(Scale::Factor(0.5)));
        assert_eq!("1".parse(), Ok(Scale::Factor(1.0)));
        for wrong in ["", "x", "640x", "641x360", "0x0", "-2x2", "8194x16", "0", "1.5", "nan", "inf", "half"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }
}
