//! Filling a buffer, and what is said when that cannot be done.

use std::io;

use cvmmap::SnapshotError;

/// A buffer, after its bytes were written.
pub(crate) fn filled(
    mut buffer: gst::Buffer,
    fill: impl FnOnce(&mut [u8]) -> Result<(), SnapshotError>,
) -> Result<gst::Buffer, SnapshotError> {
    let layout = buffer.get_mut().ok_or_else(|| unusable("buffer is shared"))?;
    let mut map = layout.map_writable().map_err(|_| unusable("buffer cannot be written"))?;
    fill(&mut map)?;
    drop(map);
    Ok(buffer)
}

/// A buffer that cannot take a frame.
pub(crate) fn unusable(what: &'static str) -> SnapshotError {
    SnapshotError::Read(io::Error::other(what))
}
