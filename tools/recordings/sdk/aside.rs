//! What the SDK prints on stdout belongs on stderr: stdout is for our results.

use std::{
    io::{self, Write as _},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    ptr,
};

/// While this lives, what the process writes to stdout goes to stderr.
#[derive(Debug)]
pub struct Aside {
    stdout: Option<OwnedFd>,
}

impl Aside {
    pub fn new() -> Self {
        let stdout = io::stdout().as_fd().try_clone_to_owned().ok();
        if stdout.is_some() {
            // What we said is on its way before the descriptor is another one.
            let _ = io::stdout().flush();
            redirect(&io::stderr());
        }
        Self { stdout }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(stdout) = &self.stdout {
            // SAFETY: null stands for all of C's streams, whose buffers may hold what the SDK said.
            unsafe { libc::fflush(ptr::null_mut()) };
            redirect(stdout);
        }
    }
}

/// Makes stdout another name of this file.
fn redirect(to: &impl std::os::fd::AsFd) {
    // SAFETY: both descriptors are open, and stdout's stays.
    unsafe { libc::dup2(to.as_fd().as_raw_fd(), io::stdout().as_raw_fd()) };
}
