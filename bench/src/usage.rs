//! What this process has used so far.

use std::{collections::BTreeMap, fs, process, time::Duration};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{allocations, proc};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of all threads but the asking one, nanoseconds.
    pub cpu_ns: u64,
    /// The same by the threads' names.
    pub cpu_ns_of: BTreeMap<String, u64>,
    pub minor_faults: u64,
    /// Allocations of Rust code that are large enough for a frame.
    pub large_allocations: u64,
    pub fds: u64,
    pub threads: u64,
    pub rss_kib: u64,
}

impl Usage {
    /// To be asked for by the main thread, which does nothing else while something is measured.
    pub fn now() -> Result<Self> {
        let cpu = clock(ClockId::ProcessCPUTime).saturating_sub(thread_cpu());
        let [threads, rss_kib] = proc::lines("self", "status", ["Threads", "VmRSS"])?;
        let [minor_faults] = proc::stat("self", 10)?;
        Ok(Self {
            cpu_ns: cpu.as_nanos() as u64,
            cpu_ns_of: by_thread(process::id())?,
            minor_faults,
            large_allocations: allocations::large(),
            // One is the folder's own.
            fds: fs::read_dir("/proc/self/fd")?.count() as u64 - 1,
            threads,
            rss_kib,
        })
    }
}

/// CPU time of a process' threads but its first, by their names, in nanoseconds.
pub fn by_thread(process: u32) -> Result<BTreeMap<String, u64>> {
    let mut cpu_ns_of = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        if thread.ends_with(process.to_string()) {
            continue;
        }
        // A thread may have ended by now. The first number of schedstat is its CPU time.
        let (Ok(name), Ok(schedstat)) =
            (fs::read_to_string(thread.join("comm")), fs::read_to_string(thread.join("schedstat")))
        else {
            continue;
        };
        let cpu_ns: u64 = schedstat.split_whitespace().next().unwrap_or_default().parse().unwrap_or(0);
        *cpu_ns_of.entry(name.trim().to_owned()).or_default() += cpu_ns;
    }
    Ok(cpu_ns_of)
}

/// CPU time of this thread.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
