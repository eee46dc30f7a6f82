//! The time in the corner of a picture.

/// Figures of 3 x 5 dots, a row in each group of three bits.
const FIGURES: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];
const POINT: u16 = 0b000_000_000_000_010;
const COLUMNS: usize = 3;
const ROWS: usize = 5;
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Rows of the picture for each of a label.
const SCALE: usize = 180;

/// Seconds and milliseconds, to the nearest: what the file's own timestamps say when they are shown so.
pub fn text(timestamp: u64) -> String {
    let milliseconds = timestamp.saturating_add(500_000) / 1_000_000;
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Draws figures and points into the top left corner of a picture's luminance, on black.
pub fn draw(luminance: &mut [u8], stride: usize, width: usize, height: usize, text: &str) {
    let scale = (height / SCALE).max(1);
    let cells = text.len() * (COLUMNS + 1) + 1;
    let lit = |column: usize, row: usize| {
        let (at, column) = (column.checked_sub(1)? / (COLUMNS + 1), (column - 1) % (COLUMNS + 1));
        let row = row.checked_sub(1).filter(|&row| row < ROWS && column < COLUMNS)?;
        let figure = match text.as_bytes().get(at)? {
            figure @ b'0'..=b'9' => FIGURES[usize::from(figure - b'0')],
            _ => POINT,
        };
        (figure >> (ROWS * COLUMNS - 1 - row * COLUMNS - column) & 1 == 1).then_some(())
    };
    for y in 0..(scale * (ROWS + 2)).min(height) {
        for x in 0..(scale * cells).min(width) {
            let value = if lit(x / scale, y / scale).is_some() { WHITE } else { BLACK };
            if let Some(dot) = luminance.get_mut(y * stride + x) {
                *dot = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_legible_and_stays_inside() {
        let mut picture = vec![100; 40 * 8];
        draw(&mut picture, 40, 40, 8, "1.7");
        let drawn: Vec<String> = picture
            .chunks(40)
            .map(|row| {
                row[..14]
                    .iter()
                    .map(|&dot| {
                        if dot == WHITE {
                            '#'
                        } else if dot == BLACK {
                            '.'
                        } else {
                            ' '
                        }
                    })
                    .collect()
            })
            .collect();
        assert_eq!(
            drawn,
            [
                "............. ",
                "..#......###. ",
                ".##........#. ",
                "..#.......#.. ",
                "..#.......#.. ",
                ".###..#...#.. ",
                "............. ",
                "              ",
            ]
        );
        let mut tiny = vec![0; 4];
        draw(&mut tiny, 2, 2, 2, "1770729772.000");
    }

    #[test]
    fn the_text_is_in_milliseconds() {
        for (timestamp, expected) in [
            (1_770_729_772_033_499_999, "1770729772.033"),
            (1_770_729_772_033_500_000, "1770729772.034"),
            (1_770_729_772_999_500_000, "1770729773.000"),
            (399_999_996, "0.400"),
            (0, "0.000"),
            (u64::MAX, "18446744073.709"),
        ] {
            assert_eq!(text(timestamp), expected);
        }
    }
}
