//! How far a fragmented MP4 file is whole. Source: ISO/IEC 14496-12, 8.8 (fragments).

use std::{fs::File, io, os::unix::fs::FileExt as _};

use tools_media::mp4_boxes::Head;

/// A fragment's table is kilobytes; what is larger is none of ours.
const TABLE_MAX: u64 = 16 << 20;

/// What a file holds up to its last whole fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub length: u64,
    /// Access units.
    pub units: u64,
}

/// Looks through a file.
///
/// # Errors
/// When it cannot be read.
pub fn look_through(file: &File) -> io::Result<Whole> {
    let end = file.metadata()?.len();
    let mut whole = Whole::default();
    let mut announced = 0;
    let mut at = 0;
    while let Some(head) = Head::read(file, at)? {
        let Some(next) = head.size.and_then(|size| at.checked_add(size)).filter(|next| *next <= end) else {
            break;
        };
        match &head.kind {
            b"moof" if next - at <= TABLE_MAX => {
                let mut table = vec![0; (next - at - head.length) as usize];
                file.read_exact_at(&mut table, at + head.length)?;
                announced = units_in(&table);
            }
            b"mdat" => {
                whole.units += std::mem::take(&mut announced);
                whole.length = next;
            }
            // A fragment without its pictures is none yet.
            _ if announced == 0 => whole.length = next,
            _ => {}
        }
        at = next;
    }
    Ok(whole)
}

/// Samples that the track runs of a `moof` announce.
fn units_in(mut boxes: &[u8]) -> u64 {
    let mut units = 0;
    while let Some(head) = Head::of(boxes) {
        let size = head.size.and_then(|size| usize::try_from(size).ok());
        let Some((this, rest)) = size.and_then(|size| boxes.split_at_checked(size)) else {
            break;
        };
        let body = &this[head.length as usize..];
        units += match &head.kind {
            b"traf" => units_in(body),
            // Behind version and flags.
            b"trun" => body.get(4..8).map_or(0, |count| u32::from_be_bytes(count.try_into().expect("4 bytes")).into()),
            _ => 0,
        };
        boxes = rest;
    }
    units
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = (8 + body.len()) as u32;
        [&size.to_be_bytes()[..], kind, body].concat()
    }

    fn fragment(units: u32) -> [Vec<u8>; 2] {
        let run = boxed(b"trun", &[&[0; 4][..], &units.to_be_bytes(), &[0; 8]].concat());
        let track = boxed(b"traf", &[boxed(b"tfhd", &[0; 8]), run].concat());
        [boxed(b"moof", &[boxed(b"mfhd", &[0; 8]), track].concat()), boxed(b"mdat", &[7; 100])]
    }

    fn looked_through(bytes: &[u8]) -> Whole {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        look_through(&file).unwrap()
    }

    #[test]
    fn a_file_is_whole_up_to_its_last_fragment() {
        let begin = [boxed(b"ftyp", &[0; 8]), boxed(b"moov", &[0; 64])].concat();
        let [[first, data], [second, more]] = [fragment(30), fragment(25)];
        let bytes = [begin.clone(), first, data, second, more].concat();
        assert_eq!(looked_through(&bytes), Whole { length: bytes.len() as u64, units: 55 });
        let one = bytes.len() - fragment(25).concat().len();
        for cut in [one, one + 3, one + 40, bytes.len() - 1] {
            assert_eq!(looked_through(&bytes[..cut]), Whole { length: one as u64, units: 30 }, "{cut}");
        }
        assert_eq!(looked_through(&bytes[..begin.len()]), Whole { length: begin.len() as u64, units: 0 });
        assert_eq!(looked_through(&[]), Whole::default());
    }

    #[test]
    fn sizes_that_lie_end_the_look() {
        for lie in [[0, 0, 0, 0], [0, 0, 0, 7], [0xFF; 4], [0, 0, 0, 1]] {
            assert_eq!(looked_through(&[&lie[..], b"mdat", &[0xFF; 8]].concat()), Whole::default());
        }
    }
}
