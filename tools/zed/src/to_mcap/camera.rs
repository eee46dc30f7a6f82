//! A camera on its way into the file.

use std::{ops::RangeInclusive, path::Path};

use gst::prelude::*;
use gst_video::VideoInfo;
use tools_cli::failure::Failure;
use tools_media::{
    codec, elements,
    encoders::{Choice, stored::Purpose},
};

use super::plan::INTERVAL;
use crate::{
    encode_error::EncodeError,
    encoder::Encoding,
    line::Line,
    picture::Picture,
    source::{Facts, Losses, Recording},
};

/// Reads and encodes the pictures of a recording.
pub struct Camera<'a> {
    recording: &'a mut dyn Recording,
    /// The next picture, when it was read too early.
    ahead: Option<Picture>,
    /// Number of the next picture that nothing is known of.
    next: usize,
    /// Pictures that did not come, since it was last asked for.
    lost: usize,
    form: Option<VideoInfo>,
    encoder: Option<Encoder>,
    /// Pictures that came and were not asked for.
    pub passed_over: usize,
}

impl<'a> Camera<'a> {
    /// Begins with the first picture of a range.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn begin(recording: &'a mut dyn Recording, range: RangeInclusive<usize>) -> Result<Self, Failure> {
        let next = *range.start();
        recording.begin(range)?;
        Ok(Self { recording, ahead: None, next, lost: 0, form: None, encoder: None, passed_over: 0 })
    }

    pub fn facts(&self) -> &Facts {
        self.recording.facts()
    }

    /// What its range lacked, when it has been read to its end.
    pub fn losses(&self) -> Losses {
        self.recording.losses()
    }

    /// The picture with this number, when it can be shown. Numbers rise from one time to the next.
    ///
    /// # Errors
    /// When it cannot be read or decoded, or the pictures change.
    pub fn picture(&mut self, number: usize) -> Result<Option<Picture>, Failure> {
        while self.next <= number {
            let picture = match self.ahead.take() {
                Some(picture) => Some(picture),
                None => self.recording.next()?,
            };
            match picture {
                Some(picture) if picture.index <= number => {
                    self.lost += picture.index.saturating_sub(self.next);
                    self.next = picture.index + 1;
                    if picture.index == number {
                        self.keeps_form(&picture)?;
                        return Ok(Some(picture));
                    }
                    self.passed_over += 1;
                }
                later => {
                    self.ahead = later;
                    self.lost += number + 1 - self.next;
                    self.next = number + 1;
                }
            }
        }
        Ok(None)
    }

    /// Pictures that did not come, since this was last asked for.
    pub fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    fn keeps_form(&mut self, picture: &Picture) -> Result<(), Failure> {
        let form = self.form.get_or_insert_with(|| picture.info.clone());
        let parts = |info: &VideoInfo| (info.width(), info.height(), info.format());
        if parts(form) == parts(&picture.info) {
            return Ok(());
        }
        Err(Failure::Configuration(format!(
            "its pictures change from {} x {} to {} x {} at {}; convert the two parts by --end-frame and --start-frame",
            form.width(),
            form.height(),
            picture.info.width(),
            picture.info.height(),
            picture.index
        )))
    }

    /// Hands a picture to the encoder. Waits while that has enough to do.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn encode(
        &mut self,
        picture: Picture,
        with: (&Encoding, &Choice),
        directory: &Path,
    ) -> Result<(), EncodeError> {
        let interval = self.recording.facts().interval().unwrap_or(INTERVAL);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(with, &picture, interval, directory)?),
        };
        encoder.push(picture)
    }

    /// An access unit that is there, with its picture's timestamp.
    ///
    /// # Errors
    /// What the pipeline complains of.
    pub fn unit(&mut self) -> Result<Option<(u64, Vec<u8>)>, EncodeError> {
        self.encoder.as_ref().map_or(Ok(None), Encoder::unit)
    }

    /// Has everything encoded that was handed over. A picture behind it begins with a keyframe.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn drain(&mut self) -> Result<Vec<(u64, Vec<u8>)>, EncodeError> {
        let Some(encoder) = self.encoder.take() else {
            return Ok(Vec::new());
        };
        encoder.line.finish()?;
        let mut units = Vec::new();
        while let Some(unit) = encoder.unit()? {
            units.push(unit);
        }
        Ok(units)
    }

    /// Reads its range to the end, for what it lacked to be known.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn finish(&mut self) -> Result<(), Failure> {
        while self.recording.next()?.is_some() {
            self.passed_over += 1;
        }
        Ok(())
    }
}

/// The encoder at work.
struct Encoder {
    line: Line,
    sink: gst_app::AppSink,
    /// Its pipeline's time counts from here.
    epoch: u64,
    interval: gst::ClockTime,
}

impl Encoder {
    fn new(
        (encoding, choice): (&Encoding, &Choice),
        first: &Picture,
        interval: u64,
        directory: &Path,
    ) -> Result<Self, EncodeError> {
        let stream = elements::filter(codec::byte_stream(encoding.codec))?;
        let sink: gst_app::AppSink = elements::make_app("appsink")?;
        // The end is told when it is there, and not when everything has been taken out.
        sink.set_wait_on_eos(false);
        sink.set_property("sync", false);
        sink.set_property("async", false);
        let encoder = (encoding, choice, Purpose::Messages);
        let line = Line::new(encoder, &first.info, interval, &[&stream, sink.upcast_ref()], directory)?;
        Ok(Self { line, sink, epoch: first.timestamp, interval: gst::ClockTime::from_nseconds(interval) })
    }

    fn push(&self, picture: Picture) -> Result<(), EncodeError> {
        let time = gst::ClockTime::from_nseconds(picture.timestamp.saturating_sub(self.epoch));
        self.line.push(picture.buffer, time, self.interval)
    }

    fn unit(&self) -> Result<Option<(u64, Vec<u8>)>, EncodeError> {
        let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::ZERO) else {
            return Ok(None);
        };
        let unreadable = || Failure::Pipeline("an access unit cannot be read".to_owned());
        let buffer = sample.buffer().ok_or_else(unreadable)?;
        // Encoders may shift their timestamps, and tell by how much.
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let time = segment.zip(buffer.pts()).and_then(|(segment, pts)| segment.to_running_time(pts));
        let time = time.ok_or_else(|| Failure::Pipeline("an access unit has no timestamp".to_owned()))?;
        let unit = buffer.map_readable().map_err(|_| unreadable())?.to_vec();
        Ok(Some((self.epoch + time.nseconds(), unit)))
    }
}
