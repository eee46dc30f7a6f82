//! One run of the converter, as a program of its own.

use std::{
    collections::VecDeque,
    env, fs, io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use gst::glib;
use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};
use tools_cli::{
    failure::Failure,
    interrupt,
    progress::{self, Told},
    target,
};

use super::{
    jobs::Job,
    listen,
    pool::Worker,
    programs::{Kind, Takes, name},
};

/// Lines of a failed converter that are shown.
const EXCERPT_LINES: usize = 8;
/// Characters of a mark: names have an end, and few converters make the same file.
const MARK_LENGTH: usize = 8;

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
    // Nobody else's unfinished files have it in their names.
    let mark = &glib::uuid_string_random()[..MARK_LENGTH];
    let mut child = match start(kind, program, job, worker, mark) {
        Ok(child) => child,
        Err(error) => return failed(format!("{} does not start: {error}", program.display())),
    };
    let mut excerpt = VecDeque::new();
    let mut signals = 0;
    let listened =
        listen::to(&mut child, |child, line| match line.map(|line| serde_json::from_str(&line).map_err(|_| line)) {
            Some(Ok(told)) => at(told),
            Some(Err(line)) => {
                excerpt.push_back(line);
                excerpt.drain(..excerpt.len().saturating_sub(EXCERPT_LINES));
            }
            None => {
                tick();
                pass_signals(child, &mut signals);
            }
        });
    let (status, summary) = match listened {
        Ok(listened) => listened,
        Err(error) => {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            return failed(format!("its end cannot be waited for: {error}"));
        }
    };
    if status.signal().is_some() {
        // It had no time to clear up.
        leftovers(&job.output, mark).iter().for_each(|path| drop(fs::remove_file(path)));
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

fn start(kind: &Kind, program: &Path, job: &Job, worker: &Worker, mark: &str) -> io::Result<Child> {
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
    command
        .env(progress::TELL, "1")
        .env(target::MARK, mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
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

fn why(status: ExitStatus, last: Option<&String>) -> String {
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    last.map_or(ended.clone(), |last| format!("{ended}: {last}"))
}

/// Unfinished files of an output with a mark in their names: `.run.mp4.MARK.….partial`.
fn leftovers(output: &Path, mark: &str) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (output.parent(), output.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let prefix = format!(".{name}.{mark}.");
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".partial"))
    };
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_one).collect()
}
