//! Words in a picture: white on a dark band below its middle, as large as a person reads them from afar.

use std::convert::Infallible;

use embedded_graphics::{
    Drawable as _, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{
        MonoFont, MonoTextStyle,
        ascii::{FONT_6X10, FONT_10X20},
    },
    pixelcolor::BinaryColor,
    text::{Baseline, Text},
};

/// Light and dark of a picture that does not use the whole range.
const WHITE: u8 = 235;
pub const BLACK: u8 = 16;

/// A plane of luma.
#[derive(Debug)]
pub struct Luma<'a> {
    /// Its bytes, row by row.
    pub bytes: &'a mut [u8],
    /// From one row to the next.
    pub stride: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Words as dots.
struct Dots {
    width: usize,
    height: usize,
    lit: Vec<bool>,
}

impl OriginDimensions for Dots {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Dots {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, colour) in pixels {
            let place = usize::try_from(point.x).ok().zip(usize::try_from(point.y).ok());
            if let Some((x, y)) = place.filter(|(x, y)| *x < self.width && *y < self.height) {
                self.lit[y * self.width + x] = colour.is_on();
            }
        }
        Ok(())
    }
}

impl Dots {
    fn of(words: &str, font: &MonoFont<'_>) -> Self {
        let (width, height) = (font.character_size.width as usize * words.len(), font.character_size.height as usize);
        let mut dots = Self { width, height, lit: vec![false; width * height] };
        let style = MonoTextStyle::new(font, BinaryColor::On);
        let Ok(_) = Text::with_baseline(words, Point::zero(), style, Baseline::Top).draw(&mut dots);
        dots
    }
}

/// Writes ASCII into a picture. What does not fit is cut off.
pub fn write(luma: &mut Luma<'_>, words: &str) {
    if words.is_empty() {
        return;
    }
    let large = Dots::of(words, &FONT_10X20);
    let dots = if large.width <= luma.width { large } else { Dots::of(words, &FONT_6X10) };
    // Half the width, or whole dots of it.
    let scale = (luma.width / 2 / dots.width).max(1);
    let (width, height) = (dots.width * scale, dots.height * scale);
    let (left, top) = (luma.width.saturating_sub(width) / 2, (luma.height * 3 / 4).saturating_sub(height / 2));
    let band = top.saturating_sub(height / 4)..(top + height + height / 4).min(luma.height);
    for y in band {
        let Some(row) = luma.bytes.get_mut(y * luma.stride..).and_then(|rest| rest.get_mut(..luma.width)) else {
            return;
        };
        row.fill(BLACK);
        let Some(line) = y.checked_sub(top).map(|y| y / scale).filter(|line| *line < dots.height) else {
            continue;
        };
        let lit = &dots.lit[line * dots.width..][..dots.width];
        for (pixel, x) in row[left..].iter_mut().zip(0..width) {
            if lit[x / scale] {
                *pixel = WHITE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "no signal since 14:03:07";

    fn written(width: usize, height: usize) -> Vec<u8> {
        let stride = width + 5;
        let mut bytes = vec![100; stride * height];
        write(&mut Luma { bytes: &mut bytes, stride, width, height }, WORDS);
        assert!(bytes.chunks(stride).all(|row| row[width..].iter().all(|byte| *byte == 100)), "beside the picture");
        bytes
    }

    #[test]
    fn words_are_white_on_a_band_below_the_middle() {
        for (width, height) in [(320, 180), (1920, 1080), (640, 480)] {
            let bytes = written(width, height);
            let rows = |lit: u8| {
                let rows = bytes.chunks(width + 5).enumerate().filter(|(_, row)| row.contains(&lit));
                rows.map(|(number, _)| number).collect::<Vec<_>>()
            };
            assert!(rows(WHITE)[0] > height / 2 && rows(BLACK).len() > rows(WHITE).len());
            assert!(bytes.iter().filter(|byte| **byte == WHITE).count() > 500);
        }
    }

    #[test]
    fn a_picture_that_is_too_small_has_what_fits() {
        for (width, height) in [(1, 1), (2, 2), (100, 3), (3, 100), (16, 16), (150, 90)] {
            written(width, height);
        }
        write(&mut Luma { bytes: &mut [], stride: 0, width: 0, height: 0 }, WORDS);
        write(&mut Luma { bytes: &mut [0; 4], stride: 2, width: 2, height: 2 }, "");
    }
}
