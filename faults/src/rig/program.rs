//! A program that runs beside the suite, with what it says in files.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};

use super::wait_for;

pub use rustix::process::Signal;

/// Fields of /proc/PID/stat. Source: proc_pid_stat(5).
const STATE: usize = 3;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;

/// A running program. Killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a program ended.
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
}

/// A program's stderr.
pub struct Log(PathBuf);

impl Log {
    /// The lines so far that hold `text`.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let log = fs::read_to_string(&self.0).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl Program {
    /// Starts it; `name` names its logs in `dir`.
    pub fn start(dir: &Path, name: &str, mut command: Command) -> Result<Self> {
        let [stdout, stderr] = ["out", "log"].map(|kind| dir.join(format!("{name}.{kind}")));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, stdin, stdout, stderr })
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).with_context(|| format!("{} is gone", self.name))
    }

    /// What it says, also when it has ended.
    pub fn log(&self) -> Log {
        Log(self.stderr.clone())
    }

    /// Waits until `text` has been said so many times.
    pub fn wait_said(&self, text: &str, times: usize) -> Result<()> {
        wait_for(&format!("'{text}' from {}", self.name), || self.log().lines(text).len() >= times).map(|_| ())
    }

    /// Kills it outright.
    pub fn kill(self) -> Result<Ended> {
        self.signal(Signal::KILL)?;
        self.wait()
    }

    /// Tells a role of this program to end, by closing its input.
    pub fn end(mut self) -> Result<Ended> {
        self.stdin = None;
        self.wait()
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> Result<Ended> {
        let mut status = None::<ExitStatus>;
        wait_for(&format!("end of {}", self.name), || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        Ok(Ended {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stdout: fs::read_to_string(&self.stdout)?,
        })
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> Result<bool> {
        Ok(self.stat(STATE)? == "T")
    }

    /// CPU time that it used.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let ticks = self.stat(USER_TIME)?.parse::<u64>()? + self.stat(SYSTEM_TIME)?.parse::<u64>()?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    fn stat(&self, field: usize) -> Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(") ").context("a process's stat")?.1;
        Ok(after_name.split(' ').nth(field - STATE).context("a process's stat")?.to_owned())
    }

    /// From now on [`Self::memory_peak_mib`] tells the highest since now.
    pub fn forget_memory_peak(&self) -> Result<()> {
        // Source: proc_pid_clear_refs(5).
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").context("resetting a process's peak of memory")
    }

    pub fn memory_peak_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Mostly it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
