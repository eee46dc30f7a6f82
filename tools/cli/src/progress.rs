//! How far a conversion is: a bar for a person at a terminal, a line now and then for a log.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::printable;

/// A log gets a line this often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A program that reads along gets one this often.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Set by a program that reads along: every line is a [`Told`].
pub const TELL: &str = "CVMMAP_PROGRESS";

/// What users of tqdm know.
const STYLE: &str = "{msg}: {percent:>3}%|{wide_bar}| {pos}/{len} [{elapsed}<{eta}, {rate} frames/s]";

/// Tells how far it is.
#[derive(Debug)]
pub struct Progress {
    program: &'static str,
    frames: usize,
    done: usize,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { begun: Instant, last: Instant },
    Told { last: Option<Instant> },
}

/// How far a conversion is, for a program that reads along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Frames done.
    pub done: usize,
    /// Frames in all.
    pub of: usize,
}

impl Progress {
    /// Begins at none of so many frames, in the name of a program.
    pub fn new(program: &'static str, what: &str, frames: usize) -> Self {
        let shown = if std::env::var_os(TELL).is_some() {
            Shown::Told { last: None }
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(frames as u64).with_message(what.to_owned());
            let style = ProgressStyle::with_template(STYLE).expect("the template is understood");
            bar.set_style(style.with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
                // A bar that cannot be written is not seen.
                let _ = write!(to, "{:.1}", state.per_sec());
            }));
            Shown::Bar(bar)
        } else {
            let now = Instant::now();
            Shown::Lines { begun: now, last: now }
        };
        Self { program, frames, done: 0, shown }
    }

    /// `done` frames have been dealt with.
    pub fn at(&mut self, done: usize) {
        self.done = done;
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(done as u64),
            Shown::Told { last } => {
                if last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
                    *last = Some(Instant::now());
                    let told = serde_json::to_string(&Told { done, of: self.frames }).expect("numbers are JSON");
                    let _ = writeln!(std::io::stderr(), "{told}");
                }
            }
            Shown::Lines { begun, last } => {
                if last.elapsed() < LINE_EVERY || done == 0 {
                    return;
                }
                *last = Instant::now();
                let rate = done as f64 / begun.elapsed().as_secs_f64();
                let left = self.frames.saturating_sub(done) as f64 / rate;
                let percent = 100 * done / self.frames.max(1);
                say(
                    self.program,
                    &format!("{done} of {} frames ({percent} %), {rate:.1} a second, {left:.0} s left", self.frames),
                );
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            // What has been reached stays on the screen.
            bar.abandon();
            let _ = writeln!(std::io::stderr());
        }
    }
}

/// One line for the person at the terminal.
pub fn say(program: &str, line: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{program}: {}", printable::line(line));
}
