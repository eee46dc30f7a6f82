//! Video files that GStreamer reads, MP4 and Matroska among them, for people without a ZED camera and for what we made.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use tools_cli::failure::Failure;

use super::{
    camera::Intrinsics,
    decoder::Decoder,
    picture::{self, Picture},
    provenance::Provenance,
    source::{Clock, Facts, Losses, Recording},
};

/// A video file with the pictures of one camera.
#[derive(Debug)]
pub struct Container {
    path: PathBuf,
    facts: Facts,
    /// Of each picture, as the file counts.
    times: Vec<u64>,
    range: RangeInclusive<usize>,
    shown: usize,
    decoder: Option<Decoder>,
}

impl Container {
    /// Looks through the file without decoding it.
    ///
    /// # Errors
    /// When there is no video in it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let mut units = Decoder::units_of(path)?;
        let mut times = Vec::new();
        let mut compression = None;
        while let Some(unit) = units.next()? {
            times.extend(time(&unit));
            if compression.is_none() {
                compression = unit.caps().and_then(|caps| Some(name(caps.structure(0)?.name())));
            }
        }
        let provenance = units.tags().iter().find_map(Provenance::of_tags);
        // In the order in which they are shown, which with B-frames is not that of the file.
        times.sort_unstable();
        times.dedup();
        let Some(&first) = times.first() else {
            return Err(Failure::Configuration("there are no pictures with timestamps in it".to_owned()));
        };
        let begin = provenance.as_ref().map_or(0, |known| known.first_timestamp_ns);
        let timestamps: Vec<_> = times.iter().map(|time| begin.saturating_add(time - first)).collect();
        let facts = Facts {
            provider: "gstreamer",
            compression: compression.unwrap_or_default(),
            intrinsics: provenance.as_ref().and_then(|known| known.intrinsics).filter(Intrinsics::is_usable),
            clock: provenance.as_ref().map_or(Clock::Start, |known| Clock::of(known.first_timestamp_ns)),
            rectified: provenance.as_ref().and_then(|known| known.rectified),
            serial: provenance.and_then(|known| known.camera_serial),
            timestamps,
        };
        Ok(Self { path: path.to_owned(), facts, times, range: 0..=0, shown: 0, decoder: None })
    }
}

impl Recording for Container {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        self.range = range;
        self.shown = 0;
        self.decoder = Some(Decoder::file(&self.path)?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        let named = |failure| match failure {
            Failure::Pipeline(why) => Failure::Pipeline(format!("{}: {why}", self.path.display())),
            failure => failure,
        };
        while let Some(sample) = decoder.next().map_err(named)? {
            let (Some(time), Some((buffer, info))) = (time(&sample), picture::of_sample(&sample)) else {
                continue;
            };
            let Ok(index) = self.times.binary_search(&time) else {
                continue;
            };
            let timestamp = self.facts.timestamps[index];
            if index > *self.range.end() {
                break;
            }
            if index >= *self.range.start() {
                self.shown += 1;
                let concealed = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
                return Ok(Some(Picture { index, timestamp, buffer, info, concealed, depth: None, pose: None }));
            }
        }
        self.decoder = None;
        Ok(None)
    }

    fn losses(&self) -> Losses {
        Losses { undecoded: self.range.clone().count().saturating_sub(self.shown), ..Losses::default() }
    }
}

/// The picture's own time. Not its place in the segment: Matroska's demuxer sends another one behind the first picture,
/// and pictures before and after it would be placed differently by parser and decoder.
fn time(sample: &gst::Sample) -> Option<u64> {
    sample.buffer()?.pts().map(gst::ClockTime::nseconds)
}

fn name(media_type: &str) -> &'static str {
    match media_type {
        "video/x-h264" => "H.264",
        "video/x-h265" => "H.265",
        "image/jpeg" => "JPEG",
        _ => "video",
    }
}
