//! What is in a recording, for people and as JSON.

use std::io::Write;

use serde::Serialize;

use super::{
    recording::{Camera, Layout, Track},
    sample::Sampler,
};
use crate::{
    common::failure::Failure,
    recorder::mcap::schema::{cvmmap_streamer::DepthMap, foxglove::CompressedVideo},
};

#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub file: String,
    pub layout: Layout,
    pub finished: bool,
    /// None where there is no `/bundle`.
    pub bundles: Option<usize>,
    pub bundle_policy: Option<String>,
    pub cameras: Vec<CameraSummary>,
}

#[derive(Clone, Debug, Serialize)]
pub struct CameraSummary {
    pub label: String,
    pub video: usize,
    pub format: String,
    /// Of the first picture.
    pub video_size: (usize, usize),
    pub depth: usize,
    /// Of the first depth picture.
    pub depth_size: Option<(u32, u32)>,
    pub pose: usize,
    pub body: usize,
    pub calibration: bool,
    pub depth_calibration: bool,
    pub first_timestamp_ns: u64,
    pub last_timestamp_ns: u64,
}

impl Summary {
    /// Looks at the first frame of each camera.
    ///
    /// # Errors
    /// When one cannot be read or decoded.
    pub fn of(sampler: &mut Sampler) -> Result<Self, Failure> {
        let cameras = (0..sampler.recording.cameras.len()).map(|camera| CameraSummary::of(sampler, camera));
        let cameras = cameras.collect::<Result<_, _>>()?;
        let recording = &mut sampler.recording;
        let is_bundled = recording.layout == Layout::Bundled;
        let policy = if is_bundled { Some(recording.bundle(0)?.policy().as_str_name().to_lowercase()) } else { None };
        Ok(Self {
            file: recording.path().display().to_string(),
            layout: recording.layout,
            finished: recording.finished(),
            bundles: is_bundled.then(|| recording.bundles.entries().len()),
            bundle_policy: policy,
            cameras,
        })
    }

    /// To stdout.
    pub fn print(&self, json: bool) {
        let mut stdout = std::io::stdout().lock();
        // A reader that closed its end early has seen what it wanted.
        let _ = if json {
            serde_json::to_writer(&mut stdout, self).map_err(Into::into).and_then(|()| writeln!(stdout))
        } else {
            self.lines(&mut stdout)
        };
    }

    fn lines(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{}: layout={} finished={}", self.file, self.layout.name(), self.finished)?;
        if let (Some(bundles), Some(policy)) = (self.bundles, &self.bundle_policy) {
            writeln!(out, "bundles: {bundles} policy={policy}")?;
        }
        for camera in &self.cameras {
            let CameraSummary { label, video, format, video_size: (width, height), pose, body, .. } = camera;
            write!(out, "{label}: video={video} {format} {width}x{height}")?;
            match camera.depth_size {
                Some((width, height)) => write!(out, " depth={} {width}x{height}", camera.depth)?,
                None => write!(out, " depth=0")?,
            }
            write!(out, " pose={pose} body={body} calibration={}", camera.calibration)?;
            write!(out, " depth_calibration={}", camera.depth_calibration)?;
            let (first, last) = (camera.first_timestamp_ns, camera.last_timestamp_ns);
            writeln!(out, " from={first} to={last} seconds={:.3}", (last - first) as f64 / 1e9)?;
        }
        Ok(())
    }
}

impl CameraSummary {
    fn of(sampler: &mut Sampler, camera: usize) -> Result<Self, Failure> {
        let picture = sampler.picture(camera, 0)?;
        let recording = &mut sampler.recording;
        let Camera { label, video, depth, pose, bodies, calibration, depth_calibration } = &recording.cameras[camera];
        let (first_timestamp_ns, last_timestamp_ns) = video.times().unwrap_or_default();
        let mut summary = Self {
            label: label.clone(),
            video: video.entries().len(),
            format: String::new(),
            video_size: (picture.width, picture.height),
            depth: depth.entries().len(),
            depth_size: None,
            pose: pose.entries().len(),
            body: *bodies,
            calibration: calibration.is_some(),
            depth_calibration: depth_calibration.is_some(),
            first_timestamp_ns,
            last_timestamp_ns,
        };
        let first = |track: &Track| track.entries().first().copied();
        let (video, depth) = (first(video), first(depth));
        if let Some(video) = video {
            summary.format = recording.message::<CompressedVideo>(&video)?.format;
        }
        if let Some(depth) = depth {
            let depth = recording.message::<DepthMap>(&depth)?;
            summary.depth_size = Some((depth.width, depth.height));
        }
        Ok(summary)
    }
}
