//! A recording in MCAP files, one after the other when it rotates.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Seek as _},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use mcap::McapError;
use tools_mcap::writer::{Camera, Writer};
use tools_media::running_time::decoding_time;

use super::McapSettings;
use crate::{
    messages,
    recorder::{
        RecordError,
        account::Account,
        moment::Moment,
        place::{NewFile, Place},
        recording::{FLUSH_INTERVAL, Sink},
    },
};

/// The only one of a live recording.
const CAMERA: usize = 0;

/// When the next file is begun, at the first keyframe after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// The file has so many bytes.
    Bytes(u64),
    /// It covers so much time.
    Time(Duration),
}

/// Writes MCAP.
#[derive(Debug)]
pub struct McapSink {
    place: Place,
    settings: McapSettings,
    rotate: Option<Rotate>,
    /// Number of the file in its series.
    number: u32,
    file: Option<Open>,
    /// A file that could not be made whole.
    left: Option<PathBuf>,
    account: Arc<Account>,
}

/// The file at work.
#[derive(Debug)]
struct Open {
    new: NewFile,
    writer: Writer<BufWriter<File>>,
    /// The file is whole up to here.
    flushed: u64,
    flushed_at: Instant,
    /// Running time of the first access unit.
    first: Option<i64>,
}

impl McapSink {
    /// Makes the first file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(
        place: Place,
        settings: McapSettings,
        rotate: Option<Rotate>,
    ) -> Result<(Box<dyn Sink>, Arc<Account>), RecordError> {
        let account = Arc::new(Account::begin(place.path()));
        let mut sink =
            Self { place, settings, rotate, number: 0, file: None, left: None, account: Arc::clone(&account) };
        sink.open()?;
        Ok((Box::new(sink), account))
    }

    fn open(&mut self) -> Result<&mut Open, RecordError> {
        let new = if self.rotate.is_some() {
            let (number, new) = self.place.create_next(self.number)?;
            self.number = number;
            new
        } else {
            self.place.create()?
        };
        let path = new.path();
        self.account.open(&new);
        let begun = new.file().try_clone().map_err(McapError::Io).and_then(|file| {
            let camera = Camera::new(self.settings.topics.clone(), BTreeMap::new());
            let mut writer = Writer::new(BufWriter::new(file), self.settings.compression, vec![camera])?;
            writer.flush()?;
            Ok(writer)
        });
        match begun {
            Ok(writer) => {
                let flushed = position(&new)?;
                let open = Open { new, writer, flushed, flushed_at: Instant::now(), first: None };
                Ok(self.file.insert(open))
            }
            Err(error) => {
                new.discard();
                Err(failed(path, error))
            }
        }
    }

    fn is_due(&self, moment: &Moment) -> Result<bool, RecordError> {
        let (Some(rotate), Some(open)) = (self.rotate, &self.file) else {
            return Ok(false);
        };
        let Some(first) = open.first.filter(|_| moment.is_keyframe()) else {
            return Ok(false);
        };
        Ok(match rotate {
            Rotate::Bytes(bytes) => position(&open.new)? >= bytes,
            Rotate::Time(time) => u128::from(running_time(moment).abs_diff(first)) >= time.as_nanos(),
        })
    }

    /// Makes the file whole, or removes one that holds nothing.
    fn close(&mut self) -> Result<(), RecordError> {
        let Some(open) = self.file.take() else {
            return Ok(());
        };
        let path = open.new.path();
        if open.first.is_none() {
            drop(open.writer);
            open.new.discard();
            return Ok(());
        }
        let finished = open
            .writer
            .finish()
            .and_then(|file| file.into_inner().map(drop).map_err(|error| McapError::Io(error.into_error())));
        if finished.is_ok() {
            self.account.hold();
        }
        let kept = match finished {
            Ok(()) => open.new.keep().map(drop),
            Err(error) => {
                cut(&open.new, open.flushed);
                Err(failed(path, error))
            }
        };
        match &kept {
            Ok(()) => self.account.note(|status| status.files += 1),
            Err(_) => self.leave(),
        }
        kept
    }

    fn leave(&mut self) {
        self.account.cut();
        self.left = Some(self.account.leave());
    }
}

impl Open {
    fn flush_if_due(&mut self, account: &Account) -> Result<(), RecordError> {
        if self.flushed_at.elapsed() < FLUSH_INTERVAL {
            return Ok(());
        }
        self.writer.flush().map_err(|error| failed(self.new.path(), error))?;
        self.flushed = position(&self.new)?;
        self.flushed_at = Instant::now();
        account.hold();
        Ok(())
    }
}

impl Sink for McapSink {
    fn record(&mut self, moment: &Moment) -> Result<(), RecordError> {
        if self.is_due(moment)? {
            self.close()?;
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(open) = &mut self.file else {
            return Ok(());
        };
        let path = open.new.path();
        let unit = messages::video(&moment.sample, moment.timestamp_ns, &self.settings.frame_id)
            .map_err(|why| RecordError::Failed { path: path.clone(), why: why.to_owned() })?;
        let (time, settings) = (moment.timestamp_ns, &self.settings);
        let depth = moment.depth.as_ref().and_then(|depth| depth.message(settings.depth, time, &settings.frame_id));
        // Depth first: a reader that takes messages in their order has it when its picture comes.
        let written = depth
            .as_ref()
            .map_or(Ok(()), |depth| open.writer.depth(CAMERA, time, depth))
            .and_then(|()| open.writer.video(CAMERA, time, &unit));
        written.map_err(|error| failed(path, error))?;
        open.first.get_or_insert(running_time(moment));
        self.account.note(|status| {
            status.video += 1;
            status.depth += u64::from(depth.is_some());
        });
        open.flush_if_due(&self.account)
    }

    fn body(&mut self, packet: &[u8]) -> Result<(), RecordError> {
        let Some(open) = &mut self.file else {
            return Ok(());
        };
        let Some(time) = messages::body_time(packet) else {
            self.account.note(|status| status.invalid_bodies += 1);
            return Ok(());
        };
        open.writer.body(CAMERA, time, packet).map_err(|error| failed(open.new.path(), error))?;
        self.account.note(|status| status.body += 1);
        open.flush_if_due(&self.account)
    }

    fn tick(&mut self) -> Result<(), RecordError> {
        self.file.as_mut().map_or(Ok(()), |open| open.flush_if_due(&self.account))
    }

    fn finish(&mut self) -> Result<(), RecordError> {
        self.close()
    }

    fn salvage(&mut self) -> Option<PathBuf> {
        if let Some(open) = self.file.take() {
            // What the library makes of the rest is cut off again.
            drop(open.writer);
            if open.first.is_some() {
                cut(&open.new, open.flushed);
                self.leave();
            } else {
                open.new.discard();
            }
        }
        self.left.clone()
    }
}

/// On the clock that all encoders share: that of a producer may go back.
fn running_time(moment: &Moment) -> i64 {
    decoding_time(&moment.sample).unwrap_or_default()
}

fn position(new: &NewFile) -> Result<u64, RecordError> {
    new.file().stream_position().map_err(|error| RecordError::of(new.path(), error))
}

/// Takes away what is no whole chunk.
fn cut(new: &NewFile, size: u64) {
    // A reader stops at what is left of it otherwise.
    let _ = new.file().set_len(size);
}

fn failed(path: PathBuf, error: McapError) -> RecordError {
    match error {
        McapError::Io(error) => RecordError::of(path, error),
        error => RecordError::Failed { path, why: error.to_string() },
    }
}
