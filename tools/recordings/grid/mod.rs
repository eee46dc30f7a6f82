//! `zed_svo_grid_to_mp4`: the recordings of several cameras in one picture.

pub(crate) mod args;
mod canvas;
mod label;
mod tile;

use std::{
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use gst_video::VideoInfo;
use serde::Serialize;

use self::{args::Args, canvas::Canvas, tile::Tile};
use super::{
    encoder::Choice,
    interrupt,
    line::Trouble,
    mp4::Writer,
    open,
    progress::{Progress, say},
    provenance::Provenance,
    source::{Clock, Losses, Recording},
    start,
    target::Target,
    wanted::Wanted,
};
use crate::common::{cli, failure::Failure, report};

const PROGRAM: &str = "zed_svo_grid_to_mp4";
/// A grid of single pictures is shown for a 30th of a second.
const INTERVAL: u64 = 33_333_333;
/// Two weeks: a clock that is wrong, and not a recording.
const LENGTH_MAX: u64 = 14 * 24 * 3600 * 1_000_000_000;

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = cli::parse::<Args>()? else {
        return Ok(());
    };
    let (inputs, output) = args.files()?;
    let target = Target::new(&output, args.overwrite, &inputs)?;
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    interrupt::listen();
    let open = |input: &PathBuf| open::open(input, &args.reading, &Wanted::default());
    let mut recordings = inputs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(&args, &inputs, &recordings)?;
    say(PROGRAM, &format!("{} cameras, from {} s on", inputs.len(), label::text(plan.start)));
    let summary =
        args.encoding.attempt(PROGRAM, |choice| convert(&mut recordings, &inputs, &plan, &args, choice, &target))?;
    report::print(&summary, args.json, || summary.to_string());
    Ok(())
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
    fn new(args: &Args, inputs: &[PathBuf], recordings: &[Box<dyn Recording>]) -> Result<Self, Failure> {
        let timestamps = || recordings.iter().map(|recording| &recording.facts().timestamps[..]);
        let clock = recordings[0].facts().clock;
        if let Some(other) = recordings.iter().position(|recording| recording.facts().clock != clock) {
            return Err(Failure::Configuration(format!(
                "{} and {} were recorded by different clocks; give recordings of one clock",
                inputs[0].display(),
                inputs[other].display()
            )));
        }
        let firsts = timestamps().map(|timestamps| timestamps[0]);
        let start = start::common_start(firsts).expect("there is a recording");
        let mut positions = Vec::new();
        for (timestamps, input) in timestamps().zip(inputs) {
            let position = start::position_at(timestamps, start).ok_or_else(|| {
                Failure::Configuration(format!(
                    "{} ended before another camera began; give recordings of the same time",
                    input.display()
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
    inputs: &[PathBuf],
    plan: &Plan,
    args: &Args,
    choice: Choice,
    target: &Target,
) -> Result<Summary, Trouble> {
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
        .map(|(tile, input)| Camera { input: input.clone(), shown: tile.shown, losses: tile.losses() })
        .collect();
    Ok(Summary {
        output: target.path().to_owned(),
        encoder: choice.factory,
        rectified: rectified.flatten(),
        frames: plan.frames,
        clock: plan.clock.name(),
        first_timestamp_ns: plan.start,
        cameras,
    })
}

/// All tiles have the size of the first camera's. And the form of its pictures.
fn tile_size(tiles: &[Tile<'_>], inputs: &[PathBuf], scale: f64) -> Result<((usize, usize), VideoInfo), Failure> {
    let mut first = None;
    for (tile, input) in tiles.iter().zip(inputs) {
        let form = tile.form().ok_or_else(|| no_picture(input))?;
        let first = first.get_or_insert(form);
        if (first.width(), first.height()) != (form.width(), form.height()) {
            return Err(Failure::Configuration(format!(
                "{} has pictures of another size than {}; give recordings of one size",
                input.display(),
                inputs[0].display()
            )));
        }
    }
    let first = first.expect("there is a recording");
    // Chroma is halved; encoders want no less than 16.
    let side = |side: u32| ((f64::from(side) * scale / 2.0).round() as usize * 2).max(16);
    Ok(((side(first.width()), side(first.height())), first.clone()))
}

fn no_picture(input: &Path) -> Failure {
    Failure::Threshold(format!("{}: no picture of it can be shown from the common start on", input.display()))
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
    shown: usize,
    #[serde(flatten)]
    losses: Losses,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "output: {}", self.output.display())?;
        writeln!(f, "encoder: {}", self.encoder)?;
        writeln!(f, "frames: {}", self.frames)?;
        for Camera { input, shown, losses } in &self.cameras {
            writeln!(
                f,
                "{}: {shown} shown, {} damaged, {} undecoded{}",
                input.display(),
                losses.damaged,
                losses.undecoded,
                if losses.cut { ", ends early" } else { "" }
            )?;
        }
        writeln!(f, "begins: {} s, {} clock", label::text(self.first_timestamp_ns), self.clock)
    }
}
