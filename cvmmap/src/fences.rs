//! The fences of `header_first.rs`, which takes them from here, so that its model can put others in their place.

pub(super) use std::sync::atomic::{Ordering, fence};
