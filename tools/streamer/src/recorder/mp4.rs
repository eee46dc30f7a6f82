//! A recording in fragmented MP4 files, written by stock elements: each fragment is playable once it is written.

use std::{os::fd::AsRawFd as _, path::PathBuf, sync::Arc};

use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{
    elements,
    running_time::{decoding_time, running_time},
};

use super::{
    RecordError,
    account::Account,
    fragments,
    moment::Moment,
    place::{NewFile, Place},
    recording::Sink,
};

/// A killed process loses no more than this.
const FRAGMENT_MS: u32 = 1000;
/// What waits for the muxer in its pipeline; the recording's own queue is before it.
const WAITING_BYTES: u64 = 4 << 20;
/// How often the muxer is looked at while it is full.
const ROOM_TICK: gst::ClockTime = gst::ClockTime::from_mseconds(20);
/// A disk that takes longer than this for the last fragment has failed.
const FINISH_MAX: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Writes MP4.
#[derive(Debug)]
pub struct Mp4Sink {
    place: Place,
    /// Number of the file, from the second on.
    number: u32,
    file: Option<Open>,
    /// A file that could not be given its name.
    left: Option<PathBuf>,
    account: Arc<Account>,
}

/// The file at work.
#[derive(Debug)]
struct Open {
    // Before `new`: the pipeline writes to its descriptor.
    line: Line,
    new: NewFile,
    begun: Option<Begun>,
}

/// What the file at work holds.
#[derive(Debug)]
struct Begun {
    caps: gst::Caps,
    /// Running time of the first access unit.
    start: i64,
    /// Decoding time of the last one: a new encoder's B-frames would have it begin before the end of the old one's.
    last: gst::ClockTime,
}

impl Mp4Sink {
    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(place: Place) -> Result<(Box<dyn Sink>, Arc<Account>), RecordError> {
        let account = Arc::new(Account::begin(place.path()));
        let new = place.create()?;
        let mut sink = Self { place, number: 1, file: None, left: None, account: Arc::clone(&account) };
        sink.open(new)?;
        Ok((Box::new(sink), account))
    }

    fn open(&mut self, new: NewFile) -> Result<(), RecordError> {
        let path = new.path();
        match Line::start(&new) {
            Ok(line) => {
                self.account.open(&new);
                self.file = Some(Open { line, new, begun: None });
                Ok(())
            }
            Err(error) => {
                new.discard();
                Err(RecordError::Failed { path, why: error.to_string() })
            }
        }
    }

    fn close(&mut self) -> Result<(), RecordError> {
        let Some(open) = self.file.take() else {
            return Ok(());
        };
        if open.begun.is_none() {
            drop(open.line);
            open.new.discard();
            return Ok(());
        }
        if let Err(error) = open.line.finish(&open.new) {
            self.file = Some(open);
            return Err(error);
        }
        drop(open.line);
        self.account.hold();
        if let Err(error) = open.new.keep() {
            self.left = Some(self.account.leave());
            return Err(error);
        }
        self.account.note(|status| status.files += 1);
        Ok(())
    }
}

impl Sink for Mp4Sink {
    fn record(&mut self, moment: &Moment) -> Result<(), RecordError> {
        let caps = moment.sample.caps_owned();
        let begun = self.file.as_ref().and_then(|open| open.begun.as_ref());
        // An MP4 track has one picture size and one set of parameters.
        if begun.is_some_and(|begun| Some(&begun.caps) != caps.as_ref()) {
            self.close()?;
            let (number, new) = self.place.create_next(self.number)?;
            self.number = number;
            self.open(new)?;
        }
        let (Some(open), Some(caps)) = (&mut self.file, caps) else {
            return Ok(());
        };
        let start = decoding_time(&moment.sample).unwrap_or_default();
        let begun = open.begun.get_or_insert(Begun { caps, start, last: gst::ClockTime::ZERO });
        open.line.push(moment, begun);
        self.account.note(|status| status.video += 1);
        open.line.make_room(&open.new)
    }

    fn body(&mut self, _packet: &[u8]) -> Result<(), RecordError> {
        Ok(())
    }

    fn tick(&mut self) -> Result<(), RecordError> {
        self.file.as_ref().map_or(Ok(()), |open| open.line.check(&open.new))
    }

    fn finish(&mut self) -> Result<(), RecordError> {
        self.close()
    }

    fn salvage(&mut self) -> Option<PathBuf> {
        let Some(open) = self.file.take() else {
            return self.left.take();
        };
        drop(open.line);
        if open.begun.is_none() {
            open.new.discard();
            return None;
        }
        // A file that cannot be read back may hold nothing.
        let whole = fragments::look_through(open.new.file()).unwrap_or_default();
        if whole.length > 0 {
            // Half a fragment is of no use to a player.
            let _ = open.new.file().set_len(whole.length);
        }
        self.account.hold_video(whole.units);
        Some(self.account.leave())
    }
}

/// The pipeline that writes.
#[derive(Debug)]
struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
}

impl Line {
    fn start(new: &NewFile) -> Result<Self, Failure> {
        let source = elements::make("appsrc")?
            .downcast::<gst_app::AppSrc>()
            .map_err(|_| Failure::Pipeline("the element 'appsrc' is not GStreamer's".to_owned()))?;
        source.set_format(gst::Format::Time);
        // It is never given so much that it would have to refuse.
        source.set_max_bytes(0);
        let muxer = elements::make("mp4mux")?;
        muxer.set_property("fragment-duration", FRAGMENT_MS);
        let sink = elements::make("fdsink")?;
        sink.set_property("fd", new.file().as_raw_fd());
        sink.set_property("sync", false);
        sink.set_property("async", false);
        let pipeline = gst::Pipeline::new();
        elements::add_chain(&pipeline, &[&muxer, &sink])?;
        pipeline
            .add(&source)
            .and_then(|()| source.link_pads(Some("src"), &muxer, Some("video_%u")))
            .map_err(|error| Failure::Pipeline(format!("the pipeline cannot be assembled: {error}")))?;
        let line = Self { pipeline, source };
        line.pipeline
            .set_state(gst::State::Playing)
            .map_err(|refused| Failure::Pipeline(format!("the pipeline does not start: {refused}")))?;
        Ok(line)
    }

    /// Writes an access unit, with timestamps that begin at the file's start and never go back.
    fn push(&self, moment: &Moment, begun: &mut Begun) {
        let (Some(buffer), Some(caps)) = (moment.sample.buffer(), moment.sample.caps_owned()) else {
            return;
        };
        let shift = |time: Option<gst::ClockTime>| {
            let time = running_time(&moment.sample, time?)?;
            Some(gst::ClockTime::from_nseconds(u64::try_from(time - begun.start).unwrap_or(0)).max(begun.last))
        };
        let (pts, dts) = (shift(buffer.pts()), shift(buffer.dts()));
        begun.last = dts.unwrap_or(begun.last);
        let mut buffer = buffer.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            buffer.set_dts(dts);
        }
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).build());
    }

    /// Waits until the muxer has taken most of what it was given.
    fn make_room(&self, new: &NewFile) -> Result<(), RecordError> {
        while self.source.current_level_bytes() > WAITING_BYTES {
            self.said(new, ROOM_TICK, &[gst::MessageType::Error])?;
        }
        self.check(new)
    }

    /// Whether it still writes.
    fn check(&self, new: &NewFile) -> Result<(), RecordError> {
        self.said(new, gst::ClockTime::ZERO, &[gst::MessageType::Error]).map(drop)
    }

    /// Writes the last fragment.
    fn finish(&self, new: &NewFile) -> Result<(), RecordError> {
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.end_of_stream();
        if self.said(new, FINISH_MAX, &[gst::MessageType::Error, gst::MessageType::Eos])? {
            return Ok(());
        }
        Err(RecordError::Failed { path: new.path(), why: "the disk does not take the end of the file".to_owned() })
    }

    /// Waits for a message, `patience` at most. Whether there was one; an error is one.
    fn said(&self, new: &NewFile, patience: gst::ClockTime, what: &[gst::MessageType]) -> Result<bool, RecordError> {
        let message = self.pipeline.bus().and_then(|bus| match patience {
            // With no time at all the other call looks at nothing.
            gst::ClockTime::ZERO => bus.pop_filtered(what),
            patience => bus.timed_pop_filtered(patience, what),
        });
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Err(match error.error().kind::<gst::ResourceError>() {
                Some(gst::ResourceError::NoSpaceLeft) => RecordError::DiskFull(new.path()),
                _ => RecordError::Failed { path: new.path(), why: error.error().to_string() },
            }),
            message => Ok(message.is_some()),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Of a pipeline that is given up nothing more is asked.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
