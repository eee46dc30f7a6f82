//! The date in an MP4 file that was just made: when its first picture was taken, not when it was converted.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use tools_media::mp4_boxes::Head;

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
    while at < end
        && let Some(head) = Head::read(file, at)?
        // The last box may have no size.
        && let Some(next) = head.size.and_then(|size| at.checked_add(size)).filter(|next| *next <= end)
    {
        let body = at + head.length;
        if CONTAINERS.contains(&head.kind) {
            set_within(file, body, next, date)?;
        } else if DATED.contains(&head.kind) {
            let mut version = [0];
            file.read_exact_at(&mut version, body)?;
            // Version 1 has 8 bytes for each.
            let dates = match version {
                [0] => u32::try_from(date).map(|date| [date.to_be_bytes(); 2].concat()).unwrap_or_default(),
                _ => [date.to_be_bytes(); 2].concat(),
            };
            file.write_all_at(&dates, body + 4)?;
        }
        at = next;
    }
    Ok(())
}
