//! `mcap_rgbd_viewer`: a recording's pictures and depth, in a window or in a file.

mod args;
#[cfg(feature = "viewer")]
mod bundle_table;
#[cfg(feature = "viewer")]
mod clock;
#[cfg(feature = "viewer")]
mod looker;
#[cfg(feature = "viewer")]
mod window;

use std::path::Path;

use serde::Serialize;
use tools_cli::{
    command_line,
    failure::Failure,
    output,
    png::{self, Pixels},
    report,
};

use self::args::Args;
use super::{
    palette::{Palette, Range, paint},
    picture::Rgb,
    sample::{Sample, Sampler},
    summary::Summary,
};

const PROGRAM: &str = "mcap_rgbd_viewer";

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let (mut sampler, camera) = args.choice.open(PROGRAM)?;
    if args.summary_only {
        Summary::of(&mut sampler)?.print(args.json)
    } else if let Some(path) = &args.export_preview {
        export_preview(&args, &mut sampler, camera, path)
    } else {
        open_window(sampler, camera, &args)
    }
}

#[cfg(feature = "viewer")]
fn open_window(sampler: Sampler, camera: usize, args: &Args) -> Result<(), Failure> {
    window::open(sampler, camera, args.choice.frame_index, args.palette)
}

#[cfg(not(feature = "viewer"))]
fn open_window(_sampler: Sampler, _camera: usize, _args: &Args) -> Result<(), Failure> {
    Err(Failure::Configuration(
        "this program was built without its window: build it with --features viewer, or give --summary-only or \
         --export-preview"
            .to_owned(),
    ))
}

/// What was exported.
#[derive(Serialize)]
struct Exported<'a> {
    preview: String,
    camera: &'a str,
    frame_index: usize,
    timestamp_ns: u64,
    /// In metres.
    depth_range: Option<Range>,
    notes: &'a [String],
}

fn export_preview(args: &Args, sampler: &mut Sampler, camera: usize, path: &Path) -> Result<(), Failure> {
    let sample = args.choice.sample(PROGRAM, sampler, camera)?;
    // A gap is as large as the camera's pictures.
    let size = match &sample.picture {
        Some(picture) => (picture.width, picture.height),
        None => sampler.picture(camera, 0).map(|picture| (picture.width, picture.height))?,
    };
    let (preview, depth_range) = preview(&sample, size, args.palette);
    let content = png::encode(preview.width, preview.height, Pixels::Rgb(&preview.pixels))?;
    output::write(&[(path.to_owned(), content)], args.overwrite)?;
    let label = &sampler.recording.cameras[camera].label;
    let exported = Exported {
        preview: path.display().to_string(),
        camera: label,
        frame_index: args.choice.frame_index,
        timestamp_ns: sample.timestamp_ns,
        depth_range,
        notes: &sample.notes,
    };
    let text = || {
        let depth = match depth_range {
            Some(Range { near, far }) => format!("{near:.3}..{far:.3}"),
            None => "none".to_owned(),
        };
        let Exported { preview, frame_index, timestamp_ns, .. } = &exported;
        format!("{preview}: {label} frame={frame_index} time={timestamp_ns} depth_m={depth}\n")
    };
    report::print(&exported, args.json, text).map(drop)
}

/// Picture and depth side by side in the picture's size, and what the colours span.
fn preview(sample: &Sample, (width, height): (usize, usize), palette: Palette) -> (Rgb, Option<Range>) {
    let missing = || Rgb::missing(width, height);
    let left = sample.picture.as_ref().map_or_else(missing, |picture| (**picture).clone());
    let Some(depth) = &sample.depth else {
        return (left.beside(&missing()), None);
    };
    let metres = depth.metres();
    let range = Range::of(&metres);
    let right = paint(&metres, depth.width as usize, palette, range);
    (left.beside(&right.scaled(width, height)), range)
}
