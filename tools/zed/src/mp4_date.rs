//! The date in an MP4 file that was just made: when its first picture was taken, not when it was converted.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Dates count from 1904. Source: ISO/IEC 14496-12, 8.2.2.
const EPOCH: u64 = 2_082_844_800;
/// Boxes that hold those with a date.
const CONTAINERS: [[u8; 4]; 3] = [*b"moov", *b"trak", *b"mdia"];
/// Boxes with the date of creation and the one of the last change.
const DATED: [[u8; 4]; 3] = [*b"mvhd", *b"tkhd", *b"mdhd"];

/// Writes the date, in seconds since 1970, wherever there is one.
///
/// # Errors
/// When the file cannot be read or written.
pub fn set(file: &File, unix_seconds: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    set_within(file, 0, length, unix_seconds + EPOCH)
}

fn set_within(file: &File, mut at: u64, end: u64, date: u64) -> io::Result<()> {
    while at + 16 <= end {
        let mut head = [0; 16];
        file.read_exact_at(&mut head, at)?;
        let kind: [u8; 4] = head[4..8].try_into().expect("it has 4 bytes");
        let (size, header) = match u64::from(u32::from_be_bytes(head[..4].try_into().expect("it has 4 bytes"))) {
            1 => (u64::from_be_bytes(head[8..].try_into().expect("it has 8 bytes")), 16),
            size => (size, 8),
        };
        // The last box may have no size.
        if size < header {
            return Ok(());
        }
        if CONTAINERS.contains(&kind) {
            set_within(file, at + header, at + size, date)?;
        } else if DATED.contains(&kind) {
            // Version 1 has 8 bytes for each.
            let dates = match head[8] {
                0 => u32::try_from(date).map(|date| [date.to_be_bytes(); 2].concat()).unwrap_or_default(),
                _ => [date.to_be_bytes(); 2].concat(),
            };
            file.write_all_at(&dates, at + header + 4)?;
        }
        at += size;
    }
    Ok(())
}
