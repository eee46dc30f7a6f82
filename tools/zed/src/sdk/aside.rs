//! What the SDK prints on stdout belongs on stderr: stdout is for our results.

use std::{
    io::{self, Write as _},
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many want stdout aside, and where it is meanwhile.
static STDOUT: Mutex<(usize, Option<OwnedFd>)> = Mutex::new((0, None));

fn stdout() -> MutexGuard<'static, (usize, Option<OwnedFd>)> {
    STDOUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one lives, what the process writes to stdout goes to stderr.
#[derive(Debug)]
pub struct Aside(());

impl Aside {
    pub fn new() -> Self {
        let (wanted, kept) = &mut *stdout();
        if *wanted == 0 {
            // What we said is on its way before the descriptor is another one.
            let _ = io::stdout().flush();
            *kept = io::stdout().as_fd().try_clone_to_owned().ok();
            if kept.is_some() {
                redirect(&io::stderr());
            }
        }
        *wanted += 1;
        Self(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let (wanted, kept) = &mut *stdout();
        *wanted -= 1;
        if *wanted == 0
            && let Some(kept) = kept.take()
        {
            // SAFETY: null stands for all of C's streams, whose buffers may hold what the SDK said.
            unsafe { libc::fflush(ptr::null_mut()) };
            redirect(&kept);
        }
    }
}

/// Makes stdout another name of this file.
fn redirect(to: &impl AsFd) {
    // SAFETY: both descriptors are open, and stdout's stays.
    unsafe { libc::dup2(to.as_fd().as_raw_fd(), io::stdout().as_raw_fd()) };
}
