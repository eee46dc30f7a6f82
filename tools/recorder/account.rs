//! What a recording has done so far.

use std::{
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Format, RecordError, intake::Losses};
use crate::common::failure::Failure;

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
    /// What was lost for the disk was too slow.
    pub losses: Losses,
    /// Body-tracking packets that are none.
    pub invalid_bodies: u64,
    /// Why it stopped by itself.
    pub error: Option<String>,
}

impl Status {
    /// Why a run fails because of it.
    pub fn fault(&self, format: Format) -> Option<Failure> {
        let name = format.name();
        match (self.state, &self.error) {
            (State::Failed, Some(error)) => Some(Failure::Pipeline(format!("{name} recording: {error}"))),
            (State::Recording, _) => {
                let path = self.path.clone().unwrap_or_default();
                Some(Failure::Pipeline(format!(
                    "{name} recording: the disk does not take the rest of {}",
                    path.display()
                )))
            }
            _ => None,
        }
    }
}

/// A [`Status`] that the recording keeps.
#[derive(Debug)]
pub struct Account {
    status: Mutex<Status>,
    over: Condvar,
}

impl Account {
    /// A recording that runs.
    pub fn begin(path: PathBuf) -> Self {
        let status = Status { state: State::Recording, path: Some(path), ..Status::default() };
        Self { status: Mutex::new(status), over: Condvar::new() }
    }

    /// Notes something.
    pub fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
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
        let running = |status: &mut Status| status.state == State::Recording;
        // Over or not, a look at the status tells.
        drop(self.over.wait_timeout_while(self.lock(), patience, running));
    }

    /// So far.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
