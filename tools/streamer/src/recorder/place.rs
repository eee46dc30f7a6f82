//! Where recordings are made: below a directory that nobody gets out of, under a name of their own until they are whole,
//! and never in place of another file.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags},
    io::Errno,
};

use super::RecordError;

/// Ending of a file that is not whole yet.
const UNFINISHED: &str = "partial";
/// What killed runs left behind makes no more names than this.
const LEFTOVERS_MAX: u32 = 10_000;
/// How directories are opened: those that no link leads to.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A numbered recording ends here.
const NUMBER_MAX: u32 = 999_999;

/// A directory below which recordings are made.
#[derive(Debug)]
pub struct Root {
    /// Without links.
    path: PathBuf,
}

impl Root {
    /// Takes a directory that is there.
    ///
    /// # Errors
    /// When it is not, or is none.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let resolved = fs::canonicalize(path).map_err(|error| RecordError::of(path, error))?;
        if !resolved.is_dir() {
            return Err(RecordError::of(path, Errno::NOTDIR));
        }
        Ok(Self { path: resolved })
    }

    /// The place of a file: a path relative to the root, or an absolute one inside it.
    ///
    /// # Errors
    /// When it is outside after links and `..` are resolved, or its directory is not there.
    pub fn place(&self, requested: &Path) -> Result<Place, RecordError> {
        let (directory, name) = split(requested)?;
        let outside = || RecordError::Outside { path: requested.to_owned(), root: self.path.clone() };
        let resolved =
            fs::canonicalize(self.path.join(directory)).map_err(|error| RecordError::of(requested, error))?;
        let below = resolved.strip_prefix(&self.path).map_err(|_| outside())?;
        // The names are resolved; whoever puts a link in their place meanwhile gets an error.
        let root = open_directory(None, &self.path).map_err(RecordError::from_errno(&self.path))?;
        let fd = open_below(root, below).map_err(RecordError::from_errno(requested))?;
        Ok(Place::new(fd, resolved, name))
    }
}

/// Where one recording goes.
#[derive(Clone, Debug)]
pub struct Place {
    directory: Arc<OwnedFd>,
    path: PathBuf,
    name: OsString,
}

impl Place {
    /// A place anywhere, for the person at the command line.
    ///
    /// # Errors
    /// When the directory is not there.
    pub fn anywhere(requested: &Path) -> Result<Self, RecordError> {
        let (directory, name) = split(requested)?;
        let resolved =
            fs::canonicalize(Path::new(".").join(directory)).map_err(|error| RecordError::of(requested, error))?;
        let fd = open_directory(None, &resolved).map_err(RecordError::from_errno(requested))?;
        Ok(Self::new(fd, resolved, name))
    }

    fn new(directory: OwnedFd, path: PathBuf, name: &OsStr) -> Self {
        Self { directory: Arc::new(directory), path, name: name.to_owned() }
    }

    /// The whole path.
    pub fn path(&self) -> PathBuf {
        self.path.join(&self.name)
    }

    /// Makes the file, under a name that says that it is not whole.
    ///
    /// # Errors
    /// [`RecordError::Exists`] when there is one of the final name.
    pub fn create(&self) -> Result<NewFile, RecordError> {
        if self.is_taken(&self.name) {
            return Err(RecordError::Exists(self.path()));
        }
        self.create_named(self.name.clone())
    }

    /// Makes the next file of a numbered series, behind those that are there: `name-0001.mcap`, `name-0002.mcap` ...
    ///
    /// # Errors
    /// When there is no number left, or the system refuses.
    pub fn create_next(&self, after: u32) -> Result<(u32, NewFile), RecordError> {
        for number in after + 1..=NUMBER_MAX {
            let name = self.numbered(number);
            if !self.is_taken(&name) {
                return Ok((number, self.create_named(name)?));
            }
        }
        Err(RecordError::Failed { path: self.path(), why: format!("{NUMBER_MAX} files are there; take another name") })
    }

    fn numbered(&self, number: u32) -> OsString {
        let name = Path::new(&self.name);
        let mut numbered = name.file_stem().unwrap_or(&self.name).to_owned();
        numbered.push(format!("-{number:04}"));
        if let Some(extension) = name.extension() {
            numbered.push(".");
            numbered.push(extension);
        }
        numbered
    }

    fn is_taken(&self, name: &OsStr) -> bool {
        rustix::fs::statat(&*self.directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    fn create_named(&self, name: OsString) -> Result<NewFile, RecordError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let mut leftovers = 0;
        loop {
            let mut unfinished = name.clone();
            unfinished.push(match leftovers {
                0 => format!(".{UNFINISHED}"),
                _ => format!(".{leftovers}.{UNFINISHED}"),
            });
            match rustix::fs::openat(&*self.directory, &unfinished, flags, Mode::from_raw_mode(0o644)) {
                Ok(fd) => {
                    let place = Self { name, ..self.clone() };
                    return Ok(NewFile { file: fd.into(), place, unfinished });
                }
                Err(Errno::EXIST) if leftovers < LEFTOVERS_MAX => leftovers += 1,
                Err(errno) => return Err(RecordError::of(self.path.join(name), errno)),
            }
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    place: Place,
    unfinished: OsString,
}

impl NewFile {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What it will be called.
    pub fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// What it is called while it is not whole.
    pub fn unfinished_path(&self) -> PathBuf {
        self.place.path.join(&self.unfinished)
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// When the disk does not take the rest, or the name has been taken meanwhile; it then keeps the unfinished one.
    pub fn keep(self) -> Result<PathBuf, RecordError> {
        self.file.sync_all().map_err(|error| RecordError::of(self.path(), error))?;
        let directory = &*self.place.directory;
        let (from, to) = (&self.unfinished, &self.place.name);
        match rustix::fs::renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
            // A file system that cannot do that.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::linkat(directory, from, directory, to, AtFlags::empty())
                .and_then(|()| rustix::fs::unlinkat(directory, from, AtFlags::empty())),
            outcome => outcome,
        }
        .map_err(|errno| match errno {
            Errno::EXIST => RecordError::Failed {
                path: self.path(),
                why: format!("somebody else made it meanwhile; the recording is {}", self.unfinished_path().display()),
            },
            errno => RecordError::of(self.path(), errno),
        })?;
        Ok(self.path())
    }

    /// Removes the file.
    pub fn discard(self) {
        // It is empty: one that stays does no harm.
        let _ = rustix::fs::unlinkat(&*self.place.directory, &self.unfinished, AtFlags::empty());
    }
}

/// Directory and name.
fn split(requested: &Path) -> Result<(&Path, &OsStr), RecordError> {
    use std::os::unix::ffi::OsStrExt as _;
    let is_directory = matches!(requested.as_os_str().as_bytes(), [] | [.., b'/'] | [.., b'/', b'.']);
    match (requested.parent(), requested.file_name()) {
        (Some(directory), Some(name)) if !is_directory => Ok((directory, name)),
        _ => Err(RecordError::EmptyPath),
    }
}

/// Opens a directory that no link leads to.
fn open_directory(within: Option<&OwnedFd>, path: &Path) -> Result<OwnedFd, Errno> {
    match within {
        Some(directory) => rustix::fs::openat(directory, path, DIRECTORY, Mode::empty()),
        None => rustix::fs::open(path, DIRECTORY, Mode::empty()),
    }
}

/// Opens a directory below another, with no link on the way. The kernel sees to it where it can.
fn open_below(root: OwnedFd, below: &Path) -> Result<OwnedFd, Errno> {
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(&root, below, DIRECTORY, Mode::empty(), resolve) {
        // A kernel before 5.6, or a container that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => step_below(root, below),
        opened => opened,
    }
}

/// The same in steps of one name.
fn step_below(root: OwnedFd, below: &Path) -> Result<OwnedFd, Errno> {
    below.components().try_fold(root, |fd, component| match component {
        Component::Normal(name) => open_directory(Some(&fd), Path::new(name)),
        _ => Err(Errno::XDEV),
    })
}

impl io::Write for &NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}

#[cfg(test)]
mod tests;
