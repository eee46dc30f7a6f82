//! Processes that play a role, and how they are talked to: one command a line on their input, one line of JSON as the
//! answer. A role ends when its input does, so none outlives the process that started it.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::usage::Usage;

/// How long frames may take to flow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a role has used and done so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub usage: Usage,
    /// Frames published, or buffers that reached the sinks.
    pub frames: u64,
    /// Sums of the counters of all `cvmmapsrc`.
    pub stats: BTreeMap<String, u64>,
}

/// A running role.
pub struct Role {
    name: String,
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it said first.
    pub greeting: String,
}

impl Role {
    pub fn start(name: &str, args: &[String]) -> Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("a piped output")?);
        let mut role = Self { name: name.to_owned(), process, commands, answers, greeting: String::new() };
        role.greeting = role.answer()?;
        Ok(role)
    }

    /// Sends a command and reads the answer.
    pub fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        let commands = self.commands.as_mut().context("a piped input")?;
        writeln!(commands, "{command}").with_context(|| format!("{} is gone", self.name))?;
        Ok(serde_json::from_str(&self.answer()?)?)
    }

    pub fn sample(&mut self) -> Result<Sample> {
        self.ask("sample")
    }

    /// Waits until this many more frames came.
    pub fn await_frames(&mut self, more: u64) -> Result<()> {
        let goal = self.sample()?.frames + more;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sample = self.sample()?;
            if sample.frames >= goal {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{}: {} of {goal} frames came; {:?}", self.name, sample.frames, sample.stats);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads the next line of its output.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("{} ended: {}", self.name, self.process.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}

/// The role's side: says that it is ready, then answers every command until the input ends.
pub fn serve(greeting: &str, mut answer: impl FnMut(&str) -> Result<String>) -> Result<()> {
    say(greeting)?;
    for command in stdin().lines() {
        say(&answer(&command?)?)?;
    }
    Ok(())
}

/// Writes one line of output.
pub fn say(line: &str) -> Result<()> {
    let mut output = stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
