//! A number in a picture that survives encoding: a strip of black and white cells in its top left corner, 16 bits and, for
//! a check, the same bits inverted.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

/// Numbers of the pictures that came, and when.
pub type Arrivals = Arc<Mutex<Vec<(u16, Instant)>>>;

/// Side of a cell: one block of H.264 or more.
const CELL: usize = 16;
const BITS: usize = 16;
/// The strip's size in pixels.
const WIDTH: usize = CELL * BITS;
const HEIGHT: usize = 2 * CELL;

/// Draws `number` into packed BGR.
pub fn draw(picture: &mut [u8], stride: usize, number: u16) {
    for (y, row) in picture.chunks_exact_mut(stride).take(HEIGHT).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).take(WIDTH).enumerate() {
            let is_white = bit(number, x / CELL) != (y >= CELL);
            pixel.fill(if is_white { 255 } else { 0 });
        }
    }
}

/// Reads it from the luma; `None` when the picture has no strip that is whole.
pub fn read(luma: &[u8], stride: usize) -> Option<u16> {
    let is_white = |cell: usize, row: usize| {
        let (x, y) = (cell * CELL + CELL / 2, row * CELL + CELL / 2);
        luma.get(y * stride + x).map(|&grey| grey >= 128)
    };
    (0..BITS).try_fold(0, |number, cell| {
        let (upper, lower) = (is_white(cell, 0)?, is_white(cell, 1)?);
        (upper != lower).then_some(number | (u16::from(upper) << cell))
    })
}

fn bit(number: u16, index: usize) -> bool {
    number >> index & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_read() {
        for number in [0, 1, 0x5A5A, u16::MAX] {
            let stride = (WIDTH + 10) * 3;
            let mut picture = vec![77; stride * (HEIGHT + 4)];
            draw(&mut picture, stride, number);
            let luma: Vec<u8> = picture.chunks_exact(3).map(|pixel| pixel[0]).collect();
            assert_eq!(read(&luma, stride / 3), Some(number));
        }
    }

    #[test]
    fn a_strip_that_contradicts_itself_is_none() {
        assert_eq!(read(&[0; WIDTH * HEIGHT], WIDTH), None);
        assert_eq!(read(&[], WIDTH), None);
    }
}
