//! How to encode.

use std::{num::NonZeroU32, ops::RangeInclusive};

use cvmmap::Codec;
use tools_cli::failure::Failure;
use tools_media::encoders::{Device, Live, live::Profile};

use super::wrong::usage;
use crate::options::{Options, Scale};

/// Most B-frames in a row that x264 and x265 take.
const B_FRAMES_MAX: u32 = 16;
/// Bit rates in kbit/s that every encoder takes.
pub const KBIT: RangeInclusive<u32> = 50..=100_000;
/// Quantizers of H.264 and H.265 with 8 bits, without the lossless one.
const QUANTIZERS: RangeInclusive<u32> = 1..=51;

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// Which encoders may be taken.
    pub device: Device,
    /// What is asked of it.
    pub live: Live,
    /// Size of the encoded picture.
    pub scale: Option<Scale>,
    /// Most frames a second.
    pub max_fps: Option<NonZeroU32>,
    /// How far the bit rate may be lowered for RTMP servers, in kbit/s.
    pub adapt: Option<u32>,
}

/// Checks the flags of the encoder.
pub(super) fn encoding(options: &Options) -> Result<Encoding, Failure> {
    let args = &options.encoding;
    if args.gop == 0 || i32::try_from(args.gop).is_err() {
        return Err(usage(format!("--gop must be 1 to {}", i32::MAX)));
    }
    if args.b_frames > B_FRAMES_MAX || args.b_frames >= args.gop {
        return Err(usage(format!("--b-frames must be {B_FRAMES_MAX} at most and fewer than --gop")));
    }
    check_kbit("--bitrate", args.bitrate).map_err(usage)?;
    if args.quality.is_some_and(|quality| !QUANTIZERS.contains(&quality)) {
        return Err(usage(format!("--quality must be {} to {}", QUANTIZERS.start(), QUANTIZERS.end())));
    }
    if args.profile.is_some() && options.codec == Some(Codec::H265) {
        return Err(usage("--profile is for --codec h264: H.265 of 8 bits has one profile, Main"));
    }
    if args.profile == Some(Profile::ConstrainedBaseline) && args.b_frames > 0 {
        return Err(usage(
            "--profile constrained-baseline has no B-frames; leave --b-frames out, or take main or high",
        ));
    }
    if args.max_fps.is_some_and(|fps| fps.get() > 1000) {
        return Err(usage("--max-fps must be 1 to 1000"));
    }
    check_kbit("--adapt", args.adapt).map_err(usage)?;
    match (args.adapt, args.bitrate) {
        (Some(_), _) if !options.rtmp => return Err(usage("--adapt looks at RTMP servers: add --rtmp and --rtmp-url")),
        (Some(min), Some(kbit)) if min >= kbit => return Err(usage("--adapt must be lower than --bitrate")),
        (Some(_), None) if args.quality.is_some() => {
            return Err(usage("--adapt with --quality needs --bitrate, the highest rate"));
        }
        _ => {}
    }
    Ok(Encoding {
        device: options.encoder_device,
        live: Live {
            gop: args.gop,
            b_frames: args.b_frames,
            kbit: args.bitrate,
            quality: args.quality,
            preset: args.encoder_preset,
            profile: args.profile,
        },
        scale: args.scale,
        max_fps: args.max_fps,
        adapt: args.adapt,
    })
}

/// Whether a bit rate can be asked for, by this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_kbit(name: &str, kbit: Option<u32>) -> Result<(), String> {
    match kbit {
        Some(kbit) if !KBIT.contains(&kbit) => {
            Err(format!("{name} {kbit}: must be {} to {} kbit/s", KBIT.start(), KBIT.end()))
        }
        _ => Ok(()),
    }
}
