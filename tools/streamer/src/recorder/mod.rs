//! Recordings of a stream: the access units that are published, with depth and bodies. Each has a bounded queue and a thread
//! of its own, so that no disk holds up the stream or another recording; they can be started and stopped at any time.

mod account;
pub mod args;
mod before;
mod depths;
mod error;
mod fragments;
mod intake;
mod mcap_settings;
mod mcap_sink;
mod moment;
mod mp4;
mod place;
mod recording;
mod ring;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};
use tools_cli::file_format::FileFormat;
use tools_mcap::depth::{DepthCoding, DepthPlane};
use tools_media::capture_time;

use self::{
    before::Before,
    depths::Depths,
    intake::Answer,
    mcap_sink::McapSink,
    moment::{Depth, Moment},
    mp4::Mp4Sink,
    recording::{Recording, Sink},
};
use crate::soundness;
pub use account::{Account, State, Status};
pub use error::RecordError;
pub use mcap_settings::McapSettings;
pub use mcap_sink::Rotate;
pub use place::{Place, Root};
pub use ring::{Bounds, Level};

/// Tells the person at the terminal a line.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;
/// Asks the encoder for a keyframe.
pub type AskForKeyframe = Arc<dyn Fn() + Send + Sync>;
/// Looks at the depth of each frame, by its capture time; never waits.
pub type DepthViewer = Arc<dyn Fn(u64, &DepthPlane) + Send + Sync>;

/// The recordings of a stream: one of each format at a time. They outlive the pipelines of the stream.
pub struct Recorders {
    tell: Tell,
    /// One recording starts at a time. The slots are not locked meanwhile: the stream looks into them.
    starting: Mutex<()>,
    /// By [`FileFormat`].
    slots: [Mutex<Option<Arc<Recording>>>; 2],
    depths: Depths,
    /// What recordings begin with.
    before: Option<Before>,
    /// Whether anything is recorded or kept, and whether depth is.
    wanted: AtomicBool,
    depth_wanted: AtomicBool,
    /// Who looks at depth beside the recordings, while somebody does.
    depth_viewer: Mutex<Option<DepthViewer>>,
    stream: Mutex<Stream>,
}

/// The stream at the moment.
#[derive(Default)]
struct Stream {
    ask_for_keyframe: Option<AskForKeyframe>,
    source: glib::WeakRef<gst::Element>,
}

impl std::fmt::Debug for Recorders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorders").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Recorders {
    /// No recordings yet.
    pub fn new(tell: Tell) -> Arc<Self> {
        Self::with(tell, None)
    }

    /// The same; from now on so much is kept for recordings to begin with, and depth in this coding.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn keeping(tell: Tell, bounds: Bounds, depth: DepthCoding) -> std::io::Result<Arc<Self>> {
        Ok(Self::with(tell, Some(Before::new(bounds, depth)?)))
    }

    fn with(tell: Tell, before: Option<Before>) -> Arc<Self> {
        Arc::new(Self {
            tell,
            starting: Mutex::default(),
            slots: Default::default(),
            depths: Depths::default(),
            before,
            wanted: AtomicBool::new(false),
            depth_wanted: AtomicBool::new(false),
            depth_viewer: Mutex::default(),
            stream: Mutex::default(),
        })
    }

    /// Follows a stream from its source, a `cvmmapsrc`, on: what its frames are is known there.
    pub fn watch(self: &Arc<Self>, source: &gst::Element, ask_for_keyframe: AskForKeyframe) {
        {
            let mut stream = lock(&self.stream);
            stream.ask_for_keyframe = Some(ask_for_keyframe);
            stream.source = source.downgrade();
        }
        self.settle();
        let recorders = Arc::clone(self);
        tools_media::elements::pad(source, "src").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer_mut() {
                recorders.note(buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// A frame on its way to the encoder. Its planes go no further: what encoder and outputs hold back would keep them.
    fn note(&self, buffer: &mut gst::Buffer) {
        let is_recorded = self.depth_wanted.load(Ordering::Relaxed);
        let viewer = lock(&self.depth_viewer).clone();
        if !is_recorded && viewer.is_none() {
            return;
        }
        if let (Some(time), Some(depth)) = (capture_time::of(buffer), DepthPlane::take_off(buffer.make_mut())) {
            if let Some(viewer) = viewer {
                viewer(time, &depth);
            }
            if is_recorded {
                self.depths.note(time, depth);
            }
        }
    }

    /// Shows the depth of each frame to `viewer`, or to nobody any more.
    pub fn show_depth(&self, viewer: Option<DepthViewer>) {
        *lock(&self.depth_viewer) = viewer;
        self.settle();
    }

    /// Takes in an access unit; never waits for a disk.
    pub fn offer(&self, sample: &gst::Sample) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let time = sample.buffer().and_then(capture_time::of);
        let depth = time.and_then(|time| self.depths.take(time));
        let sound = time.filter(|_| soundness::is_sound(sample));
        let depth = depth.map(Depth::Plane);
        let mut moment = sound.map(|timestamp_ns| Moment { sample: sample.clone(), timestamp_ns, depth });
        if self.before.is_some() {
            moment = moment.map(Moment::compact);
        }
        // A recording that begins has each access unit once: here, or from what was kept.
        let ring = self.before.as_ref().map(|before| {
            let mut ring = before.ring();
            match moment.clone() {
                Some(moment) => ring.moment(moment, Instant::now()),
                None => ring.interrupt(),
            }
            ring
        });
        let running = FileFormat::ALL.into_iter().filter_map(|format| self.recording(format));
        let answers = running.map(|recording| {
            let Some(moment) = moment.clone() else {
                return recording.intake().skip();
            };
            let depth = moment.depth.filter(|_| recording.takes_depth());
            recording.intake().offer(Moment { depth, ..moment })
        });
        let answers = answers.collect::<Vec<_>>();
        drop(ring);
        self.before.iter().for_each(Before::wake);
        if answers.contains(&Answer::WantsKeyframe) {
            self.ask_for_keyframe();
        }
        if answers.contains(&Answer::Closed) {
            self.settle();
        }
    }

    /// Takes in a body-tracking packet, as it came.
    pub fn body(&self, packet: &[u8]) {
        let ring = self.before.as_ref().map(|before| {
            let mut ring = before.ring();
            ring.body(packet, Instant::now());
            ring
        });
        if let Some(recording) = self.recording(FileFormat::Mcap) {
            recording.intake().body(packet);
        }
        drop(ring);
    }

    /// Begins an MCAP recording, with what is kept or with the next keyframe.
    ///
    /// # Errors
    /// When one runs, or the file cannot be made.
    pub fn start_mcap(&self, place: Place, settings: McapSettings, rotate: Option<Rotate>) -> Result<(), RecordError> {
        let takes_depth = settings.depth != DepthCoding::Off;
        self.start(FileFormat::Mcap, place.path(), takes_depth, || McapSink::begin(place, settings, rotate))
    }

    /// Begins an MP4 recording, with what is kept or with the next keyframe.
    ///
    /// # Errors
    /// When one runs, or the file cannot be made.
    pub fn start_mp4(&self, place: Place) -> Result<(), RecordError> {
        self.start(FileFormat::Mp4, place.path(), false, || Mp4Sink::begin(place))
    }

    fn start(
        &self,
        format: FileFormat,
        path: PathBuf,
        takes_depth: bool,
        make: impl FnOnce() -> Result<(Box<dyn Sink>, Arc<Account>), RecordError>,
    ) -> Result<(), RecordError> {
        let _starting = lock(&self.starting);
        if let Some(recording) = self.recording(format).filter(|recording| recording.is_running()) {
            return Err(RecordError::Busy(recording.status().path.unwrap_or_default()));
        }
        let (sink, account) = make()?;
        let ring = self.before.as_ref().map(Before::ring);
        let cursor = ring.as_ref().and_then(|ring| ring.begin(Instant::now()));
        let flows = ring.as_ref().is_some_and(|ring| ring.flows());
        let before = self.before.as_ref().zip(cursor).map(|(before, cursor)| (before.playback(cursor), flows));
        let recording = Recording::start(format.name(), sink, account, takes_depth, Arc::clone(&self.tell), before)
            .map_err(|error| RecordError::of(path, error))?;
        *lock(self.slot(format)) = Some(Arc::new(recording));
        drop(ring);
        self.settle();
        match cursor {
            Some(cursor) => {
                let age = cursor.age.as_secs_f64();
                (self.tell)(&format!("{} recording begins {age:.1} s before it was asked for", format.name()));
            }
            None => self.ask_for_keyframe(),
        }
        Ok(())
    }

    /// What is kept for recordings to begin with, where something is.
    pub fn kept(&self) -> Option<Level> {
        self.before.as_ref().map(|before| before.ring().level())
    }

    /// Ends a recording and waits for its file to be whole, `patience` at most. What became of it; `None` when there is
    /// none.
    pub fn stop(&self, format: FileFormat, patience: Duration) -> Option<Status> {
        // It stays in its place until it is over: a new one might take its name.
        let recording = self.recording(format)?;
        recording.stop(patience);
        self.settle();
        Some(recording.status())
    }

    /// Ends every recording, and waits for the files to be whole, side by side, `patience` at most.
    pub fn finish(&self, patience: Duration) {
        let recordings = FileFormat::ALL.into_iter().filter_map(|format| self.recording(format)).collect::<Vec<_>>();
        recordings.iter().for_each(|recording| recording.intake().end());
        let until = Instant::now() + patience;
        recordings.iter().for_each(|recording| recording.stop(until.saturating_duration_since(Instant::now())));
    }

    /// Waits no longer for files that are still not whole.
    pub fn abandon(&self) {
        for format in FileFormat::ALL {
            if let Some(recording) = self.recording(format) {
                recording.abandon(format);
            }
        }
    }

    /// What became of every recording.
    pub fn statuses(&self) -> Vec<(FileFormat, Status)> {
        let recording = |format| Some((format, self.recording(format)?.status()));
        FileFormat::ALL.into_iter().filter_map(recording).collect()
    }

    /// How far the recording of a format is.
    pub fn status(&self, format: FileFormat) -> Status {
        self.recording(format).map(|recording| recording.status()).unwrap_or_default()
    }

    /// Asks of the stream what the recordings that run need, and no more.
    fn settle(&self) {
        // One at a time: the last one sees every recording.
        let stream = lock(&self.stream);
        let running = FileFormat::ALL.into_iter().filter_map(|format| self.recording(format));
        let running = running.filter(|recording| recording.is_running()).collect::<Vec<_>>();
        let is_kept = self.before.as_ref().is_some_and(Before::takes_depth);
        let depth_wanted = is_kept || running.iter().any(|recording| recording.takes_depth());
        self.depth_wanted.store(depth_wanted, Ordering::Relaxed);
        self.wanted.store(!running.is_empty() || self.before.is_some(), Ordering::Relaxed);
        if !depth_wanted {
            self.depths.clear();
        }
        if let Some(source) = stream.source.upgrade() {
            let is_watched = lock(&self.depth_viewer).is_some();
            source.set_property("attach-planes", depth_wanted || is_watched);
        }
    }

    fn ask_for_keyframe(&self) {
        let ask = lock(&self.stream).ask_for_keyframe.clone();
        if let Some(ask) = ask {
            ask();
        }
    }

    fn recording(&self, format: FileFormat) -> Option<Arc<Recording>> {
        lock(self.slot(format)).clone()
    }

    fn slot(&self, format: FileFormat) -> &Mutex<Option<Arc<Recording>>> {
        &self.slots[format as usize]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
