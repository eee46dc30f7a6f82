//! What other processes have used so far.

use std::{fs, iter::Sum, time::Duration};

use anyhow::{Context, Result};

/// Ticks of `/proc/PID/stat` a second, as Linux has them on every architecture it is used on here.
const TICKS: u32 = 100;

#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// User and system time of all threads.
    pub cpu: Duration,
    pub threads: u64,
    /// Resident memory,
    pub rss_kib: u64,
    /// and that with each page divided by the processes that have it.
    pub pss_kib: u64,
}

impl Used {
    pub fn by(process: u32) -> Result<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).with_context(|| name.to_owned());
        let (stat, status, smaps) = (read("stat")?, read("status")?, read("smaps_rollup")?);
        let after_name = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
        // proc(5): utime and stime are the 14th and 15th field.
        let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
        let field = |text: &str, name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self {
            cpu: Duration::from_secs(1) * ticks.sum() / TICKS,
            threads: field(&status, "Threads:")?,
            rss_kib: field(&status, "VmRSS:")?,
            pss_kib: field(&smaps, "Pss:")?,
        })
    }
}

impl Sum for Used {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            threads: sum.threads + one.threads,
            rss_kib: sum.rss_kib + one.rss_kib,
            pss_kib: sum.pss_kib + one.pss_kib,
        })
    }
}
