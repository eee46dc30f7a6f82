//! Why a reader gets no frames, in words that say what to do.

use std::{fmt, fs, io, os::unix::fs::FileTypeExt as _, path::Path};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::{
    address::Address,
    contact::Standing,
    event::Foreign,
    metadata::{MAGIC, METADATA_SIZE},
    segment::shm_path,
    snapshot_error::SnapshotError,
};

/// Other names that are told.
const NAMES_MAX: usize = 5;
/// How alike a name has to be to be told, from 0 to 1.
const LIKENESS_MIN: f64 = 0.6;

/// What a reader has met since its last frame. Start with a new one after each.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    announced: bool,
    failure: Option<Failure>,
    foreign: Option<String>,
    label: Option<String>,
}

#[derive(Clone, Debug)]
struct Failure {
    text: String,
    is_of_segment: bool,
}

impl Symptoms {
    /// A frame was announced.
    pub fn note_announcement(&mut self) {
        self.announced = true;
    }

    /// An announced frame could not be taken.
    pub fn note_failure(&mut self, error: &SnapshotError) {
        let is_of_segment = matches!(error, SnapshotError::Unavailable { .. } | SnapshotError::Truncated);
        self.failure = Some(Failure { text: error.to_string(), is_of_segment });
    }

    /// An announced frame is of no use to this reader, for a reason of its own.
    pub fn note_useless(&mut self, why: &str) {
        self.failure = Some(Failure { text: why.to_owned(), is_of_segment: false });
    }

    /// Something else came than an announcement.
    pub fn note_foreign(&mut self, foreign: &Foreign) {
        match foreign {
            Foreign::Label(label) => self.label = Some(label.clone()),
            _ => self.foreign = Some(foreign.to_string()),
        }
    }
}

/// What is in a reader's way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// There is no segment of that name.
    #[error("the segment is not there: start its producer, or correct the name{}", Others(.similar, "segments"))]
    NoSegment {
        /// Names of segments that are there.
        similar: Vec<String>,
    },
    /// This process may not read it.
    #[error(
        "the segment is not readable for {user}: {owned}; run both as one user, or let the producer give it a wider mode \
         (cvmmapsink perms=0644, --perms 0644)"
    )]
    SegmentForbidden {
        /// Who runs this process.
        user: String,
        /// Mode and owner.
        owned: String,
    },
    /// Something else has its name.
    #[error("{kind} has the segment's name: remove it, or give another name")]
    NoRegularFile {
        /// What it is.
        kind: &'static str,
    },
    /// It cannot be opened.
    #[error("the segment cannot be opened: {0}")]
    SegmentBroken(String),
    /// It is too small for a frame.
    #[error(
        "the segment has {0} bytes, a frame at least 256: its producer has published nothing yet, or something else has \
         its name"
    )]
    SegmentSmall(u64),
    /// It has another content than a producer's.
    #[error(
        "the segment does not begin with CV-MMAP: its producer has published nothing yet, or something else has its name"
    )]
    SegmentForeign,
    /// There is no socket.
    #[error("the socket is not there: no producer runs by that name and prefix{}", Others(.similar, "sockets"))]
    NoSocket {
        /// Paths of sockets that are there.
        similar: Vec<String>,
    },
    /// This process may not look for the socket.
    #[error(
        "the socket's folder may not be entered by {user}: let the producer take another prefix, or widen its mode"
    )]
    FolderForbidden {
        /// Who runs this process.
        user: String,
    },
    /// Something else has its name.
    #[error("{kind} has the socket's name: remove it, or give another prefix")]
    NoSocketFile {
        /// What it is.
        kind: &'static str,
    },
    /// This process may not connect to it.
    #[error(
        "the socket may not be connected to by {user}: {owned}, and connecting takes write permission; run both as one \
         user, or let the producer give it a wider mode (cvmmapsink perms=0644, --perms 0644; UMask of other producers)"
    )]
    SocketForbidden {
        /// Who runs this process.
        user: String,
        /// Mode and owner.
        owned: String,
    },
    /// It was left behind, or the port is closed.
    #[error("nobody listens at the endpoint: the producer has died or is not started yet; start it")]
    NobodyListens,
    /// The network or the system says no.
    #[error("the endpoint cannot be reached: {0}")]
    Unreachable(String),
    /// Whoever listens there says nothing.
    #[error(
        "whoever has the endpoint does not answer: it hangs, a firewall drops the connection, or it is no ZeroMQ publisher"
    )]
    Unanswered,
    /// Whoever listens there says something else.
    #[error("{0}: give the producer's own endpoint")]
    NoPublisher(String),
    /// The producer there has another name.
    #[error("the producer there announces the label '{found}', wanted is '{wanted}': give the name that it has")]
    OtherLabel {
        /// The label of what came.
        found: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// Announcements come, and no frame.
    #[error("frames are announced, and none can be taken: {0}")]
    NoneUsable(String),
    /// All is well, and nothing comes.
    #[error("segment and endpoint are there, and no frame is announced: the producer stands still, or its camera does")]
    NothingAnnounced,
}

/// A list of names behind a sentence, when there are any.
struct Others<'a>(&'a [String], &'static str);

impl fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, " ({} that are there: {})", self.1, names.join(", ")),
        }
    }
}

/// Why a reader gets no frames: the place where it looks, and what is in its way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    segment: String,
    endpoint: String,
    /// At least one; what concerns the segment comes first.
    pub obstacles: Vec<Obstacle>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, endpoint {}: ", self.segment, self.endpoint)?;
        for (obstacle, at) in self.obstacles.iter().zip(0..) {
            write!(f, "{}{obstacle}", if at > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Diagnosis {
    /// Looks at a producer's segment and endpoint with this process's eyes. It waits for nothing but the file system. `standing`
    /// is what [`Subscriber::standing`](crate::Subscriber::standing) says now.
    pub fn new(address: &Address, standing: Standing, symptoms: &Symptoms) -> Self {
        let mut obstacles = Vec::new();
        let segment = look_at_segment(address);
        match &symptoms.failure {
            Some(failure) if symptoms.announced && (segment.is_ok() || !failure.is_of_segment) => {
                obstacles.push(Obstacle::NoneUsable(failure.text.clone()));
            }
            _ => obstacles.extend(segment.err()),
        }
        if !symptoms.announced {
            obstacles.extend(look_at_endpoint(address, standing, symptoms));
        }
        if obstacles.is_empty() {
            obstacles.push(Obstacle::NothingAnnounced);
        }
        let segment = shm_path(address.shm_name()).display().to_string();
        Self { segment, endpoint: address.zmq_endpoint().to_owned(), obstacles }
    }
}

fn look_at_segment(address: &Address) -> Result<(), Obstacle> {
    let path = shm_path(address.shm_name());
    let broken = |error: Errno| Obstacle::SegmentBroken(io::Error::from(error).to_string());
    let stat = match rustix::fs::lstat(&path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => {
            return Err(Obstacle::NoSegment { similar: similar(&path, FileType::RegularFile) });
        }
        Err(error) => return Err(broken(error)),
    };
    if let Some(kind) = kind_other_than(&stat, FileType::RegularFile) {
        return Err(Obstacle::NoRegularFile { kind });
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ACCESS | Errno::PERM) => {
            return Err(Obstacle::SegmentForbidden { user: this_user(), owned: owned(&stat) });
        }
        Err(error) => return Err(broken(error)),
    };
    if stat.st_size < METADATA_SIZE as i64 {
        return Err(Obstacle::SegmentSmall(stat.st_size.max(0) as u64));
    }
    let mut magic = [0; MAGIC.len()];
    match rustix::io::pread(&fd, &mut magic, 0) {
        Ok(_) if magic == MAGIC => Ok(()),
        Ok(_) => Err(Obstacle::SegmentForeign),
        Err(error) => Err(broken(error)),
    }
}

fn look_at_endpoint(address: &Address, standing: Standing, symptoms: &Symptoms) -> Option<Obstacle> {
    if let (Some(found), Some(wanted)) = (&symptoms.label, address.label()) {
        return Some(Obstacle::OtherLabel { found: printable(found), wanted: wanted.to_owned() });
    }
    if let Some(foreign) = &symptoms.foreign {
        return Some(Obstacle::NoPublisher(foreign.clone()));
    }
    let refusal = match standing {
        Standing::Connected => return None,
        Standing::Connecting => return Some(Obstacle::Unanswered),
        Standing::Apart(refusal) => refusal,
    };
    let mut owned_by = "it belongs to another user".to_owned();
    if let Some(path) = address.socket_path() {
        match rustix::fs::stat(path) {
            Ok(stat) => match kind_other_than(&stat, FileType::Socket) {
                Some(kind) => return Some(Obstacle::NoSocketFile { kind }),
                None => owned_by = owned(&stat),
            },
            Err(Errno::ACCESS) => return Some(Obstacle::FolderForbidden { user: this_user() }),
            Err(_) => return Some(Obstacle::NoSocket { similar: similar(Path::new(path), FileType::Socket) }),
        }
    }
    Some(match refusal {
        Some(io::ErrorKind::PermissionDenied) => Obstacle::SocketForbidden { user: this_user(), owned: owned_by },
        None | Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotFound) => {
            Obstacle::NobodyListens
        }
        Some(other) => Obstacle::Unreachable(other.to_string()),
    })
}

/// What a file is, when it is not of a kind.
fn kind_other_than(stat: &Stat, wanted: FileType) -> Option<&'static str> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    (kind != wanted).then_some(match kind {
        FileType::RegularFile => "a plain file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    })
}

/// Files of a kind in the same folder, with names like the one that is missing, the likest first. A producer's segment is
/// told whatever its name, behind them.
fn similar(missing: &Path, kind: FileType) -> Vec<String> {
    let wanted = missing.file_name().unwrap_or_default().to_string_lossy();
    let Some(Ok(folder)) = missing.parent().map(fs::read_dir) else { return Vec::new() };
    let mut names = Vec::new();
    for entry in folder.flatten() {
        let Ok(its) = entry.file_type() else { continue };
        let is_of_kind = if kind == FileType::Socket { its.is_socket() } else { its.is_file() };
        if !is_of_kind {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let likeness = strsim::normalized_damerau_levenshtein(&wanted, &name);
        if likeness >= LIKENESS_MIN || kind == FileType::RegularFile && has_frames(&entry.path()) {
            names.push((likeness, if kind == FileType::Socket { entry.path().display().to_string() } else { name }));
        }
    }
    names.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    names.into_iter().take(NAMES_MAX).map(|(_, name)| printable(&name)).collect()
}

/// Whether a file begins as a producer's segment.
fn has_frames(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).is_ok_and(|fd| rustix::io::pread(&fd, &mut magic, 0).is_ok())
        && magic == MAGIC
}

fn owned(stat: &Stat) -> String {
    let group = name_in("/etc/group", stat.st_gid).unwrap_or_else(|| stat.st_gid.to_string());
    format!("mode {:04o}, owner {}, group {group}", stat.st_mode & 0o7777, user(stat.st_uid))
}

fn this_user() -> String {
    format!("user {}", user(rustix::process::geteuid().as_raw()))
}

fn user(id: u32) -> String {
    name_in("/etc/passwd", id).unwrap_or_else(|| id.to_string())
}

/// The name of a number in a table of users or groups (passwd(5), group(5)).
fn name_in(table: &str, id: u32) -> Option<String> {
    let id = id.to_string();
    fs::read_to_string(table).ok()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}
