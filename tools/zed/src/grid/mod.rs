//! `zed_svo_grid_to_mp4`: the recordings of several cameras in one picture.

pub(crate) mod args;
mod canvas;
mod label;
mod tile;

use std::{fmt, ops::RangeInclusive, path::PathBuf};

use gst_video::VideoInfo;
use serde::Serialize;
use tools_cli::{
    command_line,
    failure::Failure,
    interrupt,
    progress::{Progress, say},
    report,
    target::Target,
};
use tools_media::encoders::Choice;

use self::{args::Args, canvas::Canvas, tile::Tile};
use super::{
    encode_error::EncodeError,
    mp4::Writer,
    open::{self, Reading},
    provenance::Provenance,
    source::{Clock, Losses, Recording},
    start,
    wanted::Wanted,
};

const PROGRAM: &str = "zed_svo_grid_to_mp4";
/// More are no help to anybody.
const CAMERAS_MAX: usize = 16;
/// A grid of single pictures is shown for a 30th of a second.
const INTERVAL: u64 = 33_333_333;
/// Two weeks: a clock that is wrong, and not a recording.
const LENGTH_MAX: u64 = 14 * 24 * 3600 * 1_000_000_000;

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    let (files, output) = args.files()?;
    let target = Target::new(&output, args.overwrite, &files)?;
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    interrupt::listen();
    let cameras = |path: PathBuf| {
        let labels = open::cameras(&path, &args.reading);
        labels.into_iter().map(move |label| Input { path: path.clone(), label })
    };
    let inputs: Vec<_> = files.into_iter().flat_map(cameras).collect();
    if inputs.len() > CAMERAS_MAX {
        return Err(Failure::Configuration(format!(
            "{} cameras are too many for a grid; give {CAMERAS_MAX} at most",
            inputs.len()
        )));
    }
    let mut recordings = Vec::new();
    for Input { path, label } in &inputs {
        let reading = Reading { camera_label: label.clone(), ..args.reading.clone() };
        recordings.push(open::open(path, &reading, &Wanted::default())?);
    }
    let plan = Plan::new(&args, &inputs, &recordings)?;
    say(PROGRAM, &format!("{} cameras, from {} s on", inputs.len(), label::text(plan.start)));
    let summary =
        args.encoding.attempt(PROGRAM, |choice| convert(&mut recordings, &inputs, &plan, &args, choice, &target))?;
    report::print(&summary, args.json, || summary.to_string())?;
    Ok(())
}

/// A camera of a recording.
#[derive(Clone, Debug)]
struct Input {
    path: PathBuf,
    /// What it is called, in a recording that says so.
    label: Option<String>,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "{} ({})", self.path.display(), label.escape_debug()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// The common timeline: as fast as the fastest camera.
#[derive(Debug)]
struct Plan {
    start: u64,
    interval: u64,
    frames: usize,
    /// Numbers of each camera's pictures.
    ranges: Vec<RangeInclusive<usize>>,
    clock: Clock,
}

impl Plan {
    fn new(args: &Args, inputs: &[Input], recordings: &[Box<dyn Recording>]) -> Result<Self, Failure> {
        let timestamps = || recordings.iter().map(|recording| &recording.facts().timestamps[..]);
        let clock = recordings[0].facts().clock;
        if let Some(other) = recordings.iter().position(|recording| recording.facts().clock != clock) {
            return Err(Failure::Configuration(format!(
                "{} and {} were recorded by different clocks; give recordings of one clock",
                inputs[0], inputs[other]
            )));
        }
        let firsts = timestamps().map(|timestamps| timestamps[0]);
        let start = start::common_start(firsts).expect("there is a recording");
        let mut positions = Vec::new();
        for (timestamps, input) in timestamps().zip(inputs) {
            let position = start::position_at(timestamps, start).ok_or_else(|| {
                Failure::Configuration(format!(
                    "{input} ended before another camera began; give recordings of the same time"
                ))
            })?;
            positions.push(position);
        }
        let interval = recordings.iter().filter_map(|recording| recording.facts().interval()).min().unwrap_or(INTERVAL);
        let last = timestamps().filter_map(|timestamps| timestamps.last()).max().map_or(start, |last| *last);
        let length = match args.duration_seconds {
            // Its last picture is shown for an interval.
            Some(seconds) => ((seconds * 1e9) as u64).saturating_sub(interval).min(last - start),
            None => last - start,
        };
        if length > LENGTH_MAX {
            return Err(Failure::Configuration(format!(
                "the recordings seem to last {} hours: a clock was set meanwhile; give a --duration-seconds",
                length / 3_600_000_000_000
            )));
        }
        // Cameras do not keep exact intervals.
        let frames = ((length + interval / 2) / interval) as usize + 1;
        let last = moment(start, interval, frames - 1);
        let ranges = timestamps()
            .zip(positions)
            .map(|(timestamps, first)| {
                first..=timestamps.partition_point(|&timestamp| timestamp <= last).max(first + 1) - 1
            })
            .collect();
        Ok(Self { start, interval, frames, ranges, clock })
    }
}

/// Until when pictures may have been taken that are shown in a frame: cameras do not expose at the same instant.
fn moment(start: u64, interval: u64, number: usize) -> u64 {
    start + number as u64 * interval + interval / 2
}

fn convert(
    recordings: &mut [Box<dyn Recording>],
    inputs: &[Input],
    plan: &Plan,
    args: &Args,
    choice: &Choice,
    target: &Target,
) -> Result<Summary, EncodeError> {
    let mut tiles = Vec::new();
    for (recording, range) in recordings.iter_mut().zip(&plan.ranges) {
        tiles.push(Tile::begin(recording.as_mut(), range.clone())?);
    }
    let (size, form) = tile_size(&tiles, inputs, args.tile_scale)?;
    let mut canvas = Canvas::new(tiles.len(), size, &form)?;
    let facts = tiles[0].facts();
    let rectified =
        tiles.iter().map(|tile| tile.facts().rectified).reduce(|one, next| if one == next { one } else { None });
    let tags = Provenance {
        first_timestamp_ns: plan.start,
        clock: plan.clock.name().to_owned(),
        first_frame: *plan.ranges[0].start(),
        rectified: rectified.flatten(),
        intrinsics: None,
        camera_serial: None,
        provider: facts.provider.to_owned(),
    }
    .tags();
    let mut writer = Writer::new(target, &args.encoding, choice, canvas.info(), plan.interval, &tags)?;
    let name = target.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut progress = Progress::new(PROGRAM, &name, plan.frames);
    for number in 0..plan.frames {
        let since = number as u64 * plan.interval;
        let moment = moment(plan.start, plan.interval, number);
        for (place, tile) in tiles.iter_mut().enumerate() {
            tile.advance(moment, plan.interval, &mut canvas, place)?;
        }
        canvas.label(plan.start + since)?;
        writer.push(canvas.picture(), gst::ClockTime::from_nseconds(since))?;
        progress.at(number + 1);
    }
    writer.finish((plan.clock == Clock::Unix).then_some(plan.start / 1_000_000_000))?;
    drop(progress);
    let cameras = tiles
        .iter()
        .zip(inputs)
        .map(|(tile, Input { path, label })| Camera {
            input: path.clone(),
            label: label.clone(),
            shown: tile.shown,
            losses: tile.losses(),
        })
        .collect();
    Ok(Summary {
        output: target.path().to_owned(),
        encoder: choice.name(),
        rectified: rectified.flatten(),
        frames: plan.frames,
        clock: plan.clock.name(),
        first_timestamp_ns: plan.start,
        cameras,
    })
}

/// All tiles have the size of the first camera's. And the form of its pictures.
fn tile_size(tiles: &[Tile<'_>], inputs: &[Input], scale: f64) -> Result<((usize, usize), VideoInfo), Failure> {
    let mut first = None;
    for (tile, input) in tiles.iter().zip(inputs) {
        let form = tile.form().ok_or_else(|| no_picture(input))?;
        let first = first.get_or_insert(form);
        if (first.width(), first.height()) != (form.width(), form.height()) {
            return Err(Failure::Configuration(format!(
                "{input} has pictures of another size than {}; give recordings of one size",
                inputs[0]
            )));
        }
    }
    let first = first.expect("there is a recording");
    // Chroma is halved; encoders want no less than 16.
    let side = |side: u32| ((f64::from(side) * scale / 2.0).round() as usize * 2).max(16);
    Ok(((side(first.width()), side(first.height())), first.clone()))
}

fn no_picture(input: &Input) -> Failure {
    Failure::Threshold(format!("{input}: no picture of it can be shown from the common start on"))
}

/// What was made of what.
#[derive(Debug, Serialize)]
struct Summary {
    output: PathBuf,
    encoder: &'static str,
    rectified: Option<bool>,
    frames: usize,
    clock: &'static str,
    first_timestamp_ns: u64,
    cameras: Vec<Camera>,
}

#[derive(Debug, Serialize)]
struct Camera {
    input: PathBuf,
    label: Option<String>,
    shown: usize,
    #[serde(flatten)]
    losses: Losses,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "output: {}", self.output.display())?;
        writeln!(f, "encoder: {}", self.encoder)?;
        writeln!(f, "frames: {}", self.frames)?;
        for Camera { input, label, shown, losses } in &self.cameras {
            writeln!(
                f,
                "{}: {shown} shown, {} damaged, {} undecoded{}",
                Input { path: input.clone(), label: label.clone() },
                losses.damaged,
                losses.undecoded,
                if losses.cut { ", ends early" } else { "" }
            )?;
        }
        writeln!(f, "begins: {} s, {} clock", label::text(self.first_timestamp_ns), self.clock)
    }
}
