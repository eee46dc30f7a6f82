//! An MP4 file with its index in front, made from pictures with timestamps of their own.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use gst::prelude::*;
use gst_video::VideoInfo;
use tempfile::{NamedTempFile, TempPath};

use super::{
    encoder::{Choice, Encoding},
    interrupt, mp4_date,
};
use crate::common::{elements, failure::Failure};

/// Pictures that wait for the encoder. It has a queue of its own besides.
const WAITING: u64 = 4;
/// Units of the file's timestamps in a second: the usual one of video, 11 microseconds.
const TIMESCALE: u32 = 90_000;

/// What went wrong with a file.
#[derive(Debug)]
pub enum Trouble {
    /// The encoder does not work, and has given nothing yet.
    Encoder(String),
    Other(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// The file's final name, and whether one that is there may be replaced.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    directory: PathBuf,
    overwrite: bool,
}

impl Target {
    /// Looks whether a file can be made of these.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is one of them, [`Failure::Configuration`] when there is one already, or no directory.
    pub fn new(path: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<Self, Failure> {
        let is_output = |input: &PathBuf| {
            input == path || path.canonicalize().is_ok_and(|path| input.canonicalize().is_ok_and(|input| input == path))
        };
        if inputs.iter().any(is_output) {
            return Err(Failure::Usage("the output would replace an input; name another --output".to_owned()));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if path.file_name().is_none() || path.is_dir() {
            return Err(Failure::Configuration(format!("{}: it is a directory; name a file", path.display())));
        }
        if !directory.is_dir() {
            return Err(Failure::Configuration(format!(
                "{}: its directory is not there; make it first",
                path.display()
            )));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
        Ok(Self { path: path.to_owned(), directory, overwrite })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside it, which is gone when it is not kept.
    fn beside(&self, purpose: &str) -> Result<NamedTempFile, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        tempfile::Builder::new()
            .prefix(&name)
            .suffix(purpose)
            // As any program makes files; the user's umask takes from it.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.directory)
            .map_err(|error| Failure::Configuration(format!("{}: it cannot be written: {error}", self.path.display())))
    }

    fn keep(&self, file: NamedTempFile) -> Result<(), Failure> {
        file.as_file().sync_all().map_err(|error| self.unwritable(&error))?;
        if self.overwrite {
            return file.persist(&self.path).map(drop).map_err(|error| self.unwritable(&error.error));
        }
        file.persist_noclobber(&self.path).map(drop).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => taken(&self.path),
            _ => self.unwritable(&error.error),
        })
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => disk_full(),
            _ => Failure::Pipeline(format!("{}: it cannot be written: {error}", self.path.display())),
        }
    }
}

fn disk_full() -> Failure {
    Failure::Pipeline("the disk is full; make room, or take another --output".to_owned())
}

/// Whether there is no room left for a file of the user's.
fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|disk| disk.f_bavail == 0)
}

fn taken(path: &Path) -> Failure {
    Failure::Configuration(format!(
        "{} is there already; take --overwrite to replace it, or another --output",
        path.display()
    ))
}

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

#[derive(Debug)]
struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    encoder: gst::Element,
    /// Told when the encoder takes a picture.
    taken: Arc<(Mutex<()>, Condvar)>,
    /// Whether an access unit came out.
    encoded: Arc<std::sync::atomic::AtomicBool>,
    /// Where its files are.
    directory: PathBuf,
}

impl Writer {
    /// Begins a file of such pictures, usually `interval` nanoseconds apart.
    ///
    /// # Errors
    /// When the file or the pipeline cannot be made.
    pub fn new(
        target: &Target,
        encoding: &Encoding,
        choice: Choice,
        info: &VideoInfo,
        interval: u64,
        tags: &gst::TagList,
    ) -> Result<Self, Trouble> {
        let file = target.beside(".partial")?;
        let pictures = target.beside(".pictures.partial")?.into_temp_path();
        let source: gst_app::AppSrc = elements::make_app("appsrc")?;
        source.set_format(gst::Format::Time);
        source.set_max_bytes(0);
        source.set_caps(Some(&caps(info, interval)));
        let queue = elements::make("queue")?;
        queue.set_property("max-size-buffers", WAITING as u32);
        queue.set_property("max-size-bytes", 0_u32);
        queue.set_property("max-size-time", 0_u64);
        let convert = elements::make("videoconvert")?;
        let format = if choice.hardware { "NV12" } else { "I420" };
        let raw = elements::filter(gst::Caps::builder("video/x-raw").field("format", format).build())?;
        let [encoder, parser] = encoding.make(choice, interval)?;
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
        let pipeline = gst::Pipeline::new();
        elements::add_chain(
            &pipeline,
            &[source.upcast_ref(), &queue, &convert, &raw, &encoder, &parser, &muxer, &sink],
        )?;
        let line = Line {
            pipeline,
            source,
            encoder,
            taken: Arc::default(),
            encoded: Arc::default(),
            directory: target.directory.clone(),
        };
        line.start()?;
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
    pub fn push(&mut self, picture: &gst::Buffer, time: gst::ClockTime) -> Result<(), Trouble> {
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
    pub fn finish(mut self, unix_seconds: Option<u64>) -> Result<(), Trouble> {
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

impl Line {
    fn start(&self) -> Result<(), Trouble> {
        use std::sync::atomic::Ordering;
        let taken = Arc::clone(&self.taken);
        elements::pad(self.source.upcast_ref(), "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            taken.1.notify_one();
            gst::PadProbeReturn::Ok
        });
        let encoded = Arc::clone(&self.encoded);
        elements::pad(&self.encoder, "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            encoded.store(true, Ordering::Relaxed);
            gst::PadProbeReturn::Remove
        });
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            self.check()?;
            return Err(Failure::Pipeline("the pipeline does not start".to_owned()).into());
        }
        Ok(())
    }

    fn push(&self, picture: gst::Buffer, time: gst::ClockTime, duration: gst::ClockTime) -> Result<(), Trouble> {
        let mut picture = picture;
        let writable = picture.make_mut();
        writable.set_pts(time);
        writable.set_dts(gst::ClockTime::NONE);
        writable.set_duration(duration);
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.push_buffer(picture);
        self.check()?;
        let (lock, taken) = &*self.taken;
        let mut guard = lock.lock().expect("nobody panics with it");
        while self.source.current_level_buffers() > WAITING {
            guard = taken.wait_timeout(guard, interrupt::TICK).expect("nobody panics with it").0;
            self.check()?;
        }
        Ok(())
    }

    /// Whether it still works.
    fn check(&self) -> Result<(), Trouble> {
        interrupt::check()?;
        // `timed_pop_filtered` without any time would look at nothing.
        self.judge(self.bus().pop_filtered(&[gst::MessageType::Error])).map(drop)
    }

    fn finish(&self) -> Result<(), Trouble> {
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.end_of_stream();
        let tick = gst::ClockTime::from_mseconds(interrupt::TICK.as_millis() as u64);
        let ends = [gst::MessageType::Error, gst::MessageType::Eos];
        while !self.judge(self.bus().timed_pop_filtered(tick, &ends))? {
            interrupt::check()?;
        }
        Ok(())
    }

    fn bus(&self) -> gst::Bus {
        self.pipeline.bus().expect("a pipeline has a bus")
    }

    /// Whether there was a message; an error is one.
    fn judge(&self, message: Option<gst::Message>) -> Result<bool, Trouble> {
        let error = match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error,
            message => return Ok(message.is_some()),
        };
        let why = error.error();
        let is_encoder = error.src().is_some_and(|element| element == self.encoder.upcast_ref::<gst::Object>());
        if is_encoder && !self.encoded.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Trouble::Encoder(why.message().to_owned()));
        }
        Err(match why.kind::<gst::ResourceError>() {
            Some(gst::ResourceError::NoSpaceLeft) => disk_full(),
            // The muxer tells of its own file what the system says, not what it means.
            Some(gst::ResourceError::Write) if is_full(&self.directory) => disk_full(),
            Some(gst::ResourceError::Write) => Failure::Pipeline(format!(
                "the disk does not take the file: {}; look at its state, or take another --output",
                why.message()
            )),
            _ => Failure::Pipeline(format!("the file cannot be made: {}", why.message())),
        }
        .into())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Some encoders do not start without a frame rate; the timestamps are what counts.
fn caps(info: &VideoInfo, interval: u64) -> gst::Caps {
    let millihertz = (1_000_000_000_000 / interval.max(1)).clamp(1000, 1_000_000) as i32;
    let mut caps = info.to_caps().expect("the picture's form is known");
    caps.make_mut().set("framerate", gst::Fraction::new(millihertz, 1000));
    caps
}
