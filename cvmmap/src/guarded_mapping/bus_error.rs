//! The process's SIGBUS handler. A fault inside the mapping that the faulting thread copies from or to puts zero pages
//! there, so that the copy can end; every other one goes to the handler that was there before.
//!
//! Limits. A library that takes the signal over is noticed when the next mapping is made, and not before. A thread that
//! blocks the signal is made to take it at its first copy, once. Of a handler
//! that faults are passed on to, `sa_mask` and the flags but `SA_SIGINFO` are not honoured: `SA_ONSTACK` is always in
//! force. The crate may be in a process more than once, as in a plugin and in the program: each copy of it passes on
//! what is not its own, and none goes round in circles.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    io,
    mem::{self, MaybeUninit},
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence},
};

use libc::{sigaction, siginfo_t};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// What faults go to that are not ours: the handler that was there first, and the last one that took our place since.
static FIRST: AtomicPtr<sigaction> = AtomicPtr::new(ptr::null_mut());
static LATEST: AtomicPtr<sigaction> = AtomicPtr::new(ptr::null_mut());

/// A mapping that may lose its pages now. It is this thread's alone; atomic because the handler interrupts the thread.
struct Watched {
    start: AtomicUsize,
    /// 0: nothing is watched.
    length: AtomicUsize,
    writable: AtomicBool,
    cut: AtomicBool,
}

// Constant and without destructors: the handler may look at them at any time.
thread_local! {
    static WATCHED: Watched = const {
        Watched {
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        }
    };
    /// Whether the handler, further up the stack, has passed the fault on.
    static PASSED_ON: Cell<bool> = const { Cell::new(false) };
    /// Whether the thread has been made to take the signal.
    static UNBLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a copy, which must not panic. False says that pages of the mapping were missing: what was copied is rubbish,
/// and the whole mapping is private zero pages now.
pub(super) fn survives(mapping: NonNull<u8>, length: usize, writable: bool, copy: impl FnOnce()) -> bool {
    unblock();
    WATCHED.with(|watched| {
        watched.cut.store(false, Ordering::Relaxed);
        watched.writable.store(writable, Ordering::Relaxed);
        watched.start.store(mapping.as_ptr().addr(), Ordering::Relaxed);
        watched.length.store(length, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        copy();
        compiler_fence(Ordering::SeqCst);
        watched.length.store(0, Ordering::Relaxed);
        !watched.cut.load(Ordering::Relaxed)
    })
}

impl Watched {
    /// Puts zero pages where the address is, if that is watched.
    fn fill(&self, address: usize) -> bool {
        let (start, length) = (self.start.load(Ordering::Relaxed), self.length.load(Ordering::Relaxed));
        // The whole mapping: it is of no use any more, and has the alignment that the kernel asks for.
        if address.wrapping_sub(start) >= length {
            return false;
        }
        // Without PROT_WRITE they count for nobody's memory limit.
        let write = if self.writable.load(Ordering::Relaxed) { ProtFlags::WRITE } else { ProtFlags::empty() };
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: what is replaced is a mapping that this thread alone uses, through raw pointers, and that stays mapped.
        let filled =
            unsafe { mmap_anonymous(ptr::with_exposed_provenance_mut(start), length, ProtFlags::READ | write, flags) };
        self.cut.store(true, Ordering::Relaxed);
        filled.is_ok()
    }
}

/// Makes the handler the process's, unless it is already.
pub(super) fn install() -> io::Result<()> {
    // SAFETY: all zeros is a sigaction: the default action and no flags.
    let mut ours = unsafe { mem::zeroed::<sigaction>() };
    ours.sa_sigaction = on_bus_error as *const () as usize;
    // A foreign thread may have a small stack and another one for signals; what we ignore must not end its system calls.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    let before = exchange(None)?;
    if before.sa_sigaction == ours.sa_sigaction {
        return Ok(());
    }
    // Kept before ours is in force: another thread's fault in between finds where to go.
    keep(before);
    let replaced = exchange(Some(&ours))?;
    if ![before.sa_sigaction, ours.sa_sigaction].contains(&replaced.sa_sigaction) {
        keep(replaced);
    }
    Ok(())
}

/// The action for the signal, which another one takes the place of, if there is one.
fn exchange(action: Option<&sigaction>) -> io::Result<sigaction> {
    let mut before = MaybeUninit::<sigaction>::zeroed();
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: one is null or points to a sigaction whose handler does only what it may do at any time, the other points to
    // room for one. All zeros is a sigaction.
    unsafe {
        if sigaction(libc::SIGBUS, action, before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before.assume_init())
    }
}

/// Keeps an action that ours takes the place of. The handler may read it as long as the process lives.
fn keep(action: sigaction) {
    let action = Box::into_raw(Box::new(action));
    if FIRST.compare_exchange(ptr::null_mut(), action, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        stay_loaded();
    } else {
        LATEST.store(action, Ordering::Release);
    }
}

/// A library that is unloaded would leave the process a handler that is not there any more.
fn stay_loaded() {
    let mut library = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr fills what it is given, and its file name lives as long as the library. Nothing is loaded that is
    // not loaded already, and what is part of the program itself fails, which does no harm.
    unsafe {
        if libc::dladdr(on_bus_error as *const c_void, library.as_mut_ptr()) != 0 {
            let name = library.assume_init().dli_fname;
            libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

/// A fault ends a process whose thread blocks the signal, and a thread may have inherited that.
fn unblock() {
    if UNBLOCKED.replace(true) {
        return;
    }
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialised before it is used.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel, or the handler that passed the fault on, says what happened; `si_addr` is there in a fault.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // The code first: a signal that was sent may meet the thread anywhere, even where it must not touch its locals.
    if code == libc::BUS_ADRERR && WATCHED.with(|watched| watched.fill(address)) {
        return;
    }
    let (first, latest) = (FIRST.load(Ordering::Acquire), LATEST.load(Ordering::Acquire));
    if latest.is_null() {
        return pass_on(first, signal, info, context);
    }
    // The handler that took our place may pass on to us what it got from us.
    let again = PASSED_ON.replace(true);
    pass_on(if again { first } else { latest }, signal, info, context);
    PASSED_ON.set(again);
}

/// Does what the kernel would have done with this action.
fn pass_on(action: *const sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: it is null or was leaked by `install`.
    let (handler, flags) = unsafe { action.as_ref() }.map_or((libc::SIG_DFL, 0), |to| (to.sa_sigaction, to.sa_flags));
    // SAFETY: as above.
    let code = unsafe { (*info).si_code };
    // Return from a fault, and it happens again; a signal that was sent is gone.
    let is_fault = code > 0 && code != libc::BUS_MCEERR_AO;
    match handler {
        libc::SIG_IGN if !is_fault => {}
        // The kernel does not ignore faults.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: all zeros is the default action. Both functions may be called in a handler.
            unsafe {
                sigaction(signal, &mem::zeroed(), ptr::null_mut());
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
        handler if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: SA_SIGINFO says that the handler is such a function (sigaction(2)).
            let handler =
                unsafe { mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO a handler is such a function (sigaction(2)).
            let handler = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}
