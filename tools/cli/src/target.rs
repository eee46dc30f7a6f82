//! The file that a program makes, said in the words of its options.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{failure::Failure, whole::Whole};

/// Set by a program that clears up behind this one: what the names of unfinished files hold.
pub const MARK: &str = "CVMMAP_PARTIAL_MARK";
/// A longer mark is none: names have an end.
const MARK_MAX: usize = 16;

/// The file's final name, and whether one that is there may be replaced.
#[derive(Clone, Debug)]
pub struct Target(Whole);

impl Target {
    /// Looks whether a file can be made of these.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is one of them, [`Failure::Configuration`] when there is one already, or no directory.
    pub fn new(path: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<Self, Failure> {
        let is_output = |input: &PathBuf| {
            input == path || path.canonicalize().is_ok_and(|path| input.canonicalize().is_ok_and(|input| input == path))
        };
        if inputs.iter().any(is_output) {
            return Err(Failure::Usage("the output would replace an input; name another --output".to_owned()));
        }
        let whole = Whole { synced: true, ..Whole::new(path, overwrite) };
        if path.file_name().is_none() || path.is_dir() {
            return Err(Failure::Configuration(format!("{}: it is a directory; name a file", path.display())));
        }
        if !whole.directory().is_dir() {
            return Err(Failure::Configuration(format!(
                "{}: its directory is not there; make it first",
                path.display()
            )));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
        Ok(Self(whole))
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The directory that the file is made in.
    pub fn directory(&self) -> &Path {
        self.0.directory()
    }

    /// A file beside it, which is gone when it is not kept.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it cannot be made.
    pub fn beside(&self, purpose: &str) -> Result<NamedTempFile, Failure> {
        let mut name = OsString::from(".");
        name.push(self.path().file_name().unwrap_or_default());
        name.push(".");
        if let Some(mark) = mark() {
            name.push(mark);
            name.push(".");
        }
        self.0.begin(&name, purpose).map_err(|error| {
            Failure::Configuration(format!("{}: it cannot be written: {error}", self.path().display()))
        })
    }

    /// Gives a file that is whole its name.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when somebody took the name, or what the file system complains of.
    pub fn keep(&self, file: NamedTempFile) -> Result<(), Failure> {
        self.0.keep(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists if !self.0.overwrite => taken(self.path()),
            _ => self.unwritable(&error),
        })
    }

    /// Keeps a file that can be read and lacks its end under a name of its own, `NAME.partial`. One of an earlier run is
    /// replaced.
    ///
    /// # Errors
    /// What the file system complains of.
    pub fn keep_part(&self, file: NamedTempFile) -> Result<PathBuf, Failure> {
        let mut name = self.path().as_os_str().to_owned();
        name.push(".partial");
        let part = Whole { path: name.into(), overwrite: true, ..self.0.clone() };
        part.keep(file).map_err(|error| self.unwritable(&error))?;
        Ok(part.path)
    }

    /// The failure for what the file system complains of.
    pub fn unwritable(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => disk_full(),
            _ => Failure::Pipeline(format!("{}: it cannot be written: {error}", self.path().display())),
        }
    }
}

/// The mark that this program was given.
fn mark() -> Option<String> {
    let is_mark = |mark: &String| mark.len() <= MARK_MAX && mark.bytes().all(|byte| byte.is_ascii_alphanumeric());
    env::var(MARK).ok().filter(is_mark)
}

/// The failure for a disk without room.
pub fn disk_full() -> Failure {
    Failure::Pipeline("the disk is full; make room, or take another --output".to_owned())
}

/// Whether there is no room left for a file of the user's.
pub fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|disk| disk.f_bavail == 0)
}

fn taken(path: &Path) -> Failure {
    Failure::Configuration(format!(
        "{} is there already; take --overwrite to replace it, or another --output",
        path.display()
    ))
}
