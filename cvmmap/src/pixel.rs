//! How one picture element is stored. Source: cv-mmap IPC contract, section 2, "Enumerations".

use std::fmt;

/// Channel order of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb = 0,
    /// Blue, green, red.
    Bgr = 1,
    /// Red, green, blue, alpha.
    Rgba = 2,
    /// Blue, green, red, alpha.
    Bgra = 3,
    /// One channel.
    Gray = 4,
    /// Y, U, V packed 4:4:4.
    Yuv = 5,
    /// Y0 U Y1 V packed 4:2:2: two bytes a pixel.
    Yuyv = 6,
}

impl PixelFormat {
    /// The format of a wire value.
    pub fn from_wire(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Rgb,
            1 => Self::Bgr,
            2 => Self::Rgba,
            3 => Self::Bgra,
            4 => Self::Gray,
            5 => Self::Yuv,
            6 => Self::Yuyv,
            _ => return None,
        })
    }

    /// Samples a pixel (2 for YUYV, whose chroma two pixels share).
    pub fn channels(self) -> u8 {
        match self {
            Self::Rgb | Self::Bgr | Self::Yuv => 3,
            Self::Rgba | Self::Bgra => 4,
            Self::Gray => 1,
            Self::Yuyv => 2,
        }
    }
}

/// Upper-case name, as the contract writes it.
impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Rgba => "RGBA",
            Self::Bgra => "BGRA",
            Self::Gray => "GRAY",
            Self::Yuv => "YUV",
            Self::Yuyv => "YUYV",
        })
    }
}

/// Type of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Depth {
    /// Unsigned 8 bits.
    U8 = 0,
    /// Signed 8 bits.
    S8 = 1,
    /// Unsigned 16 bits.
    U16 = 2,
    /// Signed 16 bits.
    S16 = 3,
    /// Signed 32 bits.
    S32 = 4,
    /// 32-bit float.
    F32 = 5,
    /// 64-bit float.
    F64 = 6,
    /// 16-bit float.
    F16 = 7,
}

impl Depth {
    /// The depth of a wire value.
    pub fn from_wire(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::U8,
            1 => Self::S8,
            2 => Self::U16,
            3 => Self::S16,
            4 => Self::S32,
            5 => Self::F32,
            6 => Self::F64,
            7 => Self::F16,
            _ => return None,
        })
    }

    /// Bytes a sample.
    pub fn size(self) -> u8 {
        match self {
            Self::U8 | Self::S8 => 1,
            Self::U16 | Self::S16 | Self::F16 => 2,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Lower-case name, as the contract writes it.
impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::S8 => "s8",
            Self::U16 => "u16",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
        })
    }
}
