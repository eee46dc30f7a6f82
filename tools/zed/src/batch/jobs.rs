//! What is to be done for each input, by what is there already.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tools_cli::{failure::Failure, interrupt};

use super::{
    args::Existing,
    probe,
    programs::{Kind, Takes},
};
use crate::segment;

/// One run of the converter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub input: PathBuf,
    pub output: PathBuf,
    /// Whether an output that is there is replaced.
    pub overwrite: bool,
    /// What else the converter is told.
    pub flags: Vec<OsString>,
}

/// What is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Missing,
    There,
    Whole,
    Broken(String),
}

/// What is to be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub job: Job,
    pub state: State,
    pub convert: bool,
}

impl Decision {
    pub fn why(&self) -> String {
        match (&self.state, self.convert) {
            (State::Missing, _) => "no output yet".to_owned(),
            (_, true) if self.state == State::There => "its output is replaced".to_owned(),
            (State::Broken(why), _) => format!("its output is no good: {why}"),
            (State::Whole, _) => "its output is there and whole".to_owned(),
            (State::There, _) => "its output is there".to_owned(),
        }
    }
}

/// Decides about each input; looks at `threads` outputs at a time.
///
/// # Errors
/// [`Failure::Configuration`] for two inputs with one output, [`Failure::Interrupted`].
pub fn decide(
    kind: &Kind,
    inputs: Vec<PathBuf>,
    flags: &[OsString],
    existing: Existing,
    threads: usize,
) -> Result<Vec<Decision>, Failure> {
    let mut outputs = HashMap::new();
    let mut jobs = Vec::new();
    for input in inputs {
        let output = output_of(kind, &input)?;
        if let Some(other) = outputs.insert(output.clone(), input.clone()) {
            return Err(Failure::Configuration(format!(
                "{} and {} would both become {}; give one of them, or another --pattern",
                other.display(),
                input.display(),
                output.display()
            )));
        }
        jobs.push(Job { input, output, overwrite: existing.overwrite, flags: flags.to_owned() });
    }
    let look = existing.report_existing || (existing.probe_existing && !existing.overwrite);
    let states = states(kind, &jobs, look, threads);
    interrupt::check()?;
    let decide = |(mut job, state): (Job, State)| {
        let convert = job.overwrite || matches!(state, State::Missing | State::Broken(_));
        job.overwrite |= matches!(state, State::Broken(_));
        Decision { job, state, convert }
    };
    Ok(jobs.into_iter().zip(states).map(decide).collect())
}

/// Beside a recording, and in a segment with the segment's name.
fn output_of(kind: &Kind, input: &Path) -> Result<PathBuf, Failure> {
    if kind.takes == Takes::Recordings {
        return Ok(input.with_extension(kind.ending.trim_start_matches('.')));
    }
    segment::output(input, kind.ending)
}

fn states(kind: &Kind, jobs: &[Job], look: bool, threads: usize) -> Vec<State> {
    let next = AtomicUsize::new(0);
    let states = Mutex::new(vec![State::Missing; jobs.len()]);
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while interrupt::times() == 0
                    && let Some((at, job)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, jobs.get(at)?)))
                {
                    let state = state(kind, &job.output, look);
                    states.lock().expect("nobody panics with it")[at] = state;
                }
            });
        }
    });
    states.into_inner().expect("nobody panics with it")
}

fn state(kind: &Kind, output: &Path, look: bool) -> State {
    match output.symlink_metadata() {
        Err(_) => State::Missing,
        Ok(_) if !look => State::There,
        Ok(_) => match probe::probe(kind.makes, output) {
            Ok(()) => State::Whole,
            Err(why) => State::Broken(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::programs::Makes;

    fn kind(takes: Takes, ending: &'static str) -> Kind {
        let understands = |_: &[String]| Ok(());
        Kind { batch: "", single: "", takes, makes: Makes::Mp4, ending, pattern: "*", understands }
    }

    const EXISTING: Existing =
        Existing { overwrite: false, probe_existing: false, report_existing: false, dry_run: false };

    #[test]
    fn outputs_are_beside_recordings_and_in_segments() {
        let root = tempfile::tempdir().unwrap();
        let segment = root.path().join("2026.01.02");
        std::fs::create_dir(&segment).unwrap();
        let grid = kind(Takes::Segments, "_grid.mp4");
        assert_eq!(output_of(&grid, &segment.join(".")).unwrap(), segment.join("./2026.01.02_grid.mp4"));
        let mp4 = kind(Takes::Recordings, ".mp4");
        assert_eq!(output_of(&mp4, Path::new("a.b/run.1.svo2")).unwrap(), Path::new("a.b/run.1.mp4"));
        let both = vec!["run.svo".into(), "run.svo2".into()];
        assert_eq!(decide(&mp4, both, &[], EXISTING, 1).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_is_there_is_left_alone_unless_told_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let [there, missing] = ["there", "missing"].map(|name| root.path().join(name).with_extension("svo2"));
        std::fs::write(there.with_extension("mp4"), "garbage").unwrap();
        let mp4 = kind(Takes::Recordings, ".mp4");
        let decide = |existing| {
            let decided = decide(&mp4, vec![there.clone(), missing.clone()], &[], existing, 2).unwrap();
            decided.iter().map(|decision| (decision.convert, decision.job.overwrite)).collect::<Vec<_>>()
        };
        assert_eq!(decide(EXISTING), [(false, false), (true, false)]);
        assert_eq!(decide(Existing { overwrite: true, ..EXISTING }), [(true, true), (true, true)]);
        gst::init().unwrap();
        assert_eq!(decide(Existing { probe_existing: true, ..EXISTING }), [(true, true), (true, false)]);
    }
}
