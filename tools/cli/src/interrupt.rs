//! Signals that end a program: heard by a thread, asked for by whoever waits.

use std::{
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::progress::TELL;
use crate::{failure::Failure, signals};

/// Whoever waits asks this often.
pub const TICK: Duration = Duration::from_millis(100);

static HEARD: AtomicI32 = AtomicI32::new(0);
static TIMES: AtomicUsize = AtomicUsize::new(0);

/// Hears signals from now on. A second one ends the program at once, but not under a program that reads along: when that
/// is killed, the kernel sends one for each of its threads.
pub fn listen() {
    hear(if std::env::var_os(TELL).is_some() { usize::MAX } else { 1 });
}

/// Hears signals from now on, for who has programs of its own to end: a second one is counted, a third one ends this one.
pub fn listen_twice() {
    hear(2);
}

fn hear(most: usize) {
    let context = glib::MainContext::new();
    for signal in signals::ending() {
        let hear = move || {
            HEARD.store(signal, Ordering::Relaxed);
            if TIMES.fetch_add(1, Ordering::Relaxed) >= most {
                std::process::exit(128 + signal);
            }
            glib::ControlFlow::Continue
        };
        glib_unix::signal_source_new(signal, None, glib::Priority::DEFAULT, hear).attach(Some(&context));
    }
    thread::spawn(move || {
        loop {
            context.iteration(true);
        }
    });
}

/// Whether to go on.
///
/// # Errors
/// [`Failure::Interrupted`] after a signal.
pub fn check() -> Result<(), Failure> {
    match HEARD.load(Ordering::Relaxed) {
        0 => Ok(()),
        signal => Err(Failure::Interrupted { signal: signal as u8 }),
    }
}

/// Signals heard so far.
pub fn times() -> usize {
    TIMES.load(Ordering::Relaxed)
}
