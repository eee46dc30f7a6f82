//! `mcap_depth_alignment`: how depth lies over the picture, in numbers and in pictures.

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;
use tools_cli::{
    command_line::{self, VERSION},
    failure::Failure,
    output,
    png::{self, Pixels},
    report,
};
use tools_mcap::depth_map::Depth;

use super::{
    calibration::{Axis, Mapping, Size},
    choice::Choice,
    palette::{Palette, Range, paint},
    picture::Rgb,
};

const PROGRAM: &str = "mcap_depth_alignment";

const EXAMPLES: &str = "\
Examples:
  mcap_depth_alignment run.mcap --camera-label zed1
  mcap_depth_alignment run.mcap --camera-label zed1 --frame-index 10 --export-dir aligned

Exit codes: 0 success, 1 wrong arguments, 2 there is no such frame or no affine mapping, or an output cannot be written,
5 a decoder is missing, 7 the recording is damaged there.";

/// Explains the affine mapping from depth to picture that a recording's calibrations imply, and draws it.
#[derive(Debug, Parser)]
#[command(name = "mcap_depth_alignment", version = VERSION, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Write the frame's depth in the picture's pixels, and both in one picture
    #[arg(long, value_name = "DIR")]
    export_dir: Option<PathBuf>,
    /// Colours of the depth in the overlay, from near to far
    #[arg(long, value_enum, default_value_t, ignore_case = true)]
    palette: Palette,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explained<'a> {
    camera: &'a str,
    frame_index: usize,
    rgb_size: Size,
    depth_size: Size,
    #[serde(flatten)]
    mapping: Mapping,
    files: Vec<String>,
}

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let (mut sampler, camera) = args.choice.open(PROGRAM)?;
    let sample = args.choice.sample(PROGRAM, &mut sampler, camera)?;
    let camera = &sampler.recording.cameras[camera];
    let refused =
        |why: &str| Failure::Configuration(format!("{}: {}: {why}", args.choice.file.display(), camera.label));
    let (Some(picture), Some(depth)) = (&sample.picture, &sample.depth) else {
        return Err(refused("this frame has no picture with depth; --frame-index takes another"));
    };
    let (rgb_size, depth_size) = ((picture.width, picture.height), (depth.width as usize, depth.height as usize));
    let mapping = Mapping::of(camera, rgb_size, depth_size).map_err(|why| refused(&why))?;
    let mut files = Vec::new();
    if let Some(directory) = &args.export_dir {
        let (aligned, overlay) = align(mapping, picture, depth, args.palette);
        let name =
            |what| directory.join(format!("{}_{:06}_{what}", camera.label.replace('/', "_"), args.choice.frame_index));
        let (width, height) = rgb_size;
        files = vec![
            (name("aligned_depth_mm.png"), png::encode(width, height, Pixels::Gray16(&aligned))?),
            (name("overlay.png"), png::encode(width, height, Pixels::Rgb(&overlay.pixels))?),
        ];
        output::directory(directory)?;
        output::write(&files, args.overwrite)?;
    }
    let files = files.iter().map(|(path, _)| path.display().to_string()).collect();
    let frame_index = args.choice.frame_index;
    let explained = Explained { camera: &camera.label, frame_index, rgb_size, depth_size, mapping, files };
    report::print(&explained, args.json, || explained.lines()).map(drop)
}

/// The depth in the picture's pixels, in millimetres, and both in one picture.
fn align(mapping: Mapping, picture: &Rgb, depth: &Depth, palette: Palette) -> (Vec<u16>, Rgb) {
    let (width, height) = (depth.width as usize, depth.height as usize);
    let columns = (0..picture.width).map(|u| mapping.u.nearest(u, width)).collect::<Vec<_>>();
    let rows = (0..picture.height).map(|v| mapping.v.nearest(v, height)).collect::<Vec<_>>();
    let (millimetres, metres) = (depth.millimetres(), depth.metres());
    let coloured = paint(&metres, width, palette, Range::of(&metres));
    let source = |u: usize, v: usize| Some((columns[u]?, rows[v]?)).filter(|(u, v)| millimetres[v * width + u] != 0);
    let places = (0..picture.height).flat_map(|v| (0..picture.width).map(move |u| (u, v)));
    let aligned = places.map(|(u, v)| source(u, v).map_or(0, |(u, v)| millimetres[v * width + u])).collect();
    let overlay = Rgb::of(picture.width, picture.height, |u, v| {
        let seen = picture.pixel(u, v);
        source(u, v).map_or(seen, |(column, row)| {
            let colour = coloured.pixel(column, row);
            [0, 1, 2].map(|at| u8::midpoint(seen[at], colour[at]))
        })
    });
    (aligned, overlay)
}

impl Explained<'_> {
    fn lines(&self) -> String {
        let Explained { camera, rgb_size, depth_size, mapping: Mapping { u, v, assumed }, files, .. } = self;
        let axis =
            |name: char, Axis { scale, offset }: &Axis| format!("{name}_rgb = {scale:.6} * {name}_depth {offset:+.6}");
        let why = if *assumed {
            "there is no depth_calibration and the sizes are equal: picture and depth have the same pixels"
        } else {
            "scale = f_rgb / f_depth, offset = c_rgb - scale * c_depth; both are undistorted and not rotated"
        };
        let mut lines = vec![
            format!("{camera}: picture {}x{}, depth {}x{}", rgb_size.0, rgb_size.1, depth_size.0, depth_size.1),
            axis('u', u),
            axis('v', v),
            why.to_owned(),
        ];
        lines.extend(files.iter().cloned());
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
