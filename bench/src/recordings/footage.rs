//! A real clip as a stereo camera would have recorded it: as an SVO2 file, and for ffmpeg the same access units in
//! Matroska.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;

const CLIP: &str = "media/bigbuckbunny_640x360.mp4";
/// One eye.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
pub const FPS: usize = 30;
/// 2026-02-10 13:22:52 UTC, in nanoseconds.
const BEGIN: u64 = 1_770_729_772_000_000_000;

/// A recording, in the two forms that hold the same pictures.
pub struct Footage {
    pub svo2: PathBuf,
    pub matroska: PathBuf,
}

impl Footage {
    pub fn make(folder: &Path, camera: usize, frames: usize) -> Result<Self> {
        let (svo2, matroska) = (folder.join(format!("run_zed{camera}.svo2")), folder.join(format!("{camera}.mkv")));
        // Each camera sees another part of the clip first.
        let both_eyes = format!("scale={WIDTH}:{HEIGHT},fps={FPS},split[left][right];[left][right]hstack");
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-ss", &(camera % 4).to_string(), "-i", CLIP])
            .args(["-vf", &both_eyes, "-frames:v", &frames.to_string(), "-an"])
            .args([
                "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-g", "30", "-bf", "0", "-pix_fmt", "yuv420p",
            ])
            .arg(&matroska)
            .status()
            .context("ffmpeg: run scripts/setup.sh --tests")?;
        ensure!(status.success(), "ffmpeg: {status}");
        let units = units(&matroska)?;
        ensure!(units.len() == frames, "{} of {frames} pictures are there", units.len());
        write(&svo2, &units)?;
        Ok(Self { svo2, matroska })
    }
}

/// The access units of a file, as Annex B.
fn units(path: &Path) -> Result<Vec<Vec<u8>>> {
    gst::init()?;
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={} ! matroskademux ! h264parse config-interval=-1 \
         ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false",
        path.display()
    ))?;
    let bin = pipeline.downcast_ref::<gst::Bin>().context("a bin")?;
    let sink = bin.by_name("out").and_downcast::<gst_app::AppSink>().context("an appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut units = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        units.push(sample.buffer().context("a buffer")?.map_readable()?.as_slice().to_vec());
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(units)
}

/// What a ZED camera's recording looks like: docs/recordings.md says where that is known from.
fn write(path: &Path, units: &[Vec<u8>]) -> Result<()> {
    let mut writer = mcap::WriteOptions::new()
        .profile("")
        .library("libmcap stereolabs")
        .compression(None)
        .create(BufWriter::new(File::create(path)?))?;
    let channel = Arc::new(mcap::Channel {
        id: 1,
        topic: "Camera_SN12345/side_by_side".to_owned(),
        schema: Some(Arc::new(mcap::Schema {
            id: 1,
            name: "side_by_side".to_owned(),
            encoding: "zed_sdk_encoded".to_owned(),
            data: Cow::Borrowed(b"{}"),
        })),
        message_encoding: "zed_sdk_encoded".to_owned(),
        metadata: BTreeMap::new(),
    });
    for (number, unit) in units.iter().enumerate() {
        let time = BEGIN + number as u64 * 1_000_000_000 / FPS as u64;
        let length = unit.len() as u32;
        let data = [&(length + 4).to_le_bytes()[..], &length.to_le_bytes(), unit].concat();
        writer.write(&mcap::Message {
            channel: Arc::clone(&channel),
            sequence: 0,
            log_time: time,
            publish_time: time,
            data: Cow::Owned(data),
        })?;
    }
    writer.finish()?;
    Ok(())
}
