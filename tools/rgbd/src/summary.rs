//! What is in a recording, for people and as JSON.

use serde::Serialize;
use tools_cli::{failure::Failure, report};
use tools_mcap::schema::{cvmmap_streamer::DepthMap, foxglove::CompressedVideo};

use super::{
    recording::{Camera, Layout, Track},
    sample::Sampler,
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
            bundles: is_bundled.then(|| recording.bundles.places().len()),
            bundle_policy: policy,
            cameras,
        })
    }

    /// To stdout.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        report::print(self, json, || self.lines()).map(drop)
    }

    fn lines(&self) -> String {
        let mut lines = vec![format!("{}: layout={} finished={}", self.file, self.layout.name(), self.finished)];
        if let (Some(bundles), Some(policy)) = (self.bundles, &self.bundle_policy) {
            lines.push(format!("bundles: {bundles} policy={policy}"));
        }
        lines.extend(self.cameras.iter().map(CameraSummary::line));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl CameraSummary {
    fn line(&self) -> String {
        let Self { label, video, format, video_size: (width, height), pose, body, .. } = self;
        let depth = match self.depth_size {
            Some((width, height)) => format!("{} {width}x{height}", self.depth),
            None => "0".to_owned(),
        };
        let (first, last) = (self.first_timestamp_ns, self.last_timestamp_ns);
        let seconds = (last - first) as f64 / 1e9;
        format!(
            "{label}: video={video} {format} {width}x{height} depth={depth} pose={pose} body={body} calibration={} \
             depth_calibration={} from={first} to={last} seconds={seconds:.3}",
            self.calibration, self.depth_calibration
        )
    }

    fn of(sampler: &mut Sampler, camera: usize) -> Result<Self, Failure> {
        let picture = sampler.picture(camera, 0)?;
        let recording = &mut sampler.recording;
        let Camera { label, video, depth, pose, bodies, calibration, depth_calibration } = &recording.cameras[camera];
        let (first_timestamp_ns, last_timestamp_ns) = video.times().unwrap_or_default();
        let mut summary = Self {
            label: label.clone(),
            video: video.places().len(),
            format: String::new(),
            video_size: (picture.width, picture.height),
            depth: depth.places().len(),
            depth_size: None,
            pose: pose.places().len(),
            body: *bodies,
            calibration: calibration.is_some(),
            depth_calibration: depth_calibration.is_some(),
            first_timestamp_ns,
            last_timestamp_ns,
        };
        let first = |track: &Track| track.places().first().copied();
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
