//! The order that the header-first mark stands for: what a writer does one after the other, and what a reader does, so that
//! metadata that are equal before and after a copy prove it, on every processor.
//!
//! `header_first_model.rs` runs this file with loom, which shows one thread's stores to another in every order that the
//! fences leave open. For that, they come from the module beside it.

use super::fences::{Ordering, fence};

/// Writes a frame in three steps: the metadata that are there under the new frame id, the payload, the new metadata. Each is
/// visible before the next one is.
pub(crate) fn write<T, E>(
    to: &mut T,
    change_id: impl FnOnce(&mut T) -> Result<(), E>,
    write_payload: impl FnOnce(&mut T) -> Result<(), E>,
    write_metadata: impl FnOnce(&mut T) -> Result<(), E>,
) -> Result<(), E> {
    change_id(to)?;
    fence(Ordering::Release);
    write_payload(to)?;
    fence(Ordering::Release);
    write_metadata(to)
}

/// Stands between reading the metadata and the payload: whoever has seen new metadata sees their payload.
pub(crate) fn begin_copy() {
    fence(Ordering::Acquire);
}

/// Stands between reading the payload and the metadata again: whoever has seen any byte of the next payload sees its id.
pub(crate) fn end_copy() {
    fence(Ordering::Acquire);
}
