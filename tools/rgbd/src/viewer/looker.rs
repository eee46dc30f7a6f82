//! Takes frames out of the recording in a thread of its own: the window waits for no decoder. Of what is asked for while it
//! works, the last counts.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use crate::{
    palette::{Palette, Range, paint},
    picture::Rgb,
    sample::{Sample, Sampler},
};

/// What the window wants to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub camera: usize,
    pub frame: usize,
    pub palette: Palette,
}

/// A frame to show, or why there is none.
pub struct Seen {
    pub wanted: Wanted,
    pub sample: Result<Sample, String>,
    pub depth: Option<(Rgb, Option<Range>)>,
}

/// The thread, as the window sees it.
pub struct Looker {
    wanted: Arc<(Mutex<Option<Wanted>>, Condvar)>,
    seen: mpsc::Receiver<Seen>,
}

impl Looker {
    /// Begins; `announce` is called when a frame is there.
    pub fn start(mut sampler: Sampler, announce: impl Fn() + Send + 'static) -> Self {
        let wanted = Arc::new((Mutex::new(None), Condvar::new()));
        let (send, seen) = mpsc::channel();
        let asked = Arc::clone(&wanted);
        thread::spawn(move || {
            loop {
                let seen = look(&mut sampler, next(&asked));
                // The window is gone.
                if send.send(seen).is_err() {
                    return;
                }
                announce();
            }
        });
        Self { wanted, seen }
    }

    pub fn ask(&self, wanted: Wanted) {
        *lock(&self.wanted.0) = Some(wanted);
        self.wanted.1.notify_one();
    }

    /// The newest frame that came since the last call.
    pub fn take(&self) -> Option<Seen> {
        self.seen.try_iter().last()
    }
}

fn next(asked: &(Mutex<Option<Wanted>>, Condvar)) -> Wanted {
    let mut wanted = lock(&asked.0);
    loop {
        match wanted.take() {
            Some(wanted) => return wanted,
            None => wanted = asked.1.wait(wanted).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

fn look(sampler: &mut Sampler, wanted: Wanted) -> Seen {
    let sample = sampler.sample(wanted.camera, wanted.frame).map_err(|failure| failure.to_string());
    let depth = sample.as_ref().ok().and_then(|sample| sample.depth.as_ref()).map(|depth| {
        let metres = depth.metres();
        let range = Range::of(&metres);
        (paint(&metres, depth.width as usize, wanted.palette, range), range)
    });
    Seen { wanted, sample, depth }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
