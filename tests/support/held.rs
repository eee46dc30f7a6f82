//! What a program holds: a bad peer leaves nothing behind.

use std::fs;

use crate::streamer_support::Running;

pub fn open_files(program: &Running) -> usize {
    fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count()
}

pub fn threads(program: &Running) -> usize {
    fs::read_dir(format!("/proc/{}/task", program.id())).unwrap().count()
}

/// Source: proc_pid_status(5).
pub fn resident_kib(program: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
