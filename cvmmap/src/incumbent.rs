//! Whether a segment that no publisher of this crate holds belongs to a live producer. Others hold no lock.

use std::{
    fmt, fs,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt as _,
    },
    path::Path,
    thread,
    time::Duration,
};

use rustix::fs::{Stat, fstat, major, minor};

use crate::metadata::METADATA_SIZE;

/// How long the metadata are watched: a producer of four frames a second or more changes them meanwhile.
const WATCHED: Duration = Duration::from_millis(250);
/// A socket that takes connections, in the flags of `/proc/net/unix`. Source: Linux, `include/linux/net.h`, `__SO_ACCEPTCON`.
const ACCEPTS: u32 = 1 << 16;

/// What shows that somebody publishes in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incumbent {
    /// A socket named like the segment, as producers name theirs, takes connections.
    Listens(String),
    /// A process has mapped it for writing: consumers only read (cv-mmap IPC contract, section 2).
    Maps { process: u32, name: String },
    /// Its metadata change.
    Writes,
}

impl fmt::Display for Incumbent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listens(path) => write!(f, "somebody listens at {path}"),
            Self::Maps { process, name } => write!(f, "process {process} ({name}) has it mapped for writing"),
            Self::Writes => f.write_str("somebody writes frames into it"),
        }
    }
}

/// Looks for a live producer of a segment, as far as this process may see others.
pub(crate) fn find(segment: impl AsFd, shm_name: &str) -> Option<Incumbent> {
    let segment = segment.as_fd();
    find_listener(shm_name)
        .map(Incumbent::Listens)
        .or_else(|| find_writer(&fstat(segment).ok()?))
        .or_else(|| changes(segment).then_some(Incumbent::Writes))
}

/// A Unix socket of this machine that takes connections and is named so, in whatever folder.
fn find_listener(name: &str) -> Option<String> {
    // Num RefCount Protocol Flags Type St Inode Path; proc(5).
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let path = fields.nth(3)?;
        let is_named_so = Path::new(path).file_name().is_some_and(|last| last == name);
        (flags & ACCEPTS != 0 && is_named_so).then(|| path.to_owned())
    })
}

/// A process that has mapped a file for writing, to share it.
fn find_writer(segment: &Stat) -> Option<Incumbent> {
    let device = format!("{:02x}:{:02x}", major(segment.st_dev), minor(segment.st_dev));
    let inode = segment.st_ino.to_string();
    // address perms offset dev inode path; proc(5).
    let writes = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let permissions = fields.nth(1).unwrap_or_default();
        permissions.contains('w')
            && permissions.ends_with('s')
            && fields.nth(1) == Some(&device)
            && fields.next() == Some(&inode)
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|process| {
        // Processes of others may not be looked at, and end meanwhile.
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
        let name = || fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned();
        maps.lines().any(writes).then(|| Incumbent::Maps { process, name: name() })
    })
}

/// Whether the metadata change while they are watched.
fn changes(segment: BorrowedFd<'_>) -> bool {
    let Ok(segment) = segment.try_clone_to_owned().map(fs::File::from) else { return false };
    let look = || {
        let mut bytes = [0; METADATA_SIZE];
        segment.read_at(&mut bytes, 0).map(|count| (count, bytes)).ok()
    };
    let before = look();
    // What holds no frame has no producer that could be caught at it.
    if before.is_none_or(|(count, _)| count < METADATA_SIZE) {
        return false;
    }
    thread::sleep(WATCHED);
    look() != before
}
