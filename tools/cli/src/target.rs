//! The file that a program makes: it gets its name when it is whole.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Set by a program that clears up behind this one: what the names of unfinished files hold.
pub const MARK: &str = "CVMMAP_PARTIAL_MARK";
/// A longer mark is none: names have an end.
const MARK_MAX: usize = 16;

/// The file's final name, and whether one that is there may be replaced.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    directory: PathBuf,
    overwrite: bool,
}

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
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if path.file_name().is_none() || path.is_dir() {
            return Err(Failure::Configuration(format!("{}: it is a directory; name a file", path.display())));
        }
        if !directory.is_dir() {
            return Err(Failure::Configuration(format!(
                "{}: its directory is not there; make it first",
                path.display()
            )));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
        Ok(Self { path: path.to_owned(), directory, overwrite })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file beside it, which is gone when it is not kept.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it cannot be made.
    pub fn beside(&self, purpose: &str) -> Result<NamedTempFile, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        if let Some(mark) = mark() {
            name.push(mark);
            name.push(".");
        }
        tempfile::Builder::new()
            .prefix(&name)
            .suffix(purpose)
            // As any program makes files; the user's umask takes from it.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.directory)
            .map_err(|error| Failure::Configuration(format!("{}: it cannot be written: {error}", self.path.display())))
    }

    /// Gives a file that is whole its name.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when somebody took the name, or what the file system complains of.
    pub fn keep(&self, file: NamedTempFile) -> Result<(), Failure> {
        file.as_file().sync_all().map_err(|error| self.unwritable(&error))?;
        if self.overwrite {
            return file.persist(&self.path).map(drop).map_err(|error| self.unwritable(&error.error));
        }
        file.persist_noclobber(&self.path).map(drop).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => taken(&self.path),
            _ => self.unwritable(&error.error),
        })
    }

    /// Keeps a file that can be read and lacks its end under a name of its own, `NAME.partial`. One of an earlier run is
    /// replaced.
    ///
    /// # Errors
    /// What the file system complains of.
    pub fn keep_part(&self, file: NamedTempFile) -> Result<PathBuf, Failure> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        file.as_file().sync_all().map_err(|error| self.unwritable(&error))?;
        file.persist(&path).map_err(|error| self.unwritable(&error.error))?;
        Ok(path)
    }

    /// The failure for what the file system complains of.
    pub fn unwritable(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => disk_full(),
            _ => Failure::Pipeline(format!("{}: it cannot be written: {error}", self.path.display())),
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
