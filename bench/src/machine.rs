//! What the figures were measured on, and who else used it meanwhile.

use std::{fs, thread, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::proc;

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub gstreamer: String,
}

impl Machine {
    pub fn this() -> Result<Self> {
        let field = |path: &str, name: &str| -> Result<String> {
            let text = fs::read_to_string(path)?;
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            Ok(line.split_once(':').map_or("unknown", |(_, value)| value).trim().to_owned())
        };
        let memory_kib = field("/proc/meminfo", "MemTotal")?;
        let memory_kib: f64 = memory_kib.trim_end_matches(" kB").parse().context("MemTotal")?;
        Ok(Self {
            cpu: field("/proc/cpuinfo", "model name")?,
            cores: thread::available_parallelism()?.get(),
            memory_gib: memory_kib / f64::from(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            gstreamer: gst::version_string().to_string(),
        })
    }

    pub fn describe(&self) -> String {
        let Self { cpu, cores, memory_gib, kernel, gstreamer } = self;
        format!("{cores} cores of {cpu}, {memory_gib:.0} GiB, Linux {kernel}, {gstreamer}")
    }
}

/// CPU time of the whole machine and of this process with the children it has waited for.
pub struct Busy {
    machine: f64,
    own: f64,
    at: Instant,
}

impl Busy {
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        // proc(5): user nice system idle iowait irq softirq steal.
        let ticks: Vec<f64> = stat
            .lines()
            .next()
            .context("cpu")?
            .split_whitespace()
            .skip(1)
            .filter_map(|tick| tick.parse().ok())
            .collect();
        let machine = ticks.iter().take(8).sum::<f64>() - ticks[3] - ticks[4];
        // utime, stime, cutime and cstime.
        let own = proc::stat::<4>("self", 14)?.iter().sum::<u64>() as f64;
        Ok(Self { machine, own, at: Instant::now() })
    }

    /// Cores that were busy with something else since then, on average.
    pub fn others(&self) -> Result<f64> {
        let now = Self::now()?;
        let busy = (now.machine - self.machine - (now.own - self.own)) / f64::from(proc::TICKS);
        Ok(busy.max(0.0) / self.at.elapsed().as_secs_f64())
    }
}
