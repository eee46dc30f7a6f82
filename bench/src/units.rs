//! Access units of a producer that encodes.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use cvmmap::{Codec, DepthUnit, Encoded, Frame, PlaneImage, Publisher};
use gst::prelude::*;

use crate::pace::unix_now;

/// Units of each stream a second.
pub const FPS: u32 = 30;

/// An access unit of H.264.
pub struct Unit {
    data: Vec<u8>,
    keyframe: bool,
}

impl Unit {
    /// The same one behind a NAL unit that goes first.
    pub fn behind(&self, nal: &[u8]) -> Self {
        Self { data: [nal, &self.data].concat(), keyframe: self.keyframe }
    }
}

/// Publishes a picture that is captured now, and its access unit where there is one.
pub fn publish(publisher: &mut Publisher, left: PlaneImage<'_>, unit: Option<&Unit>) -> Result<()> {
    let encoded = unit.map(|unit| PlaneImage::access_unit(&unit.data));
    publisher.publish(&Frame {
        timestamp_ns: unix_now(),
        planes: &[left].into_iter().chain(encoded).collect::<Vec<_>>(),
        depth_unit: DepthUnit::Unknown,
        encoded: unit.map(|unit| Encoded {
            codec: Codec::H264,
            keyframe: unit.keyframe,
            frame_rate: (FPS as u16, 1),
            stream_pts_ns: 0,
        }),
    })?;
    Ok(())
}

/// Keeps to the bit rate in every second: filled up where there is less to say.
pub const CONSTANT: &str = "option-string=nal-hrd=cbr";

/// Encodes what a pipeline's source gives, with a keyframe a second.
pub struct Encoding {
    pipeline: gst::Pipeline,
}

impl Encoding {
    /// With so many kbit/s, and what else x264enc is told.
    pub fn start(source: &str, kbit: u32, more: &str) -> Result<Self> {
        gst::init()?;
        let pipeline = gst::parse::launch(&format!(
            "{source} ! x264enc tune=zerolatency speed-preset=superfast key-int-max={FPS} bitrate={kbit} \
             {more} ! h264parse config-interval=-1 \
             ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=sink sync=false"
        ))?
        .downcast::<gst::Pipeline>()
        .ok()
        .context("a pipeline")?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline })
    }

    /// An element of the source.
    pub fn element(&self, name: &str) -> Result<gst::Element> {
        self.pipeline.by_name(name).with_context(|| name.to_owned())
    }

    /// All units, when the source has come to its end.
    pub fn finish(self) -> Result<Vec<Unit>> {
        let sink = self.element("sink")?.downcast::<gst_app::AppSink>().ok().context("an appsink")?;
        let mut units = Vec::new();
        while let Ok(sample) = sink.pull_sample() {
            let buffer = sample.buffer().context("a buffer")?;
            let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            units.push(Unit { data: buffer.map_readable()?.to_vec(), keyframe });
        }
        self.pipeline.set_state(gst::State::Null)?;
        ensure!(units.first().is_some_and(|unit| unit.keyframe), "the encoder does not begin with a keyframe");
        Ok(units)
    }
}

/// Keeps units in a file, which [`open`] reads: of each its length, whether it is a keyframe, and its bytes.
pub fn save(units: &[Unit], path: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for unit in units {
        file.write_all(&(unit.data.len() as u32).to_le_bytes())?;
        file.write_all(&[unit.keyframe.into()])?;
        file.write_all(&unit.data)?;
    }
    Ok(file.flush()?)
}

pub fn open(path: &Path) -> Result<Vec<Unit>> {
    let mut left = fs::metadata(path)?.len();
    let mut file = BufReader::new(File::open(path)?);
    let mut units = Vec::new();
    while left > 0 {
        let mut head = [0; 5];
        file.read_exact(&mut head)?;
        let [length @ .., keyframe] = head;
        let mut data = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut data)?;
        left -= (head.len() + data.len()) as u64;
        units.push(Unit { data, keyframe: keyframe != 0 });
    }
    ensure!(units.first().is_some_and(|unit| unit.keyframe), "{} does not begin with a keyframe", path.display());
    Ok(units)
}
