//! How video is packaged in FLV.

use std::fmt;

use clap::ValueEnum;

/// How the publisher is to package its video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// H.264 as codec id 7
    H264,
    /// H.265 as FourCC hvc1 (Enhanced RTMP)
    H265Enhanced,
    /// H.265 as codec id 12 (Chinese CDNs)
    H265Domestic,
}

impl Mode {
    /// The codec id nibble of legacy headers.
    pub fn codec_id(self) -> u8 {
        match self {
            Self::H264 => 7,
            Self::H265Enhanced | Self::H265Domestic => 12,
        }
    }

    /// `videocodecid` in `onMetaData`: the codec id, or the FourCC as a big-endian number.
    pub fn metadata_codec(self) -> f64 {
        match self {
            Self::H264 | Self::H265Domestic => f64::from(self.codec_id()),
            Self::H265Enhanced => f64::from(u32::from_be_bytes(*b"hvc1")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::H264 => "h264",
            Self::H265Enhanced => "h265-enhanced",
            Self::H265Domestic => "h265-domestic",
        })
    }
}
