//! Files that get their names when they are whole.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{failure::Failure, interrupt};

/// Writes files, all of them or none.
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
        written.push((path, temporary(path, content).map_err(|error| unwritten(path, &error))?));
    }
    for (path, file) in written {
        let kept = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
        kept.map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => unwritten(path, &failed.error),
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

fn temporary(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut file = tempfile::Builder::new()
        .prefix(&format!(".{}.", name.to_string_lossy()))
        .suffix(".partial")
        // As the umask leaves it, like any other file.
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)?;
    file.write_all(content)?;
    Ok(file)
}

fn exists(path: &Path) -> Failure {
    Failure::Configuration(format!("{} exists; --overwrite replaces it", path.display()))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::Configuration(format!("{} cannot be written: {error}", path.display()))
}
