//! Between whoever asks something of the encoder while it runs, and the main loop, which does it.

use std::{
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::plan::check_kbit;

/// The main loop looks every few milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How the encoder does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Element name; `passthrough` when the producer encodes, empty before anything does.
    pub encoder: &'static str,
    /// Bit rate at the moment in kbit/s, as far as there is one.
    pub kbit: Option<u32>,
    /// The bit rate that it stays below for now.
    pub full_kbit: Option<u32>,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be asked for.
    Invalid(String),
    /// The producer encodes.
    NoEncoder,
    /// The run is about to end, or hangs.
    NoAnswer,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::NoEncoder => write!(f, "the producer encodes: its access units are sent on as they are"),
            Self::NoAnswer => write!(f, "the streamer did not do it in time"),
        }
    }
}

/// What is asked and told.
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    told: Told,
    asked: Option<u32>,
    ask_for_keyframe: Option<Box<dyn Fn() + Send>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("told", &self.lock().told).finish_non_exhaustive()
    }
}

impl Control {
    /// From now on keyframes are asked for by this.
    pub fn connect(&self, ask_for_keyframe: Box<dyn Fn() + Send>) {
        self.lock().ask_for_keyframe = Some(ask_for_keyframe);
    }

    /// How the encoder does.
    pub fn told(&self) -> Told {
        self.lock().told
    }

    /// Asks for a bit rate, and waits until the encoder has it.
    ///
    /// # Errors
    /// Why it does not.
    pub fn set(&self, kbit: u32) -> Result<(), Refused> {
        check_kbit("bitrate", Some(kbit)).map_err(Refused::Invalid)?;
        let mut state = self.encoder()?;
        state.asked = Some(kbit);
        let waits = |state: &mut State| state.asked.is_some();
        let waited = self.done.wait_timeout_while(state, ANSWER_MAX, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.asked.take() {
            None => Ok(()),
            Some(_) => Err(Refused::NoAnswer),
        }
    }

    /// Asks for a keyframe.
    ///
    /// # Errors
    /// Why there comes none.
    pub fn force_keyframe(&self) -> Result<(), Refused> {
        let state = self.encoder()?;
        state.ask_for_keyframe.as_ref().ok_or(Refused::NoAnswer)?();
        Ok(())
    }

    /// The bit rate that was asked for last and is not told of yet.
    pub fn asked(&self) -> Option<u32> {
        self.lock().asked
    }

    /// How the encoder does now, with all that was asked done.
    pub fn tell(&self, told: Told) {
        let mut state = self.lock();
        state.told = told;
        if state.asked.take().is_some() {
            self.done.notify_all();
        }
    }

    fn encoder(&self) -> Result<MutexGuard<'_, State>, Refused> {
        let state = self.lock();
        if state.told.encoder == "passthrough" { Err(Refused::NoEncoder) } else { Ok(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
