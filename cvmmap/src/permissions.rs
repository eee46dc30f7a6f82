//! Who may read a producer's frames.

use std::{path::Path, str::FromStr};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};

/// The bits of a mode that a segment may have. Source: cv-mmap IPC contract, section 2.
const MODE_MAX: u32 = 0o666;
/// What its owner has to have.
const MODE_MIN: u32 = 0o600;

/// Who may read a producer's frames: the mode of its segment, and of its socket in keeping with it.
///
/// By default the segment is made with 0644, less the process's umask. A mode that is given is exact, whatever the umask.
/// Connecting to a Unix socket takes write permission: whoever may read the segment may do so, and nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(Option<u32>);

/// Why a mode is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "mode '{0}' must be octal, 0600 to 0666, of bits that read and write: 0640 lets the group read, 0644 everybody"
)]
pub struct PermissionsError(String);

impl Permissions {
    /// A mode: of the bits 0666, and at least 0600.
    ///
    /// # Errors
    /// When there are other bits, or the owner may not read and write.
    pub fn new(mode: u32) -> Result<Self, PermissionsError> {
        if mode & !MODE_MAX == 0 && mode & MODE_MIN == MODE_MIN {
            Ok(Self(Some(mode)))
        } else {
            Err(PermissionsError(format!("{mode:#o}")))
        }
    }

    /// The mode that was given.
    pub fn mode(self) -> Option<u32> {
        self.0
    }

    /// What a segment is made with.
    pub(crate) fn initial(self) -> Mode {
        Mode::from_raw_mode(if self.0.is_some() { MODE_MIN } else { 0o644 })
    }
}

impl FromStr for Permissions {
    type Err = PermissionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || PermissionsError(text.to_owned());
        let mode = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).map_err(|_| refused())?;
        Self::new(mode).map_err(|_| refused())
    }
}

/// The mode by which whoever may read a segment of a mode may connect to a socket.
pub(crate) fn socket_mode(segment: Mode) -> Mode {
    let readers = segment.as_raw_mode() & 0o444;
    Mode::from_raw_mode(readers | readers >> 1)
}

/// Sets the mode of a socket's file, and of no other file that somebody puts in its place.
pub(crate) fn set_socket_mode(path: &Path, mode: Mode) -> Result<(), Errno> {
    use std::os::fd::AsRawFd as _;
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::Socket {
        return Err(Errno::NOTSOCK);
    }
    // A descriptor that is a path alone has its mode set by its name in /proc.
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_and_read_and_write_alone() {
        for (text, mode) in [("0644", 0o644), ("640", 0o640), ("0o600", 0o600), ("0666", 0o666)] {
            assert_eq!(text.parse::<Permissions>().unwrap().mode(), Some(mode), "{text}");
        }
        for text in ["", "0755", "0444", "0700", "1644", "0o", "rw", "-0644", "99999999999999"] {
            let error = text.parse::<Permissions>().unwrap_err();
            assert!(error.to_string().contains(&format!("'{text}'")), "{error}");
        }
        assert_eq!(Permissions::default().mode(), None);
    }

    #[test]
    fn whoever_may_read_may_connect() {
        for (segment, socket) in [(0o644, 0o666), (0o640, 0o660), (0o600, 0o600), (0o666, 0o666), (0o604, 0o606)] {
            assert_eq!(socket_mode(Mode::from_raw_mode(segment)), Mode::from_raw_mode(socket), "{segment:o}");
        }
    }
}
