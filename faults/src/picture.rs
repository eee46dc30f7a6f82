//! Pictures that say when they were taken, eight times over: a picture made of two, or with a part missing, gives itself
//! away, after encoding and decoding too.
//!
//! Each of eight bands holds 32 blocks, black or white: 24 bits of the capture time in milliseconds and their checksum. Below
//! the blocks a band is grey, or noise that costs bits.

use std::time::{SystemTime, UNIX_EPOCH};

const BANDS: usize = 8;
const STAMP_BITS: usize = 24;
const CHECK_BITS: usize = 8;
const BITS: usize = STAMP_BITS + CHECK_BITS;
const BLACK: u8 = 0;
const GREY: u8 = 128;
const WHITE: u8 = 255;
/// What a decoder gives for black and white lies below and above these; anything between is damage.
const DARK: u32 = 90;
const LIGHT: u32 = 165;

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// One frame: its capture time, Unix milliseconds.
    Whole(u64),
    /// Parts of several frames.
    Mixed,
    /// A part that is no frame's.
    Damaged,
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Draws a BGR picture, rows packed. `noise` is the state of its noise, or none for grey.
pub fn draw(pixels: &mut [u8], width: usize, height: usize, taken_ms: u64, noise: Option<&mut u64>) {
    match noise {
        None => pixels.fill(GREY),
        Some(state) => pixels.chunks_mut(8).for_each(|chunk| {
            let random = xorshift(state).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }),
    }
    let code = code(taken_ms as u32 & ((1 << STAMP_BITS) - 1));
    for band in 0..BANDS {
        let top = band * height / BANDS;
        let bottom = top + height / BANDS / 2;
        for row in pixels.chunks_exact_mut(width * 3).take(bottom).skip(top) {
            for bit in 0..BITS {
                let colour = if code >> bit & 1 == 1 { WHITE } else { BLACK };
                row[bit * width / BITS * 3..(bit + 1) * width / BITS * 3].fill(colour);
            }
        }
    }
}

/// Reads a picture, given the brightness of its pixels by column and row.
pub fn read(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> Shows {
    let mut stamps = [None; BANDS];
    for (band, stamp) in stamps.iter_mut().enumerate() {
        let middle = band * height / BANDS + height / BANDS / 4;
        let mut read = Some(0u32);
        for bit in 0..BITS {
            let centre = (2 * bit + 1) * width / BITS / 2;
            let around = (centre - 1..=centre + 1).flat_map(|x| [(x, middle), (x, middle + 1)]);
            let mean = around.map(|(x, y)| u32::from(pixel(x, y))).sum::<u32>() / 6;
            read = match mean {
                0..DARK => read,
                DARK..=LIGHT => None,
                _ => read.map(|code| code | 1 << bit),
            };
        }
        *stamp = read.and_then(decode);
    }
    let mut valid = stamps.iter().flatten();
    let Some(first) = valid.next() else {
        return Shows::Damaged;
    };
    if valid.any(|stamp| stamp != first) {
        return Shows::Mixed;
    }
    if stamps.contains(&None) {
        return Shows::Damaged;
    }
    let now = now_ms();
    Shows::Whole(now - (now.wrapping_sub(u64::from(*first)) & ((1 << STAMP_BITS) - 1)))
}

fn code(stamp: u32) -> u32 {
    stamp | u32::from(check(stamp)) << STAMP_BITS
}

fn decode(code: u32) -> Option<u32> {
    let stamp = code & ((1 << STAMP_BITS) - 1);
    ((code >> STAMP_BITS) as u8 == check(stamp)).then_some(stamp)
}

/// CRC-8 that does not take all black for a stamp.
fn check(stamp: u32) -> u8 {
    stamp.to_le_bytes()[..STAMP_BITS / 8].iter().fold(0xFF, |mut crc, byte| {
        crc ^= byte;
        for _ in 0..8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 };
        }
        crc
    })
}

/// Marsaglia's generator: the same numbers for the same seed, which is not 0.
pub fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 320;
    const HEIGHT: usize = 180;

    fn drawn(taken_ms: u64) -> Vec<u8> {
        let mut pixels = vec![0; WIDTH * HEIGHT * 3];
        draw(&mut pixels, WIDTH, HEIGHT, taken_ms, Some(&mut 7));
        pixels
    }

    fn shows(pixels: &[u8]) -> Shows {
        read(WIDTH, HEIGHT, |x, y| pixels[(y * WIDTH + x) * 3])
    }

    #[test]
    fn a_picture_tells_its_time() {
        for age in [0, 1, 255, 4_000_000] {
            let taken = now_ms() - age;
            assert_eq!(shows(&drawn(taken)), Shows::Whole(taken));
        }
    }

    #[test]
    fn two_pictures_in_one_are_seen_wherever_they_meet() {
        let now = now_ms();
        let (old, new) = (drawn(now - 33), drawn(now));
        for band in 1..BANDS {
            let cut = band * HEIGHT / BANDS * WIDTH * 3;
            assert_eq!(shows(&[&new[..cut], &old[cut..]].concat()), Shows::Mixed, "before band {band}");
        }
    }

    #[test]
    fn a_part_that_is_black_or_grey_is_damage() {
        for value in [BLACK, GREY, WHITE] {
            let mut pixels = drawn(now_ms());
            let cut = pixels.len() * 3 / 4;
            pixels[cut..].fill(value);
            assert_eq!(shows(&pixels), Shows::Damaged, "{value}");
        }
    }
}
