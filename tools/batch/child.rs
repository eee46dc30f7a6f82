//! One run of the converter, as a program of its own.

use std::{
    collections::{HashSet, VecDeque},
    env, fs, io,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, getppid, kill_process_group, pidfd_open, set_parent_process_death_signal},
};

use super::{
    jobs::Job,
    pool::Worker,
    programs::{Kind, Takes, name},
};
use crate::{
    common::failure::Failure,
    recordings::{
        interrupt,
        progress::{self, Told},
    },
};

/// Lines of a failed converter that are shown.
const EXCERPT_LINES: usize = 8;
/// A longer line is several.
const LINE_MAX: u64 = 2048;
/// A longer summary is none.
const SUMMARY_MAX: u64 = 1 << 20;
/// Lines that may wait to be looked at; the converter then waits.
const WAITING_MAX: usize = 64;

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With the converter's summary.
    Converted(serde_json::Value),
    Failed(Failed),
    /// By a signal that was sent to the batch.
    Interrupted,
}

/// Why a run failed.
#[derive(Clone, Debug)]
pub struct Failed {
    pub why: String,
    /// The last lines that it said.
    pub excerpt: Vec<String>,
}

/// Where the converter is: beside the batch program, or else where the shell finds it.
///
/// # Errors
/// [`Failure::Configuration`] when it is in neither place.
pub fn find(kind: &Kind) -> Result<PathBuf, Failure> {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(kind.single));
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = beside.into_iter().chain(env::split_paths(&path).map(|directory| directory.join(kind.single)));
    candidates.into_iter().find(|candidate| candidate.is_file()).ok_or_else(|| {
        Failure::Configuration(format!(
            "{} is neither beside this program nor on PATH; install the two together",
            kind.single
        ))
    })
}

/// Runs the converter to its end. `at` is told how far it is, `tick` is called now and then.
pub fn run(
    kind: &Kind,
    program: &Path,
    job: &Job,
    worker: &Worker,
    mut at: impl FnMut(Told),
    mut tick: impl FnMut(),
) -> Ended {
    let failed = |why: String| Ended::Failed(Failed { why, excerpt: Vec::new() });
    let before = leftovers(&job.output);
    let mut child = match start(kind, program, job, worker) {
        Ok(child) => child,
        Err(error) => return failed(format!("{} does not start: {error}", program.display())),
    };
    let (send, lines) = mpsc::sync_channel(WAITING_MAX);
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let stdout = child.stdout.take().expect("stdout is piped");
    let (status, summary, excerpt) = thread::scope(|scope| {
        scope.spawn(move || pass_lines(stderr, &send));
        let summary = scope.spawn(move || read_summary(stdout));
        let mut excerpt = VecDeque::new();
        let mut signals = 0;
        let mut talks = true;
        let status = loop {
            if !talks && let Some(status) = child.try_wait().transpose() {
                break status;
            }
            match lines.recv_timeout(interrupt::TICK) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(told) => at(told),
                    Err(_) => {
                        excerpt.push_back(line);
                        excerpt.drain(..excerpt.len().saturating_sub(EXCERPT_LINES));
                    }
                },
                Err(RecvTimeoutError::Timeout) => {}
                // It is at its end, or says nothing more.
                Err(RecvTimeoutError::Disconnected) if talks => talks = false,
                Err(RecvTimeoutError::Disconnected) => wait(&child),
            }
            tick();
            pass_signals(&child, &mut signals);
        };
        (status, summary.join().ok().flatten(), excerpt)
    });
    let status = match status {
        Ok(status) => status,
        Err(error) => return failed(format!("its end cannot be waited for: {error}")),
    };
    if status.signal().is_some() {
        // It had no time to clear up. What was there before may be somebody else's.
        leftovers(&job.output).difference(&before).for_each(|path| drop(fs::remove_file(path)));
    }
    if status.success() {
        if !job.output.exists() {
            return failed(format!("{} says that it is done, and made no file", kind.single));
        }
        return Ended::Converted(summary.unwrap_or_default());
    }
    if interrupt::times() > 0 {
        return Ended::Interrupted;
    }
    Ended::Failed(Failed { why: why(status, excerpt.back()), excerpt: excerpt.into() })
}

fn start(kind: &Kind, program: &Path, job: &Job, worker: &Worker) -> io::Result<Child> {
    let mut command = Command::new(program);
    let input = match kind.takes {
        Takes::Recordings => "--input",
        Takes::Segments => "--segment-dir",
    };
    // A name that begins with a dash is no flag.
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    command.arg(input).arg(whole(&job.input)).arg("--output").arg(whole(&job.output)).arg("--json");
    command.args(&job.flags).arg(format!("--encoder-device={}", name(worker.device)));
    if job.overwrite {
        command.arg("--overwrite");
    }
    if let Some(cuda) = &worker.cuda {
        command.env("CUDA_VISIBLE_DEVICES", cuda);
    }
    command.env(progress::TELL, "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A terminal's Ctrl-C comes to the batch alone, which passes it on: a second one would end the converter at once.
    command.process_group(0);
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec, this makes two system calls and nothing else: it takes no lock and no memory.
    unsafe {
        command.pre_exec(move || {
            // Whatever ends the batch ends its converters, which then clear up.
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // It may have ended before.
            if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        });
    }
    command.spawn()
}

/// Waits for the converter's end, for a tick at most.
fn wait(child: &Child) {
    match (pidfd_open(Pid::from_child(child), PidfdFlags::empty()), interrupt::TICK.try_into()) {
        // When it is interrupted, it is waited for again.
        (Ok(end), Ok(tick)) => drop(poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&tick))),
        _ => thread::sleep(interrupt::TICK),
    }
}

/// The first signal asks the converter to end, the second one ends it.
fn pass_signals(child: &Child, passed: &mut usize) {
    let heard = interrupt::times();
    if heard > *passed {
        *passed = heard;
        // One that has ended hears nothing. It leads a group of its own.
        let signal = if heard == 1 { Signal::INT } else { Signal::KILL };
        let _ = kill_process_group(Pid::from_child(child), signal);
    }
}

fn pass_lines(mut from: impl io::BufRead, to: &mpsc::SyncSender<String>) {
    let mut line = Vec::new();
    while matches!(from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line), Ok(1..)) {
        let text = clean(String::from_utf8_lossy(&line).trim_end());
        line.clear();
        if !text.is_empty() && to.send(text).is_err() {
            return;
        }
    }
}

fn read_summary(mut from: impl Read) -> Option<serde_json::Value> {
    let mut text = Vec::new();
    from.by_ref().take(SUMMARY_MAX).read_to_end(&mut text).ok()?;
    // Nobody is to wait for it to be read.
    io::copy(&mut from, &mut io::sink()).ok()?;
    serde_json::from_slice(&text).ok()
}

fn why(status: ExitStatus, last: Option<&String>) -> String {
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    last.map_or(ended.clone(), |last| format!("{ended}: {last}"))
}

/// Unfinished files of an output: `.run.mp4.….partial`.
fn leftovers(output: &Path) -> HashSet<PathBuf> {
    let (Some(directory), Some(name)) = (output.parent(), output.file_name().and_then(|name| name.to_str())) else {
        return HashSet::new();
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let prefix = format!(".{name}.");
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".partial"))
    };
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_one).collect()
}

/// A text without what a terminal would act on.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
