//! One camera of the fleet: its thread, its end and its next start.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tools_cli::failure::Failure;

use super::told::Told;
use crate::{
    camera_run::Outcome,
    events::Events,
    log::{self, tell},
    outlet::retry::{Backoff, Bounds},
    plan::Plan,
    summary::Summary,
    watch::{self, Condition},
};

/// Waits before a camera is started again.
const PAUSES: Bounds = Bounds { min: Duration::from_millis(500), max: Duration::from_secs(30) };
/// A camera that ran for so long had a good start.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// A camera that is to run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is to do.
    pub plan: Plan,
    /// What it was made from: as long as this stays the same, it goes on.
    pub source: Vec<String>,
}

/// Runs one camera to its end.
pub type Run = fn(&Events, &Plan, &Arc<watch::Camera>) -> Outcome;

/// A camera.
pub struct Member {
    pub wanted: Wanted,
    pub camera: Arc<watch::Camera>,
    pub state: State,
    /// What its last run came to.
    pub outcome: Option<Outcome>,
    /// What takes its place when it has ended; the outer one says that its end is wanted.
    pub leaving: Option<Option<Wanted>>,
    backoff: Backoff,
}

/// Where it stands.
pub enum State {
    /// It runs.
    Running(Running),
    /// It is started again.
    Waiting {
        /// When.
        until: Instant,
    },
    /// It did what it was asked to.
    Done,
}

/// A run.
pub struct Running {
    /// Its number.
    pub run: u64,
    events: Events,
    started: Instant,
    /// Rounds of its loop, and for how many looks there have been so many. They are counted, for a program that stood still
    /// does not look.
    seen: (u64, u32),
    /// When it was told to end first.
    pub told: Option<Instant>,
}

impl Running {
    /// Tells it to end.
    pub fn end(&mut self) {
        self.told.get_or_insert_with(Instant::now);
        self.events.end();
    }

    /// Looks at its loop: for how many looks it has not gone round.
    pub fn stands_still(&mut self) -> u32 {
        let rounds = self.events.rounds();
        self.seen = if rounds == self.seen.0 { (rounds, self.seen.1.saturating_add(1)) } else { (rounds, 0) };
        self.seen.1
    }
}

impl Member {
    /// A camera that is due.
    pub fn new(wanted: Wanted, camera: Arc<watch::Camera>) -> Self {
        let state = State::Waiting { until: Instant::now() };
        Self { wanted, camera, state, outcome: None, leaving: None, backoff: Backoff::new(PAUSES) }
    }

    /// Starts it, as run number `run`, in a thread of its own, which speaks for it if `is_named`.
    pub fn start(&mut self, run: u64, work: Run, is_named: bool, tell: &mpsc::Sender<Told>) {
        let events = Events::new();
        let thread = {
            let (events, plan, camera) = (events.clone(), self.wanted.plan.clone(), Arc::clone(&self.camera));
            let (tell, name) = (tell.clone(), self.wanted.name.clone());
            move || {
                log::speak_for(is_named.then(|| name.as_str().into()));
                let work = AssertUnwindSafe(|| events.run(|| work(&events, &plan, &camera)));
                let outcome = match catch_unwind(work) {
                    Ok(Some(outcome)) => outcome,
                    Ok(None) => (Err(Failure::Pipeline("its loop runs already".to_owned())), None),
                    Err(panic) => (Err(Failure::Pipeline(format!("it panicked: {}", words(&*panic)))), None),
                };
                // The main thread has left when nobody hears.
                let _ = tell.send(Told::Over { run, outcome: Box::new(outcome) });
            }
        };
        let name = self.wanted.name.chars().take(15).collect::<String>().replace('\0', "");
        match thread::Builder::new().name(name).spawn(thread) {
            Ok(_) => {
                let now = Instant::now();
                self.camera.set_condition(Condition::Running { since: now });
                self.state = State::Running(Running { run, events, started: now, seen: (0, 0), told: None });
            }
            Err(error) => self.wait(format!("no thread can be had: {error}")),
        }
    }

    /// Takes in the end of its run. `is_done` when a camera that ends as it should is not started again.
    pub fn end(&mut self, outcome: Outcome, is_done: bool) {
        if let State::Running(running) = &self.state
            && running.started.elapsed() >= GOOD_RUN
        {
            self.backoff.reset();
        }
        let why = outcome.0.as_ref().err().map(Failure::to_string);
        if let Some(stream) = outcome.1.as_ref().and_then(|summary| summary.stream.as_ref()) {
            self.camera.show_status(stream);
        }
        self.outcome = Some(outcome);
        if is_done || (why.is_none() && self.wanted.plan.has_a_limit()) {
            self.camera.set_condition(Condition::Done);
            self.state = State::Done;
        } else {
            self.wait(why.unwrap_or_else(|| "its stream ended".to_owned()));
        }
    }

    /// What its last run counted.
    pub fn summary(&self) -> Option<&Summary> {
        self.outcome.as_ref().and_then(|(_, summary)| summary.as_ref())
    }

    fn wait(&mut self, why: String) {
        let pause = self.backoff.fail(1.0);
        tell(&format!("{}: {why}; it is started again in {:.0} s", self.wanted.name, pause.as_secs_f64()));
        self.camera.set_condition(Condition::Waiting { why });
        self.state = State::Waiting { until: Instant::now() + pause };
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
