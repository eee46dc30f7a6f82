//! What the main thread hears: signals, cameras that ended, and that the configuration is to be read again.

use std::{sync::mpsc, thread};

use gst::glib;
use tools_cli::signals;

use crate::camera_run::Outcome;

/// SIGHUP. Source: signal(7).
const SIGHUP: i32 = 1;

/// What a reload came to, in words for people.
pub type Reloaded = Result<String, String>;

/// Something that the main thread is told.
pub enum Told {
    /// To end.
    End,
    /// To read the configuration again; who asked hears what came of it.
    Reload(Option<mpsc::Sender<Reloaded>>),
    /// A camera's thread is over.
    Over {
        /// Which run it was.
        run: u64,
        /// What it came to.
        outcome: Box<Outcome>,
    },
}

/// Passes on signals from now on. SIGHUP reads the configuration again where there is one, and ends the program else.
pub fn hear_signals(tell: &mpsc::Sender<Told>, hangup_reloads: bool) {
    let context = glib::MainContext::new();
    for signal in signals::ending() {
        let tell = tell.clone();
        let hear = move || {
            let told = if signal == SIGHUP && hangup_reloads { Told::Reload(None) } else { Told::End };
            // The main thread has left when nobody hears.
            let _ = tell.send(told);
            glib::ControlFlow::Continue
        };
        glib_unix::signal_source_new(signal, None, glib::Priority::DEFAULT, hear).attach(Some(&context));
    }
    // It goes with the process.
    thread::spawn(move || {
        loop {
            context.iteration(true);
        }
    });
}
