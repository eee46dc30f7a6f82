//! A file that gets its name when it is whole.

use std::{
    ffi::OsStr,
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// The name that it gets, and how.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its name.
    pub path: PathBuf,
    /// Whether a file that has the name is replaced.
    pub overwrite: bool,
    /// Whether the disk has what is in it before it gets its name.
    pub synced: bool,
    /// Its permissions, of which the user's umask takes.
    pub mode: u32,
}

impl Whole {
    /// A file that replaces none unless it is to `overwrite`, with the permissions that any program gives.
    pub fn new(path: &Path, overwrite: bool) -> Self {
        Self { path: path.to_owned(), overwrite, synced: false, mode: 0o666 }
    }

    /// The directory that it is made in.
    pub fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// An empty file in the same directory, which is gone when it is not kept. Random letters stand between the two parts of
    /// its name.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self, prefix: &OsStr, suffix: &str) -> io::Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(prefix)
            .suffix(suffix)
            .permissions(Permissions::from_mode(self.mode))
            .tempfile_in(self.directory())
    }

    /// Gives a file that was begun its name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken, or what the system says.
    pub fn keep(&self, file: NamedTempFile) -> io::Result<()> {
        if self.synced {
            file.as_file().sync_all()?;
        }
        let kept = if self.overwrite { file.persist(&self.path) } else { file.persist_noclobber(&self.path) };
        kept.map(drop).map_err(|refused| refused.error)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let names = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let make = |overwrite, content: &str| {
            let whole = Whole { synced: true, mode: 0o600, ..Whole::new(&path, overwrite) };
            let mut file = whole.begin(OsStr::new(".a."), ".partial")?;
            file.write_all(content.as_bytes())?;
            let unfinished = names().into_iter().map(|name| name.into_string().unwrap());
            assert!(unfinished.into_iter().any(|name| name.starts_with(".a.") && name.ends_with(".partial")));
            whole.keep(file)
        };
        make(false, "first").unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), path.metadata().unwrap().permissions().mode() & 0o777),
            ("first".to_owned(), 0o600)
        );
        assert_eq!(make(false, "second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        make(true, "third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        drop(Whole::new(&path, true).begin(OsStr::new(".a."), "").unwrap());
        assert_eq!(names(), ["a"]);
    }

    #[test]
    fn a_bare_name_is_in_this_directory() {
        assert_eq!(Whole::new(Path::new("a"), false).directory(), Path::new("."));
    }
}
