//! What a recording has done so far.

use std::{
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tools_cli::{failure::Failure, file_format::FileFormat};

use super::{RecordError, intake::Losses, place::NewFile};

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Idle,
    /// It runs.
    Recording,
    /// It is whole.
    Finished,
    /// It stopped by itself.
    Failed,
}

impl State {
    /// Its name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Recording => "recording",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// A recording, running or over.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// How far it is.
    pub state: State,
    /// The file at work, or the last one.
    pub path: Option<PathBuf>,
    /// Files that are whole.
    pub files: u64,
    /// Access units recorded.
    pub video: u64,
    /// Depth pictures recorded.
    pub depth: u64,
    /// Body-tracking packets recorded.
    pub body: u64,
    /// What was not recorded.
    pub losses: Losses,
    /// Body-tracking packets that are none.
    pub invalid_bodies: u64,
    /// Why it stopped by itself.
    pub error: Option<String>,
}

impl Status {
    /// Why a run fails because of it.
    pub fn fault(&self, format: FileFormat) -> Option<Failure> {
        let name = format.name();
        match (self.state, &self.error) {
            (State::Failed, Some(error)) => Some(Failure::Pipeline(format!("{name} recording: {error}"))),
            (State::Recording, _) => {
                let path = self.path.clone().unwrap_or_default();
                Some(Failure::Pipeline(format!("{name} recording: the disk of {} does not answer", path.display())))
            }
            _ => None,
        }
    }
}

/// A [`Status`] that the recording keeps.
#[derive(Debug)]
pub struct Account {
    book: Mutex<Book>,
    over: Condvar,
}

#[derive(Debug)]
struct Book {
    status: Status,
    /// What the files hold for sure, of what is counted: access units, depth pictures and packets.
    held: [u64; 3],
    /// Access units of the files before the one at work.
    earlier: u64,
    /// What the file at work is called while it is not whole.
    unfinished: PathBuf,
}

impl Book {
    fn counts(&mut self) -> [&mut u64; 3] {
        let Status { video, depth, body, .. } = &mut self.status;
        [video, depth, body]
    }

    /// What is not in the files is lost.
    fn cut(&mut self) {
        let held = self.held;
        let [video, depth, body] = self.counts().map(|count| *count);
        let Losses { video: lost, depth: depth_lost, body: body_lost, .. } = &mut self.status.losses;
        for (lost, (counted, held)) in
            [lost, depth_lost, body_lost].into_iter().zip([video, depth, body].into_iter().zip(held))
        {
            *lost += counted.saturating_sub(held);
        }
        self.counts().into_iter().zip(held).for_each(|(count, held)| *count = held);
    }
}

impl Account {
    /// A recording that runs.
    pub fn begin(path: PathBuf) -> Self {
        let unfinished = path.clone();
        let status = Status { state: State::Recording, path: Some(path), ..Status::default() };
        Self { book: Mutex::new(Book { status, held: [0; 3], earlier: 0, unfinished }), over: Condvar::new() }
    }

    /// Another file is at work.
    pub fn open(&self, new: &NewFile) {
        let mut book = self.lock();
        book.status.path = Some(new.path());
        book.unfinished = new.unfinished_path();
        book.earlier = book.held[0];
    }

    /// What was counted so far is in the files.
    pub fn hold(&self) {
        let mut book = self.lock();
        book.held = book.counts().map(|count| *count);
    }

    /// The file at work holds so many access units, and what is not in it is lost.
    pub fn hold_video(&self, units: u64) {
        let mut book = self.lock();
        book.held[0] = book.earlier + units;
        book.cut();
    }

    /// What is not in the files is lost.
    pub fn cut(&self) {
        self.lock().cut();
    }

    /// The file at work stays unfinished.
    pub fn leave(&self) -> PathBuf {
        let mut book = self.lock();
        let unfinished = book.unfinished.clone();
        book.status.path = Some(unfinished.clone());
        unfinished
    }

    /// Notes something.
    pub fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock().status);
    }

    /// The recording is over.
    pub fn end(&self, outcome: &Result<(), RecordError>) {
        self.note(|status| match outcome {
            Ok(()) => status.state = State::Finished,
            Err(error) => {
                status.state = State::Failed;
                status.error = Some(error.to_string());
            }
        });
        self.over.notify_all();
    }

    /// Waits until it is over, `patience` at most.
    pub fn wait(&self, patience: Duration) {
        let running = |book: &mut Book| book.status.state == State::Recording;
        // Over or not, a look at the status tells.
        drop(self.over.wait_timeout_while(self.lock(), patience, running));
    }

    /// So far.
    pub fn status(&self) -> Status {
        self.lock().status.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
