//! Recordings read by the ZED SDK, through its C library, which is loaded when it is asked for.
//!
//! The SDK gives rectified pictures, and computes depth and poses. It needs an NVIDIA GPU.

mod abi;
mod aside;
mod camera;
mod errors;
mod library;
#[cfg(test)]
mod played;
mod timestamps;
mod version;

use std::{collections::BTreeSet, fs::File, ops::RangeInclusive, path::Path};

use gst_video::{VideoFormat, VideoInfo};
use tools_cli::{failure::Failure, interrupt, progress::say};
use tools_mcap::{depth::DepthPlane, schema::cvmmap_streamer::depth_map::DepthUnit};

use self::{
    abi::Block,
    camera::{Camera, Grabbed, Setup},
    library::Library,
    timestamps::Timestamps,
};
use super::{
    picture::{Depth, Picture},
    source::{Clock, Facts, Losses, Recording},
    svo2,
    wanted::{DepthSize, Tracking, Wanted},
};

/// Who says what the SDK needs to have said.
const SPEAKER: &str = "ZED SDK";

/// A recording that the SDK has open.
#[derive(Debug)]
pub struct Sdk {
    camera: Camera,
    facts: Facts,
    /// Which pictures can be shown, as far as that is known beforehand.
    whole: Vec<bool>,
    cut: bool,
    info: VideoInfo,
    runtime: Block,
    depth_size: Option<(u32, u32)>,
    tracking: Option<Tracking>,
    range: RangeInclusive<usize>,
    /// Number of the next picture.
    at: usize,
    /// What has been grabbed since the range began.
    grabbed: usize,
    over: bool,
    damaged: BTreeSet<usize>,
    shown: usize,
}

/// Opens a recording with the installed SDK.
///
/// # Errors
/// When the SDK is not there, is not understood, or does not open it.
pub fn open(path: &Path, file: File, wanted: &Wanted) -> Result<Sdk, Failure> {
    Sdk::open(library::installed()?, path, file, wanted)
}

impl Sdk {
    fn open(library: &'static Library, path: &Path, file: File, wanted: &Wanted) -> Result<Self, Failure> {
        let depth_mode = match (&wanted.depth, &wanted.tracking) {
            (Some(depth), _) => abi::depth_mode(library.abi, depth.mode),
            (None, Some(tracking)) => abi::depth_mode_for_tracking(library.abi, tracking.mode),
            (None, None) => Ok(abi::NO_DEPTH),
        }
        .and_then(|depth_mode| match &wanted.tracking {
            Some(tracking) => abi::depth_mode_for_tracking(library.abi, tracking.mode).map(|_| depth_mode),
            None => Ok(depth_mode),
        })
        .map_err(Failure::Configuration)?;
        let setup = Setup { depth_mode, self_calibration: true };
        let told = svo2::whole(file);
        let mut opened = None;
        if let Some(told) = &told {
            let mut camera = Camera::open(library, path, setup)?;
            opened = timestamps::of_file(&mut camera, told)?.map(|timestamps| (camera, timestamps));
        }
        let (camera, timestamps) = match opened {
            Some(opened) => opened,
            None => {
                say(SPEAKER, "the file does not tell when its pictures were taken; it is read once for that");
                let quick = Setup { depth_mode: abi::NO_DEPTH, self_calibration: false };
                let timestamps = timestamps::scan(&mut Camera::open(library, path, quick)?)?;
                (Camera::open(library, path, setup)?, timestamps)
            }
        };
        let depth_size = wanted.depth.map(|depth| depth_size(&camera, depth.size)).transpose()?;
        let Timestamps { all, whole, cut } = timestamps;
        let facts = Facts {
            provider: "sdk",
            compression: told.map_or("SVO", |told| told.compression),
            serial: camera.serial(),
            rectified: Some(true),
            intrinsics: Some(camera.intrinsics),
            clock: Clock::of(all[0]),
            timestamps: all,
        };
        // Its fourth byte is nothing that an encoder should blend by.
        let info = VideoInfo::builder(VideoFormat::Bgrx, camera.width, camera.height)
            .build()
            .map_err(|error| Failure::Pipeline(format!("its pictures cannot be described: {error}")))?;
        Ok(Self {
            camera,
            facts,
            whole,
            cut,
            info,
            runtime: abi::runtime_parameters(depth_mode != abi::NO_DEPTH),
            depth_size,
            tracking: wanted.tracking.clone(),
            range: 0..=0,
            at: 0,
            grabbed: 0,
            over: true,
            damaged: BTreeSet::new(),
            shown: 0,
        })
    }

    /// The number of the picture that was taken then.
    fn number(&self, timestamp: u64) -> Option<usize> {
        let timestamps = &self.facts.timestamps;
        let first = timestamps.partition_point(|&other| other < timestamp);
        // Damaged ones may share its timestamp.
        (first..timestamps.len()).take_while(|&at| timestamps[at] == timestamp).find(|&at| self.whole[at])
    }

    fn lose(&mut self, number: usize) {
        if self.range.contains(&number) {
            self.damaged.insert(number);
        }
        self.at = self.at.max(number + 1);
    }

    /// What belongs to the picture that was grabbed.
    fn picture(&mut self, index: usize, timestamp: u64) -> Result<Picture, Failure> {
        let buffer = self.camera.picture()?;
        let depth = match self.depth_size {
            Some((width, height)) => {
                let plane = self.camera.depth((width, height))?;
                DepthPlane::new(plane, width, height, DepthUnit::Millimeter).map(Depth::Plane)
            }
            None => None,
        };
        let pose = self.tracking.as_ref().and_then(|_| self.camera.pose());
        Ok(Picture { index, timestamp, buffer, info: self.info.clone(), concealed: false, depth, pose })
    }
}

impl Recording for Sdk {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        self.damaged = range.clone().filter(|&number| !self.whole[number]).collect();
        self.at = *range.start();
        self.range = range;
        (self.grabbed, self.shown, self.over) = (0, 0, false);
        if let Some(tracking) = &self.tracking {
            self.camera.track(tracking)?;
        }
        self.camera.seek(self.at)
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        let (start, end) = (*self.range.start(), *self.range.end());
        loop {
            interrupt::check()?;
            // A recording that never ends is read no further than if the SDK had not gone to the range's start.
            if self.over || self.at > end || self.grabbed > end + 1 {
                self.over = true;
                return Ok(None);
            }
            self.grabbed += 1;
            match self.camera.grab(&mut self.runtime) {
                Grabbed::Picture => {
                    let timestamp = self.camera.timestamp();
                    let Some(index) = self.number(timestamp) else {
                        continue;
                    };
                    if self.grabbed == 1 && index > start && self.whole[start] {
                        // It went too far; once more, by as much less.
                        self.camera.seek((2 * start).saturating_sub(index))?;
                        continue;
                    }
                    if (self.at..=end).contains(&index) {
                        self.at = index + 1;
                        self.shown += 1;
                        return self.picture(index, timestamp).map(Some);
                    }
                    self.over |= index > end;
                }
                Grabbed::Corrupted => {
                    // Its timestamp may be damaged as well.
                    let number = self.number(self.camera.timestamp()).filter(|&number| number >= self.at);
                    self.lose(number.unwrap_or(self.at));
                }
                Grabbed::End => self.over = true,
                Grabbed::Failed(code) if errors::is_of_the_file(code) && self.shown > 0 => {
                    self.cut = true;
                    self.over = true;
                }
                Grabbed::Failed(code) => return Err(errors::failure("read the recording on", code)),
            }
        }
    }

    fn losses(&self) -> Losses {
        let mut runs = 0;
        let mut last = None;
        for &number in &self.damaged {
            runs += usize::from(last.is_none_or(|last| last + 1 != number));
            last = Some(number);
        }
        let damaged = self.damaged.len();
        Losses {
            damaged,
            runs,
            undecoded: (self.range.clone().count() - damaged).saturating_sub(self.shown),
            unreadable_bytes: 0,
            cut: self.cut,
        }
    }
}

/// The size of depth pictures.
fn depth_size(camera: &Camera, wanted: DepthSize) -> Result<(u32, u32), Failure> {
    let native = (camera.width, camera.height);
    match wanted {
        DepthSize::Native => Ok(native),
        DepthSize::Optimal => Ok(camera.optimal_depth_size()?.unwrap_or_else(|| {
            say(SPEAKER, "version 4.2 does not tell the best size of depth; it has that of the pictures");
            native
        })),
        DepthSize::Pixels { width, height } => {
            if width == 0 || height == 0 || width > native.0 || height > native.1 {
                return Err(Failure::Configuration(format!(
                    "depth of {width} x {height} cannot be had of pictures of {} x {}; give no more",
                    native.0, native.1
                )));
            }
            Ok((width, height))
        }
    }
}
