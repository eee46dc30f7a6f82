//! What was before a recording is asked for: the last seconds of the stream, which the recording begins with.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tools_mcap::depth::DepthCoding;

use super::{
    moment::{Depth, Moment},
    ring::{Bounds, Cursor, Read, Ring},
};

/// Keeps the last seconds. Depth is coded in a thread of its own, for it takes a tenth of the memory then.
#[derive(Debug)]
pub struct Before {
    depth: DepthCoding,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    filled: Condvar,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// There may be depth to code.
    has_work: bool,
    ended: bool,
}

impl Before {
    /// Keeps so much from now on, and depth in this coding.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(bounds: Bounds, depth: DepthCoding) -> std::io::Result<Self> {
        let ring = Mutex::new(Ring::new(bounds));
        let shared = Arc::new(Shared { ring, filled: Condvar::new(), state: Mutex::default() });
        if depth != DepthCoding::Off {
            let coder = Arc::clone(&shared);
            thread::Builder::new().name("record-before".to_owned()).spawn(move || coder.code(depth))?;
        }
        Ok(Self { depth, shared })
    }

    /// Whether it takes depth.
    pub fn takes_depth(&self) -> bool {
        self.depth != DepthCoding::Off
    }

    /// The ring. While this is held, nothing comes in between what is kept and what is recorded.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.shared.ring()
    }

    /// Something was taken in.
    pub fn wake(&self) {
        self.shared.state().has_work = true;
        self.shared.filled.notify_one();
    }

    /// What is kept from `cursor` on.
    pub fn playback(&self, cursor: Cursor) -> Playback {
        Playback { shared: Arc::clone(&self.shared), cursor }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.filled.notify_one();
    }
}

impl Shared {
    fn code(&self, coding: DepthCoding) {
        loop {
            let waits = |state: &mut State| !state.ended && !std::mem::take(&mut state.has_work);
            let state = self.filled.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
            if state.ended {
                return;
            }
            drop(state);
            loop {
                // Not held while it codes.
                let found = self.ring().uncoded();
                let Some((number, Moment { timestamp_ns, depth: Some(depth), .. })) = found else {
                    break;
                };
                let mut message = depth.message(coding, timestamp_ns, "");
                message.iter_mut().for_each(|message| message.data.shrink_to_fit());
                self.ring().code(number, message.map(|message| Depth::Message(Arc::new(message))));
                if self.state().ended {
                    return;
                }
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a recording begins with, read where it is kept: it takes no memory of its own, and a disk that is too slow for it loses
/// the oldest.
#[derive(Debug)]
pub struct Playback {
    shared: Arc<Shared>,
    cursor: Cursor,
}

impl Iterator for Playback {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        self.shared.ring().read(&mut self.cursor)
    }
}
