//! One recording at work: a thread that takes from the queue and writes.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tools_cli::file_format::FileFormat;

use super::{
    RecordError, Tell,
    account::{Account, State, Status},
    before::Playback,
    fragments,
    intake::{Intake, Item, Taken},
    moment::Moment,
    ring::Read,
};

/// A killed process loses no more than this.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// A file format.
pub trait Sink: Send {
    /// Adds an access unit and what belongs to it.
    fn record(&mut self, moment: &Moment) -> Result<(), RecordError>;
    /// Adds a body-tracking packet, where the format has room for one.
    fn body(&mut self, packet: &[u8]) -> Result<(), RecordError>;
    /// Is called at least every [`FLUSH_INTERVAL`].
    fn tick(&mut self) -> Result<(), RecordError>;
    /// Makes the file whole.
    fn finish(&mut self) -> Result<(), RecordError>;
    /// What is left of a recording that failed: the file as far as it got.
    fn salvage(&mut self) -> Option<PathBuf>;
}

/// A recording that runs, or has stopped by itself.
#[derive(Debug)]
pub struct Recording {
    intake: Arc<Intake>,
    account: Arc<Account>,
    takes_depth: bool,
}

impl Recording {
    /// Starts to record what was `before`, then what [`Recording::intake`] is offered, which `flows` behind that.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        name: &'static str,
        sink: Box<dyn Sink>,
        account: Arc<Account>,
        takes_depth: bool,
        tell: Tell,
        before: Option<(Playback, bool)>,
    ) -> std::io::Result<Self> {
        let intake = Arc::new(before.as_ref().map_or_else(Intake::default, |(_, flows)| Intake::begun(*flows)));
        let before = before.map(|(playback, _)| playback);
        let worker = Worker { name, sink, before, intake: Arc::clone(&intake), account: Arc::clone(&account), tell };
        thread::Builder::new().name(format!("record-{name}")).spawn(move || worker.run())?;
        Ok(Self { intake, account, takes_depth })
    }

    /// Its queue.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// How far it is.
    pub fn status(&self) -> Status {
        let status = self.account.status();
        Status { losses: self.intake.losses().plus(status.losses), ..status }
    }

    /// Whether it has not stopped by itself.
    pub fn is_running(&self) -> bool {
        self.account.status().state == State::Recording
    }

    /// Whether it takes depth.
    pub fn takes_depth(&self) -> bool {
        self.takes_depth
    }

    /// Takes in nothing more, and waits until the file is whole, `patience` at most.
    pub fn stop(&self, patience: Duration) {
        self.intake.end();
        self.account.wait(patience);
    }

    /// Waits no longer for a file that is still not whole.
    pub fn abandon(&self, format: FileFormat) {
        let status = self.account.status();
        if status.state != State::Recording {
            return;
        }
        let path = status.path.unwrap_or_default();
        let left = self.account.leave();
        match format {
            FileFormat::Mcap => self.account.cut(),
            FileFormat::Mp4 => {
                let held = File::open(&left).and_then(|file| fragments::look_through(&file)).unwrap_or_default();
                self.account.hold_video(held.units);
            }
        }
        let why = format!("the disk did not take the rest in time; {} has what came before", left.display());
        self.account.end(&Err(RecordError::Failed { path, why }));
    }
}

struct Worker {
    name: &'static str,
    sink: Box<dyn Sink>,
    before: Option<Playback>,
    intake: Arc<Intake>,
    account: Arc<Account>,
    tell: Tell,
}

impl Worker {
    fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        let outcome = worked.unwrap_or_else(|_| {
            let path = self.account.status().path.unwrap_or_default();
            Err(RecordError::Failed { path, why: "the recorder panicked; please report this".to_owned() })
        });
        if let Err(error) = &outcome {
            self.intake.close();
            let salvaged = self.sink.salvage();
            let rest = salvaged.map_or_else(String::new, |path| format!("; {} has what came before", path.display()));
            (self.tell)(&format!("{} recording stopped: {error}{rest}", self.name));
        }
        self.account.end(&outcome);
    }

    fn work(&mut self) -> Result<(), RecordError> {
        for Read { item, lost } in self.before.take().into_iter().flatten() {
            self.account.note(|status| status.losses.video += lost);
            self.record(&item)?;
        }
        loop {
            match self.intake.take(FLUSH_INTERVAL) {
                Taken::Item(item) => self.record(&item)?,
                Taken::Nothing => self.sink.tick()?,
                Taken::End => return self.sink.finish(),
            }
        }
    }

    fn record(&mut self, item: &Item) -> Result<(), RecordError> {
        match item {
            Item::Moment(moment) => self.sink.record(moment),
            Item::Body(packet) => self.sink.body(packet),
        }
    }
}
