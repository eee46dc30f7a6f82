//! `zed_svo_to_mp4`: the left pictures of a recording as an MP4 file.

mod args;
mod summary;

use std::ops::RangeInclusive;

use tools_cli::{
    command_line,
    failure::Failure,
    interrupt,
    progress::{Progress, say},
    report,
    target::Target,
};
use tools_media::encoders::Choice;

pub use self::args::Args;
use self::summary::Summary;
use super::{
    encode_error::EncodeError,
    mp4::Writer,
    open,
    provenance::Provenance,
    range,
    source::{Clock, Recording},
    wanted::Wanted,
};

const PROGRAM: &str = "zed_svo_to_mp4";
/// A recording whose only picture is this has no cadence; it is shown for a 30th of a second.
const INTERVAL: u64 = 33_333_333;
/// No camera pauses so long: the clock was set. Source: half of what a sample's 32 bits hold in MP4.
const PAUSE_MAX: u64 = 6 * 3600 * 1_000_000_000;

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    match command_line::parse::<Args>()? {
        Some(args) => run_with(&args),
        None => Ok(()),
    }
}

/// The program, told this.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run_with(args: &Args) -> Result<(), Failure> {
    let output = args.output.clone().unwrap_or_else(|| args.input.with_extension("mp4"));
    let target = Target::new(&output, args.overwrite, std::slice::from_ref(&args.input))?;
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
    interrupt::listen();
    let mut recording = open::open(&args.input, &args.reading, &Wanted::default())?;
    let frames = recording.facts().frames();
    let range = range::chosen(PROGRAM, "picture", frames, args.start_frame, args.end_frame)?;
    say(PROGRAM, &recording.facts().sentence());
    let encoding = args.encoding;
    let summary =
        encoding.attempt(PROGRAM, |choice| convert(recording.as_mut(), args, range.clone(), choice, &target))?;
    report::print(&summary, args.json, || summary.to_string())?;
    Ok(())
}

fn convert(
    recording: &mut dyn Recording,
    args: &Args,
    range: RangeInclusive<usize>,
    choice: &Choice,
    target: &Target,
) -> Result<Summary, EncodeError> {
    let frames = range.clone().count();
    let interval = recording.facts().interval().unwrap_or(INTERVAL);
    let name = args.input.file_name().unwrap_or_default().to_string_lossy();
    let mut progress = Progress::new(PROGRAM, &name, frames);
    recording.begin(range.clone())?;
    let mut made: Option<(Writer, gst_video::VideoInfo, u64)> = None;
    let (mut written, mut concealed, mut last) = (0, 0, 0);
    while let Some(picture) = recording.next()? {
        let (writer, info, first) = match &mut made {
            Some(made) => made,
            none => {
                let tags = Provenance::new(recording.facts(), &picture).tags();
                let writer = Writer::new(target, &args.encoding, choice, &picture.info, interval, &tags)?;
                last = picture.timestamp;
                none.insert((writer, picture.info.clone(), picture.timestamp))
            }
        };
        if (picture.info.width(), picture.info.height(), picture.info.format())
            != (info.width(), info.height(), info.format())
        {
            return Err(Failure::Configuration(format!(
                "its pictures change from {} x {} to {} x {} at {}; convert the two parts by --end-frame and --start-frame",
                info.width(),
                info.height(),
                picture.info.width(),
                picture.info.height(),
                picture.index
            ))
            .into());
        }
        if picture.timestamp - last > PAUSE_MAX {
            return Err(Failure::Configuration(format!(
                "its clock leaps by {} s before picture {}; convert the two parts by --end-frame and --start-frame",
                (picture.timestamp - last) / 1_000_000_000,
                picture.index
            ))
            .into());
        }
        writer.push(&picture.buffer, gst::ClockTime::from_nseconds(picture.timestamp - *first))?;
        written += 1;
        concealed += usize::from(picture.concealed);
        last = picture.timestamp;
        progress.at(picture.index - range.start() + 1);
    }
    let Some((writer, _, first)) = made else {
        return Err(Failure::Threshold(format!(
            "none of the {frames} pictures from {} to {} can be shown: they are damaged",
            range.start(),
            range.end()
        ))
        .into());
    };
    let facts = recording.facts();
    writer.finish((facts.clock == Clock::Unix).then_some(first / 1_000_000_000))?;
    drop(progress);
    Ok(Summary {
        output: target.path().to_owned(),
        encoder: choice.name(),
        provider: facts.provider,
        rectified: facts.rectified,
        frames,
        written,
        concealed,
        losses: recording.losses(),
        clock: facts.clock.name(),
        first_timestamp_ns: first,
        last_timestamp_ns: last,
    })
}
