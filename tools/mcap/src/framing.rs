//! How an MCAP file is framed. Source: MCAP specification, "Records": an opcode, a length of 8 bytes, the record.

use std::io::{self, Read};

/// Begins and ends every MCAP file.
pub const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";
/// Bytes of an opcode and a length.
pub const FRAME: usize = 9;
/// Largest record or chunk that is read as a whole; a damaged length must not take all memory.
pub const RECORD_MAX: usize = 1 << 28;

/// Opcode and length of a record.
pub fn frame(bytes: &[u8]) -> Option<(u8, u64)> {
    let length = bytes.get(1..FRAME)?.try_into().expect("it has 8 bytes");
    Some((bytes[0], u64::from_le_bytes(length)))
}

/// Reads what there is, at once; 0 bytes at the end.
///
/// # Errors
/// What the system says.
pub fn read(source: &mut (impl Read + ?Sized), into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
