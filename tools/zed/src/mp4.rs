//! An MP4 file with its index in front, made from pictures with timestamps of their own.

use gst::prelude::*;
use gst_video::VideoInfo;
use tempfile::{NamedTempFile, TempPath};
use tools_cli::target::Target;
use tools_media::{
    elements,
    encoders::{Choice, stored::Purpose},
};

use super::{encode_error::EncodeError, encoder::Encoding, line::Line, mp4_date};

/// Units of the file's timestamps in a second: the usual one of video, 11 microseconds.
const TIMESCALE: u32 = 90_000;

/// A file that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    // Before the files: it writes to them.
    line: Line,
    file: NamedTempFile,
    /// Where the pictures wait until the index in front of them is known.
    _pictures: TempPath,
    target: Target,
    interval: gst::ClockTime,
    last: Option<(gst::Buffer, gst::ClockTime)>,
}

impl Writer {
    /// Begins a file of such pictures, usually `interval` nanoseconds apart.
    ///
    /// # Errors
    /// When the file or the pipeline cannot be made.
    pub fn new(
        target: &Target,
        encoding: &Encoding,
        choice: &Choice,
        info: &VideoInfo,
        interval: u64,
        tags: &gst::TagList,
    ) -> Result<Self, EncodeError> {
        let file = target.beside(".partial")?;
        let pictures = target.beside(".pictures.partial")?.into_temp_path();
        let muxer = elements::make("mp4mux")?;
        muxer.set_property("faststart", true);
        muxer.set_property("faststart-file", pictures.to_str());
        muxer.set_property("trak-timescale", TIMESCALE);
        muxer.set_property("movie-timescale", TIMESCALE);
        if let Some(tagged) = muxer.dynamic_cast_ref::<gst::TagSetter>() {
            tagged.merge_tags(tags, gst::TagMergeMode::ReplaceAll);
        }
        let sink = elements::make("filesink")?;
        sink.set_property("location", file.path());
        sink.set_property("sync", false);
        sink.set_property("async", false);
        let encoder = (encoding, choice, Purpose::File);
        let line = Line::new(encoder, info, interval, &[&muxer, &sink], target.directory())?;
        Ok(Self {
            line,
            file,
            _pictures: pictures,
            target: target.clone(),
            interval: gst::ClockTime::from_nseconds(interval),
            last: None,
        })
    }

    /// Writes a picture that is shown from `time` on. Waits while the encoder has enough to do.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn push(&mut self, picture: &gst::Buffer, time: gst::ClockTime) -> Result<(), EncodeError> {
        // Each is shown until the next.
        if let Some((last, from)) = self.last.replace((picture.clone(), time)) {
            self.line.push(last, from, time.saturating_sub(from))?;
        }
        Ok(())
    }

    /// Writes the rest, with the date when it is known, and gives the file its name.
    ///
    /// # Errors
    /// What the pipeline or the file system complains of, or [`Failure::Interrupted`].
    pub fn finish(mut self, unix_seconds: Option<u64>) -> Result<(), EncodeError> {
        if let Some((last, from)) = self.last.take() {
            self.line.push(last, from, self.interval)?;
        }
        self.line.finish()?;
        drop(self.line);
        if let Some(seconds) = unix_seconds {
            mp4_date::set(self.file.as_file(), seconds).map_err(|error| self.target.unwritable(&error))?;
        }
        Ok(self.target.keep(self.file)?)
    }
}
