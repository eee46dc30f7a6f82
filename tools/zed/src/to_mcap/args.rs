//! The command line of `zed_svo_to_mcap`.

use std::path::PathBuf;

use clap::Parser;
use tools_cli::{command_line::VERSION, failure::Failure};
use tools_mcap::writer::Compression;

use super::{
    Input,
    plan::Part,
    policy::{CopyRange, Policy},
    pose_config,
};
use crate::{
    encoder::Encoding,
    open::Reading,
    segment,
    wanted::{Depth, DepthMode, DepthSize, Wanted},
};

/// What a camera is called whose recording does not say.
const LABEL: &str = "camera";

const EXAMPLES: &str = "\
Examples:
  One camera's pictures, as /zed4/video in run_zed4.mcap, without the ZED SDK:
    zed_svo_to_mcap --input run_zed4.svo2 --no-depth
  All cameras of a segment, bundled, with depth and poses, as SEGMENT/SEGMENT.mcap:
    zed_svo_to_mcap --segment-dir 2026-03-18T11-59-41 --with-pose --pose-config config/zed_pose_config.toml
  Only bundles whose pictures were taken within 10 ms, the first hundred of them:
    zed_svo_to_mcap --segment-dir 2026-03-18T11-59-41 --bundle-policy strict --sync-tolerance-ms 10 --end-frame 99

Depth and poses are computed by the ZED SDK; without it, take --no-depth. The file gets its name when it is whole.
Interrupted, what was converted until then is kept as NAME.partial, which can be read.

Exit codes: 0 success, 1 wrong arguments, 2 an input or output that cannot be used (also: no ZED SDK for depth or poses),
4 nothing to write, 5 the pipeline cannot start or broke (missing encoder, full disk), 130 interrupted.";

/// Makes an MCAP file of ZED recordings (SVO2): video, depth, poses and intrinsics of one camera, or of all cameras of a
/// segment, with a manifest that says which of their pictures belong together.
#[derive(Clone, Debug, Parser)]
#[command(name = "zed_svo_to_mcap", version = VERSION, after_help = EXAMPLES)]
pub struct Args {
    /// Recording of one camera
    #[arg(long, value_name = "FILE", required_unless_present = "segment_dir", conflicts_with = "segment_dir")]
    pub input: Option<PathBuf>,
    /// Directory with recordings named *_zedN.svo2
    #[arg(long, value_name = "DIR")]
    pub segment_dir: Option<PathBuf>,
    /// File to write [default: the input with the ending .mcap, or DIR/DIR.mcap]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an output that is there already
    #[arg(long)]
    pub overwrite: bool,
    /// Who reads it, and how.
    #[command(flatten)]
    pub reading: Reading,
    /// First bundle, counted from 0 as the common start's, or first picture of one camera [default: 0]
    #[arg(long, value_name = "N")]
    pub start_frame: Option<usize>,
    /// Last bundle or picture, which is included [default: the last there is]
    #[arg(long, value_name = "N")]
    pub end_frame: Option<usize>,
    /// Compression of the file's chunks
    #[arg(long, value_enum, default_value_t)]
    pub mcap_compression: Compression,

    /// How the pictures of several cameras belong together [default: nearest]
    #[arg(long, value_enum, help_heading = "Several cameras")]
    pub bundle_policy: Option<Policy>,
    /// How far the pictures of a bundle may be apart, with --bundle-policy strict [default: 33]
    #[arg(long, value_name = "MS", value_parser = milliseconds, help_heading = "Several cameras")]
    pub sync_tolerance_ms: Option<u64>,
    /// What is copied with --bundle-policy copy [default: common]
    #[arg(long, value_enum, help_heading = "Several cameras")]
    pub copy_range: Option<CopyRange>,

    /// The ZED SDK's depth mode
    #[arg(long, value_enum, default_value_t, help_heading = "Depth and poses, by the ZED SDK")]
    pub depth_mode: DepthMode,
    /// Size of depth pictures: optimal (what the SDK finds best), native (the video's, which cv-mmap's replay needs), or
    /// WIDTHxHEIGHT
    #[arg(long, value_name = "SIZE", default_value = "optimal", value_parser = depth_size,
          help_heading = "Depth and poses, by the ZED SDK")]
    pub depth_size: DepthSize,
    /// No depth
    #[arg(long, conflicts_with_all = ["depth_mode", "depth_size"], help_heading = "Depth and poses, by the ZED SDK")]
    pub no_depth: bool,
    /// Poses, where the camera's tracking is valid
    #[arg(long, help_heading = "Depth and poses, by the ZED SDK")]
    pub with_pose: bool,
    /// How poses are tracked, as config/zed_pose_config.toml explains [default: as it is in there]
    #[arg(long, value_name = "FILE", requires = "with_pose", help_heading = "Depth and poses, by the ZED SDK")]
    pub pose_config: Option<PathBuf>,

    /// What is asked of the encoder
    #[command(flatten)]
    pub encoding: Encoding,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Whether the flags go together.
    ///
    /// # Errors
    /// [`Failure::Usage`] when they do not.
    pub fn check(&self) -> Result<(), Failure> {
        let policy = self.bundle_policy.unwrap_or_default();
        let part = self.start_frame.is_some() || self.end_frame.is_some();
        let bundled = self.bundle_policy.is_some_and(|policy| policy != Policy::Copy);
        for (wrong, why) in [
            (
                self.input.is_some() && bundled,
                "--bundle-policy nearest and strict are for several cameras; give a --segment-dir",
            ),
            (
                self.segment_dir.is_some() && self.reading.camera_label.is_some(),
                "--camera-label is for one --input; the cameras of a segment are called as their files",
            ),
            (
                self.sync_tolerance_ms.is_some() && policy != Policy::Strict,
                "--sync-tolerance-ms needs --bundle-policy strict",
            ),
            (self.copy_range.is_some() && policy != Policy::Copy, "--copy-range needs --bundle-policy copy"),
            (
                part && policy == Policy::Copy,
                "--start-frame and --end-frame count bundles, and --bundle-policy copy makes none; leave them out",
            ),
        ] {
            if wrong {
                return Err(Failure::Usage(why.to_owned()));
            }
        }
        Ok(())
    }

    /// The recordings in their order.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when there are none, [`Failure::Usage`] when a label cannot be a topic's.
    pub fn inputs(&self) -> Result<Vec<Input>, Failure> {
        if let Some(directory) = &self.segment_dir {
            let cameras = segment::recordings(directory)?;
            return Ok(cameras
                .into_iter()
                .map(|(number, path)| Input { path, label: format!("zed{number}") })
                .collect());
        }
        let path = self.input.clone().expect("--input or --segment-dir is required");
        let label = match (&self.reading.camera_label, segment::camera(&path)) {
            (Some(label), _) => label.clone(),
            (None, Some(number)) => format!("zed{number}"),
            (None, None) => LABEL.to_owned(),
        };
        if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(Failure::Usage(format!(
                "--camera-label {label:?}: the topics are called by it; take letters, digits, '_', '-' and '.'"
            )));
        }
        Ok(vec![Input { path, label }])
    }

    /// Where the file goes.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the segment is not there.
    pub fn output(&self) -> Result<PathBuf, Failure> {
        match (&self.output, &self.segment_dir, &self.input) {
            (Some(output), _, _) => Ok(output.clone()),
            (None, Some(directory), _) => segment::output(directory, ".mcap"),
            (None, None, input) => Ok(input.clone().unwrap_or_default().with_extension("mcap")),
        }
    }

    /// What is wanted besides pictures.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the pose configuration cannot be used.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        let tracking = match (self.with_pose, &self.pose_config) {
            (false, _) => None,
            (true, None) => Some(pose_config::usual()),
            (true, Some(path)) => Some(pose_config::read(path)?),
        };
        let depth = Depth { mode: self.depth_mode, size: self.depth_size };
        Ok(Wanted { depth: (!self.no_depth).then_some(depth), tracking })
    }

    /// The part that is asked for.
    pub fn part(&self) -> Part {
        Part { start: self.start_frame, end: self.end_frame }
    }
}

/// Nanoseconds.
fn milliseconds(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(milliseconds) if (0.0..=1e6).contains(&milliseconds) => Ok((milliseconds * 1e6).round() as u64),
        _ => Err("give a number of milliseconds from 0 on".to_owned()),
    }
}

fn depth_size(text: &str) -> Result<DepthSize, String> {
    let pixels = || {
        let (width, height) = text.split_once('x')?;
        let side = |side: &str| side.parse().ok().filter(|side| (16..=8192).contains(side));
        Some(DepthSize::Pixels { width: side(width)?, height: side(height)? })
    };
    match text {
        "optimal" => Ok(DepthSize::Optimal),
        "native" => Ok(DepthSize::Native),
        _ => pixels().ok_or_else(|| "give optimal, native, or WIDTHxHEIGHT such as 960x512".to_owned()),
    }
}
