//! Pictures of a real clip in memory, at the size that is measured.

use std::fmt;

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

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

    /// The picture that is shown in this turn, forth and back so that nothing jumps.
    pub fn picture(&self, turn: usize) -> &[u8] {
        let last = self.pictures.len() - 1;
        let at = turn % (2 * last);
        &self.pictures[at.min(2 * last - at)]
    }
}
