//! Pictures of a real clip in memory, at the size that is measured.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

/// What is there of moving pictures.
pub const CLIP: &str = "media/bigbuckbunny_640x360.mp4";
/// Enough to be moving pictures; they are played over and over.
const PICTURES: usize = 40;

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub fn stride(self) -> u32 {
        self.width * 3
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Packed BGR pictures.
pub struct Clip {
    pub size: Size,
    pictures: Vec<Vec<u8>>,
}

impl Clip {
    pub fn load(path: &str, size: Size) -> Result<Self> {
        gst::init()?;
        let Size { width, height } = size;
        let pipeline = gst::parse::launch(&format!(
            "filesrc location={path} ! decodebin ! videoconvert ! videoscale \
             ! video/x-raw,format=BGR,width={width},height={height} ! appsink name=out sync=false"
        ))?;
        let bin = pipeline.downcast_ref::<gst::Bin>().context("a bin")?;
        let sink = bin.by_name("out").and_downcast::<gst_app::AppSink>().context("an appsink")?;
        pipeline.set_state(gst::State::Playing)?;
        let mut pictures = Vec::new();
        while pictures.len() < PICTURES
            && let Ok(sample) = sink.pull_sample()
        {
            let buffer = sample.buffer().context("a buffer")?;
            pictures.push(buffer.map_readable()?.as_slice().to_vec());
        }
        pipeline.set_state(gst::State::Null)?;
        ensure!(pictures.len() == PICTURES, "{path} has too few pictures");
        Ok(Self { size, pictures })
    }

    /// Keeps the pictures in a file, which [`Clip::open`] reads.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, self.pictures.concat())?)
    }

    pub fn open(path: &Path, size: Size) -> Result<Self> {
        let pictures = fs::read(path)?;
        let bytes = (size.stride() * size.height) as usize;
        ensure!(pictures.len() == PICTURES * bytes, "{} has other pictures", path.display());
        Ok(Self { size, pictures: pictures.chunks(bytes).map(<[u8]>::to_vec).collect() })
    }

    /// Turns until everything was shown, forth and back.
    pub fn turns(&self) -> usize {
        2 * (self.pictures.len() - 1)
    }

    /// The picture that is shown in this turn, forth and back so that nothing jumps.
    pub fn picture(&self, turn: usize) -> &[u8] {
        let at = turn % self.turns();
        &self.pictures[at.min(self.turns() - at)]
    }
}
