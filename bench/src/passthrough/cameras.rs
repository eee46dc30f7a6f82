//! Producers that encode: the same second of access units over and over, beside pictures that cost next to nothing.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use cvmmap::{
    Abi, Address, Codec, Depth, DepthUnit, Encoded, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher, Target,
};
use gst::prelude::*;

use crate::pace::{Pace, unix_now};

/// Units of each stream a second.
pub const FPS: u32 = 30;
const KBIT: u32 = 6000;
/// Size of the picture beside a unit.
const LEFT: (u32, u32) = (64, 36);
/// How long streams may take to begin on a busy machine, in units.
const UNITS_MAX: u32 = 60 * FPS;

/// An access unit.
pub struct Unit {
    data: Vec<u8>,
    keyframe: bool,
}

/// One second of 1080p H.264, a keyframe and what follows it.
pub fn encode() -> Result<Vec<Unit>> {
    gst::init()?;
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers={FPS} pattern=smpte75 horizontal-speed=7 ! \
         video/x-raw,format=I420,width=1920,height=1080,framerate={FPS}/1 ! \
         x264enc tune=zerolatency speed-preset=superfast key-int-max={FPS} bitrate={KBIT} option-string=nal-hrd=cbr ! \
         h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! \
         appsink name=sink sync=false"
    ))?
    .downcast::<gst::Pipeline>()
    .ok()
    .context("a pipeline")?;
    let sink = pipeline.by_name("sink").and_downcast::<gst_app::AppSink>().context("an appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut units = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().context("a buffer")?;
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        units.push(Unit { data: buffer.map_readable()?.to_vec(), keyframe });
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(units)
}

/// All producers, one after the other within each frame's time.
pub struct Cameras<'a> {
    units: &'a [Unit],
    left: Vec<u8>,
    targets: Vec<Target>,
    publishers: Vec<Publisher>,
    pace: Pace,
    rounds: u64,
}

impl<'a> Cameras<'a> {
    pub fn start(count: usize, units: &'a [Unit], folder: &Path) -> Result<Self> {
        let folder = folder.to_str().context("a folder with a plain name")?;
        let targets = (0..count)
            .map(|index| Ok(Target::new(&format!("p{}-{index}", std::process::id()), None, Some(folder))?))
            .collect::<Result<Vec<_>>>()?;
        let publishers = targets
            .iter()
            .map(|target| Ok(Publisher::create(&Address::from(target), Abi::V2 { minor: 1 })?))
            .collect::<Result<Vec<_>>>()?;
        let left = vec![90; (LEFT.0 * LEFT.1 * 3) as usize];
        Ok(Self { units, left, targets, publishers, pace: Pace::new(FPS * count as u32), rounds: 0 })
    }

    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Units of all streams so far.
    pub fn published(&self) -> u64 {
        self.rounds * self.publishers.len() as u64
    }

    /// Publishes until something has happened.
    pub fn run_until(&mut self, happened: impl Fn() -> bool) -> Result<()> {
        for _ in 0..UNITS_MAX {
            self.round()?;
            if happened() {
                return Ok(());
            }
        }
        bail!("not all streams came")
    }

    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        (0..time.as_secs() * u64::from(FPS)).try_for_each(|_| self.round())
    }

    /// One unit of each.
    fn round(&mut self) -> Result<()> {
        let unit = &self.units[(self.rounds % self.units.len() as u64) as usize];
        let plane = |kind, pixel_format, (width, height), stride, data| PlaneImage {
            kind,
            pixel_format,
            depth: Depth::U8,
            width,
            height,
            stride,
            data,
        };
        let size = unit.data.len() as u32;
        let planes = [
            plane(PlaneKind::Left, PixelFormat::Bgr, LEFT, LEFT.0 * 3, &self.left[..]),
            plane(PlaneKind::Encoded, PixelFormat::Gray, (size, 1), size, &unit.data),
        ];
        for publisher in &mut self.publishers {
            self.pace.wait();
            publisher.publish(&Frame {
                timestamp_ns: unix_now(),
                planes: &planes,
                depth_unit: DepthUnit::Unknown,
                encoded: Some(Encoded {
                    codec: Codec::H264,
                    keyframe: unit.keyframe,
                    frame_rate: (FPS as u16, 1),
                    stream_pts_ns: 0,
                }),
            })?;
        }
        self.rounds += 1;
        Ok(())
    }
}
