//! `mcap_rgbd_example`: the simple way to a recording's contents.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use tools_cli::{
    command_line::{self, VERSION},
    failure::Failure,
    output,
    png::{self, Pixels},
    report,
};
use tools_mcap::schema::{
    cvmmap_streamer::BundleManifest,
    foxglove::{CameraCalibration, PoseInFrame},
    nanoseconds,
};

use super::{
    choice::Choice,
    palette::{Palette, Range, paint},
    recording::{Camera, Layout},
    sample::{Sample, Sampler},
    summary::Summary,
};

const PROGRAM: &str = "mcap_rgbd_example";

const EXAMPLES: &str = "\
Examples:
  mcap_rgbd_example summary run.mcap
  mcap_rgbd_example export-sample run.mcap --output-dir sample --camera-label zed1 --frame-index 10

Exit codes: 0 success, 1 wrong arguments, 2 a file, camera or frame that is not there, or an output that cannot be
written, 5 a decoder is missing, 7 the recording is damaged there.";

/// Tells what is in an MCAP recording of picture and depth, and takes single frames out of it.
#[derive(Debug, Parser)]
#[command(name = "mcap_rgbd_example", version = VERSION, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print layout, cameras and what they have
    Summary {
        /// The recording; an unfinished one is read as far as it goes
        #[arg(value_name = "MCAP")]
        file: PathBuf,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a frame: picture, depth in millimetres (16 bits), coloured depth, and a JSON file with the rest
    ExportSample {
        #[command(flatten)]
        choice: Choice,
        /// Directory for the files; made if there is none
        #[arg(long, value_name = "DIR")]
        output_dir: PathBuf,
        /// Colours of the depth, from near to far
        #[arg(long, value_enum, default_value_t, ignore_case = true)]
        palette: Palette,
        /// Replace files that are there
        #[arg(long)]
        overwrite: bool,
    },
}

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    match args.command {
        Command::Summary { file, json } => {
            let choice = Choice { file, camera_label: None, frame_index: 0 };
            let (mut sampler, _) = choice.open(PROGRAM)?;
            Summary::of(&mut sampler)?.print(json)
        }
        Command::ExportSample { choice, output_dir, palette, overwrite } => {
            let (mut sampler, camera) = choice.open(PROGRAM)?;
            let sample = choice.sample(PROGRAM, &mut sampler, camera)?;
            let files = Files::of(&sampler, camera, &sample, choice.frame_index, palette)?;
            output::directory(&output_dir)?;
            let files = files.0.into_iter().map(|(name, content)| (output_dir.join(name), content));
            let files = files.collect::<Vec<_>>();
            output::write(&files, overwrite)?;
            let names = || files.iter().map(|(path, _)| format!("{}\n", path.display())).collect();
            report::print(&(), false, names).map(drop)
        }
    }
}

/// What stands in the JSON file of a sample. Numbers of nanoseconds are integers.
#[derive(Serialize)]
struct Described<'a> {
    file: String,
    layout: Layout,
    camera: &'a str,
    frame_index: usize,
    timestamp_ns: u64,
    rgb: Option<Value>,
    depth: Option<Value>,
    pose: Option<Value>,
    bundle: Option<Value>,
    calibration: Option<Value>,
    depth_calibration: Option<Value>,
    notes: &'a [String],
}

/// Names and contents.
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn of(sampler: &Sampler, camera: usize, sample: &Sample, frame: usize, palette: Palette) -> Result<Self, Failure> {
        let recording = &sampler.recording;
        let camera = &recording.cameras[camera];
        let name = |what: &str| format!("{}_{frame:06}_{what}", camera.label.replace('/', "_"));
        let mut files = Vec::new();
        let mut rgb = None;
        if let Some(picture) = &sample.picture {
            let file = name("rgb.png");
            rgb = Some(json!({ "file": file, "width": picture.width, "height": picture.height }));
            files.push((file, png::encode(picture.width, picture.height, Pixels::Rgb(&picture.pixels))?));
        }
        let mut told = None;
        if let Some(depth) = &sample.depth {
            let (width, height) = (depth.width as usize, depth.height as usize);
            let metres = depth.metres();
            let range = Range::of(&metres);
            let coloured = paint(&metres, width, palette, range);
            let measured = metres.iter().filter(|depth| !depth.is_nan()).count();
            let (file, coloured_file) = (name("depth_mm.png"), name("depth_color.png"));
            told = Some(json!({
                "file": file, "unit": "millimeter", "no_measurement": 0, "coloured_file": coloured_file,
                "width": width, "height": height, "measured": measured, "coloured_range_m": range,
            }));
            files.push((file, png::encode(width, height, Pixels::Gray16(&depth.millimetres()))?));
            files.push((coloured_file, png::encode(width, height, Pixels::Rgb(&coloured.pixels))?));
        }
        let Camera { calibration, depth_calibration, .. } = camera;
        let described = Described {
            file: recording.path().display().to_string(),
            layout: recording.layout,
            camera: &camera.label,
            frame_index: frame,
            timestamp_ns: sample.timestamp_ns,
            rgb,
            depth: told,
            pose: sample.pose.as_ref().map(pose),
            bundle: sample.bundle.as_ref().map(bundle),
            calibration: calibration.as_ref().map(intrinsics),
            depth_calibration: depth_calibration.as_ref().map(intrinsics),
            notes: &sample.notes,
        };
        let mut text = serde_json::to_vec_pretty(&described)
            .map_err(|error| Failure::Pipeline(format!("the sample cannot be described: {error}")))?;
        text.push(b'\n');
        files.push((name("sample.json"), text));
        Ok(Self(files))
    }
}

fn intrinsics(calibration: &CameraCalibration) -> Value {
    let CameraCalibration { width, height, distortion_model, d, k, r, p, frame_id, .. } = calibration;
    json!({ "width": width, "height": height, "distortion_model": distortion_model, "D": d, "K": k, "R": r, "P": p,
            "frame_id": frame_id })
}

fn pose(pose: &PoseInFrame) -> Value {
    let place = pose.pose.as_ref();
    let position = place.and_then(|pose| pose.position.as_ref()).map(|at| [at.x, at.y, at.z]);
    let orientation = place.and_then(|pose| pose.orientation.as_ref()).map(|at| [at.x, at.y, at.z, at.w]);
    json!({ "frame_id": pose.frame_id, "position_xyz": position, "orientation_xyzw": orientation })
}

fn bundle(bundle: &BundleManifest) -> Value {
    let time = |timestamp: &Option<prost_types::Timestamp>| timestamp.as_ref().and_then(nanoseconds);
    let members = bundle.members.iter().map(|member| {
        json!({ "label": member.label, "timestamp_ns": time(&member.timestamp),
                "status": member.status().as_str_name().to_lowercase(), "skipped_frames": member.skipped_frames })
    });
    json!({ "index": bundle.index, "timestamp_ns": time(&bundle.timestamp),
            "policy": bundle.policy().as_str_name().to_lowercase(), "members": members.collect::<Vec<_>>() })
}
