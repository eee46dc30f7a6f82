//! The pictures that are measured.

use std::fmt;

use clap::{Args, ValueEnum};
use cvmmap::PixelFormat;

use crate::clip::Size;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Bgr,
    Bgra,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Picture {
    #[arg(long)]
    pub format: Format,
    #[arg(long)]
    pub width: u32,
    #[arg(long)]
    pub height: u32,
    /// Frames per second; 0 is as fast as it goes
    #[arg(long)]
    pub fps: u32,
}

/// Nothing to copy.
pub const TINY: Picture = Picture { format: Format::Bgr, width: 16, height: 16, fps: 60 };
pub const VGA: Picture = Picture { format: Format::Bgr, width: 640, height: 360, fps: 60 };
pub const HD: Picture = Picture { format: Format::Bgr, width: 1280, height: 720, fps: 60 };
pub const FULL_HD: Picture = Picture { format: Format::Bgr, width: 1920, height: 1080, fps: 60 };
pub const ZED: Picture = Picture { format: Format::Bgra, width: 1920, height: 1200, fps: 60 };
pub const UHD: Picture = Picture { format: Format::Bgra, width: 3840, height: 2160, fps: 30 };

pub const ALL: [Picture; 5] = [VGA, HD, FULL_HD, ZED, UHD];

impl Picture {
    pub fn at(self, fps: u32) -> Self {
        Self { fps, ..self }
    }

    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    pub fn pixel_format(&self) -> PixelFormat {
        match self.format {
            Format::Bgr => PixelFormat::Bgr,
            Format::Bgra => PixelFormat::Bgra,
        }
    }

    pub fn stride(&self) -> u32 {
        self.width * u32::from(self.pixel_format().channels())
    }

    pub fn bytes(&self) -> usize {
        (self.stride() * self.height) as usize
    }

    /// The caps as a pipeline description takes them.
    pub fn caps(&self) -> String {
        let Self { format, width, height, fps } = self;
        let format = format!("{format:?}").to_uppercase();
        format!("video/x-raw,format={format},width={width},height={height},framerate={fps}/1")
    }

    /// The command line of a role that takes a picture.
    pub fn args(&self) -> Vec<String> {
        let format = format!("{:?}", self.format).to_lowercase();
        vec![
            format!("--format={format}"),
            format!("--width={}", self.width),
            format!("--height={}", self.height),
            format!("--fps={}", self.fps),
        ]
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, width, height, fps } = self;
        let format = format!("{format:?}").to_uppercase();
        write!(f, "{width}x{height} {format}")?;
        if *fps == 0 { write!(f, " unthrottled") } else { write!(f, " at {fps}") }
    }
}
