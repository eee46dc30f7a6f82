//! This process's threads, as Linux tells of them (proc(5)).

use std::{
    fs,
    path::{Path, PathBuf},
};

use gst::prelude::*;

use super::{player::Player, until};

/// Folders of the threads of this name.
pub fn named(name: &str) -> Vec<PathBuf> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    threads.filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name)).collect()
}

/// The folder of the thread that runs `create()`.
pub fn streaming(player: &Player) -> PathBuf {
    let name = format!("{}:src", player.src.name());
    let mut threads = Vec::new();
    until("the streaming thread runs", || {
        threads = named(&name);
        threads.len() == 1
    });
    threads.remove(0)
}

/// Waits until a thread sleeps.
pub fn await_sleep(thread: &Path) {
    until("the thread sleeps", || {
        let stat = fs::read_to_string(thread.join("stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('S')
    });
}

/// How often a thread went to sleep.
pub fn sleeps(thread: &Path) -> u64 {
    let status = fs::read_to_string(thread.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}
