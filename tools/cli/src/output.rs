//! The files that a program writes, all of them or none.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{failure::Failure, interrupt, whole::Whole};

/// Writes files.
///
/// # Errors
/// [`Failure::Configuration`] when one is there already and may not be replaced, or cannot be written.
pub fn write(files: &[(PathBuf, Vec<u8>)], overwrite: bool) -> Result<(), Failure> {
    for (path, _) in files {
        if !overwrite && path.exists() {
            return Err(exists(path));
        }
    }
    interrupt::listen();
    let mut written = Vec::new();
    for (path, content) in files {
        interrupt::check()?;
        let whole = Whole::new(path, overwrite);
        let file = begun(&whole, content).map_err(|error| unwritten(path, &error))?;
        written.push((whole, file));
    }
    for (whole, file) in written {
        whole.keep(file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&whole.path),
            _ => unwritten(&whole.path, &error),
        })?;
    }
    Ok(())
}

/// Makes a directory for files, if there is none.
///
/// # Errors
/// [`Failure::Configuration`] when it cannot be made.
pub fn directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| unwritten(path, &error))
}

fn begun(whole: &Whole, content: &[u8]) -> io::Result<NamedTempFile> {
    let name = whole.path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut file = whole.begin(OsStr::new(&format!(".{}.", name.to_string_lossy())), ".partial")?;
    file.write_all(content)?;
    Ok(file)
}

fn exists(path: &Path) -> Failure {
    Failure::Configuration(format!("{} exists; --overwrite replaces it", path.display()))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Configuration(format!("{} cannot be written: {error}", path.display()))
}
