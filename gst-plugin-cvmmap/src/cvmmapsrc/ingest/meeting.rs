//! What the two threads of a source meet at: `turns.rs` takes it from here, so that its model can put something in its place.

pub(super) use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

pub(super) use cvmmap::{Lookout, Seen};

pub(super) use crate::lock::{lock, try_lock};
