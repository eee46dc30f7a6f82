//! `picture_compare`: checks that received pictures are the ones that were sent.

mod alignment;
mod args;
mod contact_sheet;
mod decode;
mod likeness;

use std::path::Path;

use tools_cli::{command_line, failure::Failure};

use self::{alignment::AlignmentError, args::Args, contact_sheet::Tile, decode::Decoder, likeness::Small};
use super::report::Report;

/// Frames of one file at most: two minutes at 60 per second. Each is kept in memory as 14 kB.
const MAX_FRAMES: usize = 7200;

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer cannot be started: {error}")))?;
    let mut found = Found::default();
    let outcome = compare(&args, &mut found);
    found.report().print(outcome, args.json)
}

#[derive(Default)]
struct Found {
    sent_frames: usize,
    received_frames: usize,
    size: Option<(u32, u32)>,
    /// The sent frame of each received one.
    matches: Vec<usize>,
    /// Luma PSNR of each received frame.
    psnr: Vec<f64>,
    /// Which pairs are on the contact sheet, as sent:received.
    sheet: Vec<String>,
}

impl Found {
    fn worst(&self) -> Option<(usize, f64)> {
        self.psnr.iter().copied().enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    fn report(&self) -> Report {
        let mut report = Report::default();
        let decibels = |value: f64| (value * 100.0).round() / 100.0;
        let first = self.matches.first().copied();
        let last = self.matches.last().copied();
        report.push("sent_frames", self.sent_frames);
        report.push("received_frames", self.received_frames);
        report.push("matched", self.psnr.len());
        report.push("first_sent", first);
        report.push("last_sent", last);
        report.push("skipped", first.zip(last).map(|(first, last)| last - first + 1 - self.matches.len()));
        report.push("width", self.size.map(|(width, _)| width));
        report.push("height", self.size.map(|(_, height)| height));
        report.push("min_psnr_db", self.worst().map(|(_, psnr)| decibels(psnr)));
        report.push("worst_received", self.worst().map(|(index, _)| index));
        report.push(
            "mean_psnr_db",
            (!self.psnr.is_empty()).then(|| decibels(self.psnr.iter().sum::<f64>() / self.psnr.len() as f64)),
        );
        report.push("contact_sheet", self.sheet.join(","));
        report
    }
}

fn compare(args: &Args, found: &mut Found) -> Result<(), Failure> {
    let sent = small_pictures(&args.sent)?;
    let received = small_pictures(&args.received)?;
    found.sent_frames = sent.frames.len();
    found.received_frames = received.frames.len();
    found.size = received.size;
    if sent.frames.is_empty() {
        return Err(Failure::Protocol(format!("{} holds no frames", args.sent.display())));
    }
    if let (Some(sent), Some(received)) = (sent.size, received.size)
        && sent != received
    {
        return Err(Failure::Protocol(format!(
            "the sent pictures are {}x{}, the received ones {}x{}",
            sent.0, sent.1, received.0, received.1
        )));
    }
    found.matches = alignment::align(&sent.frames, &received.frames).map_err(|error| match error {
        AlignmentError::TooManyReceived => Failure::Protocol(format!(
            "{} frames were received and {} sent: some are repeated, or of something else",
            received.frames.len(),
            sent.frames.len()
        )),
        AlignmentError::TooMuchWork => {
            Failure::Configuration("the clips are too long and too different in length to be matched: cut them".into())
        }
    })?;
    compare_matched(args, found)?;
    judge(args, found)?;
    if let Some((index, earlier)) = alignment::find_repetition(&sent.frames, &received.frames, &found.matches) {
        return Err(Failure::Protocol(format!(
            "received frame {index} shows sent frame {earlier}, and sent frame {} came before it: it repeats or goes \
             back",
            found.matches[index - 1]
        )));
    }
    Ok(())
}

struct SmallPictures {
    frames: Vec<Small>,
    size: Option<(u32, u32)>,
}

fn small_pictures(path: &Path) -> Result<SmallPictures, Failure> {
    let mut decoder = Decoder::open(path)?;
    let mut pictures = SmallPictures { frames: Vec::new(), size: None };
    while let Some(picture) = decoder.next_picture()? {
        if pictures.frames.len() == MAX_FRAMES {
            return Err(Failure::Configuration(format!(
                "{} has more than {MAX_FRAMES} frames: cut it",
                path.display()
            )));
        }
        pictures.size = Some((picture.width, picture.height));
        pictures.frames.push(Small::of(&picture.luma, picture.width as usize, picture.height as usize));
    }
    Ok(pictures)
}

/// Goes through both files once more and compares each matched pair in its full size.
fn compare_matched(args: &Args, found: &mut Found) -> Result<(), Failure> {
    let columns = match args.contact_sheet {
        Some(_) => contact_sheet::columns(found.matches.len()),
        None => Vec::new(),
    };
    let mut tiles = Vec::new();
    let mut sent = Decoder::open(&args.sent)?;
    let mut received = Decoder::open(&args.received)?;
    let mut next_sent = 0;
    for (index, wanted) in found.matches.iter().enumerate() {
        let changed = || Failure::Configuration("the files gave fewer frames when read once more".to_owned());
        let received = received.next_picture()?.ok_or_else(changed)?;
        let sent = loop {
            let picture = sent.next_picture()?.ok_or_else(changed)?;
            next_sent += 1;
            if next_sent > *wanted {
                break picture;
            }
        };
        let psnr = likeness::psnr(&sent.luma, &received.luma);
        let is_first_unlike = psnr < args.min_psnr && found.psnr.iter().all(|psnr| *psnr >= args.min_psnr);
        found.psnr.push(psnr);
        if columns.contains(&index) || (is_first_unlike && args.contact_sheet.is_some()) {
            tiles.push((Tile::of(&sent)?, Tile::of(&received)?));
            found.sheet.push(format!("{wanted}:{index}"));
        }
    }
    match &args.contact_sheet {
        Some(path) if !tiles.is_empty() => contact_sheet::write(path, &tiles),
        _ => Ok(()),
    }
}

fn judge(args: &Args, found: &Found) -> Result<(), Failure> {
    let unlike = found.psnr.iter().enumerate().find(|(_, psnr)| **psnr < args.min_psnr);
    if let Some((index, psnr)) = unlike {
        return Err(Failure::Protocol(format!(
            "received frame {index} is not like sent frame {}, its best match: luma PSNR {psnr:.2} dB, {} are wanted",
            found.matches[index], args.min_psnr
        )));
    }
    if (found.psnr.len() as u64) < args.min_frames {
        return Err(Failure::Threshold(format!(
            "{} frames were received, {} are wanted",
            found.psnr.len(),
            args.min_frames
        )));
    }
    Ok(())
}
