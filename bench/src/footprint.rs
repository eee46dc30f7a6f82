//! What a process has used so far, and has now.

use std::{iter::Sum, time::Duration};

use anyhow::Result;

use crate::proc;

#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// User and system time of all threads.
    pub cpu: Duration,
    pub threads: u64,
    /// Resident memory,
    pub rss_kib: u64,
    /// and that with each page divided by the processes that have it.
    pub pss_kib: u64,
}

impl Footprint {
    pub fn of(process: u32) -> Result<Self> {
        // utime and stime.
        let ticks = proc::stat::<2>(process, 14)?.iter().sum::<u64>();
        let [threads, rss_kib] = proc::lines(process, "status", ["Threads", "VmRSS"])?;
        let [pss_kib] = proc::lines(process, "smaps_rollup", ["Pss"])?;
        Ok(Self { cpu: Duration::from_secs(ticks) / proc::TICKS, threads, rss_kib, pss_kib })
    }
}

impl Sum for Footprint {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            threads: sum.threads + one.threads,
            rss_kib: sum.rss_kib + one.rss_kib,
            pss_kib: sum.pss_kib + one.pss_kib,
        })
    }
}
