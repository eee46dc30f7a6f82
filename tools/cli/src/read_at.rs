//! Reading at a place in a file, without moving where it is read or written otherwise.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Fills a buffer, as far as the file goes, and tells how many bytes of it are filled.
///
/// # Errors
/// What the system says.
pub fn read_up_to(file: &File, into: &mut [u8], position: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], position + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// So many bytes; what is missing at the end of a file that shrank is left out.
///
/// # Errors
/// What the system says.
pub fn read_exactly(file: &File, position: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let got = read_up_to(file, &mut bytes, position)?;
    bytes.truncate(got);
    Ok(bytes)
}
