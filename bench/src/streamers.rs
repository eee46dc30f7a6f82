//! Running `cvmmap_streamer` processes, what they have used, and what the receivers of their streams get.

use std::{
    env,
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    footprint::Footprint,
    receiver::{Received, Receiver},
};

/// How long the last packets may be on their way.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// How long streams may take to begin on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all processes together have used, and what each receiver has got.
pub struct Sample {
    pub at: Instant,
    pub used: Footprint,
    pub received: Vec<Received>,
}

impl Sample {
    pub fn units(&self) -> u64 {
        self.received.iter().map(|received| received.units).sum()
    }

    pub fn packets_lost(&self) -> u64 {
        self.received.iter().map(|received| received.packets_lost).sum()
    }

    /// CPU seconds of each second since an earlier one.
    pub fn cores_since(&self, before: &Self) -> f64 {
        (self.used.cpu - before.used.cpu).as_secs_f64() / self.seconds_since(before)
    }

    pub fn seconds_since(&self, before: &Self) -> f64 {
        self.at.duration_since(before.at).as_secs_f64()
    }
}

pub struct Streamers {
    processes: Vec<Child>,
    receivers: Vec<Receiver>,
}

impl Streamers {
    /// Starts a process for each command line.
    pub fn start(commands: &[Vec<String>], receivers: Vec<Receiver>) -> Result<Self> {
        let program = env::current_exe()?.with_file_name("cvmmap_streamer");
        let mut streamers = Self { processes: Vec::new(), receivers };
        for arguments in commands {
            let process = Command::new(&program)
                .args(arguments)
                .arg("--json")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("starting {}", program.display()))?;
            streamers.processes.push(process);
        }
        Ok(streamers)
    }

    /// The process, where there is one.
    pub fn only(&self) -> u32 {
        assert_eq!(self.processes.len(), 1, "one process was started");
        self.processes[0].id()
    }

    pub fn all_receive(&self) -> bool {
        self.receivers.iter().all(|receiver| receiver.received().units > 0)
    }

    /// Waits until each stream has begun.
    pub fn await_all(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.all_receive() {
            for process in &mut self.processes {
                if let Some(status) = process.try_wait()? {
                    bail!("cvmmap_streamer ended with {status}");
                }
            }
            if Instant::now() > until {
                bail!("not all streams came");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub fn sample(&self) -> Result<Sample> {
        let used = self.processes.iter().map(|process| Footprint::of(process.id()));
        let at = Instant::now();
        let used = used.sum::<Result<_>>()?;
        Ok(Sample { at, used, received: self.receivers.iter().map(Receiver::received).collect() })
    }

    /// What they use and bring within a time.
    pub fn over(&self, time: Duration) -> Result<(Sample, Sample)> {
        let before = self.sample()?;
        thread::sleep(time);
        Ok((before, self.sample()?))
    }

    /// Waits for so many units at all receivers, and no longer than they can take.
    pub fn settle(&self, units: u64) -> Result<Sample> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let sample = self.settled()?;
            if sample.units() >= units || Instant::now() > deadline {
                return Ok(sample);
            }
        }
    }

    /// What there is when everything on its way has arrived.
    pub fn settled(&self) -> Result<Sample> {
        thread::sleep(Duration::from_millis(300));
        self.sample()
    }

    /// Ends all; their summaries.
    pub fn end(mut self) -> Result<Vec<Value>> {
        for process in &self.processes {
            kill_process(Pid::from_child(process), Signal::INT)?;
        }
        let mut summaries = Vec::new();
        for process in &mut self.processes {
            let mut text = String::new();
            process.stdout.take().context("a piped output")?.read_to_string(&mut text)?;
            let status = process.wait()?;
            ensure!(status.success(), "cvmmap_streamer ended with {status}");
            summaries.push(serde_json::from_str(&text)?);
        }
        Ok(summaries)
    }
}

impl Drop for Streamers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Mostly it has ended. One that is asked to end leaves nothing behind.
            if let Ok(None) = process.try_wait() {
                let _ = kill_process(Pid::from_child(process), Signal::INT);
                let _ = process.wait();
            }
        }
    }
}
