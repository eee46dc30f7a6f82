//! Colour pictures in memory.

/// Shade and line of a pane that has no picture.
const EMPTY: [u8; 3] = [32, 32, 32];
const CROSS: [u8; 3] = [112, 112, 112];

/// A picture of packed rows, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// A picture by its pixels' colours, of column and row.
    pub fn of(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let places = (0..height).flat_map(|row| (0..width).map(move |column| (column, row)));
        Self { width, height, pixels: places.flat_map(|(column, row)| colour(column, row)).collect() }
    }

    /// What stands for a picture that is not there.
    pub fn missing(width: usize, height: usize) -> Self {
        Self::of(width, height, |column, row| {
            let falling = column * height / width.max(1);
            if row.abs_diff(falling) < 2 || row.abs_diff(height - 1 - falling.min(height - 1)) < 2 {
                CROSS
            } else {
                EMPTY
            }
        })
    }

    pub fn pixel(&self, column: usize, row: usize) -> [u8; 3] {
        let at = 3 * (row * self.width + column);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    /// In another size, by the nearest pixel.
    pub fn scaled(&self, width: usize, height: usize) -> Self {
        Self::of(width, height, |column, row| self.pixel(column * self.width / width, row * self.height / height))
    }

    /// With another one of the same height to the right of it.
    pub fn beside(&self, right: &Self) -> Self {
        let rows = self.pixels.chunks_exact(3 * self.width).zip(right.pixels.chunks_exact(3 * right.width));
        let pixels = rows.flat_map(|(left, right)| [left, right].concat()).collect();
        Self { width: self.width + right.width, height: self.height, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_beside_each_other_in_one_size() {
        let two = Rgb::of(2, 1, |column, _| [column as u8; 3]);
        let four = two.scaled(4, 2);
        assert_eq!((0..4).map(|column| four.pixel(column, 1)[0]).collect::<Vec<_>>(), [0, 0, 1, 1]);
        let pair = four.beside(&Rgb::of(1, 2, |_, row| [10 + row as u8; 3]));
        assert_eq!((pair.width, pair.height, pair.pixels.len()), (5, 2, 30));
        assert_eq!((pair.pixel(3, 0)[0], pair.pixel(4, 0)[0], pair.pixel(4, 1)[0]), (1, 10, 11));
    }

    #[test]
    fn a_missing_picture_is_crossed_out() {
        for (width, height) in [(1, 1), (7, 3), (640, 360)] {
            let picture = Rgb::missing(width, height);
            assert_eq!(picture.pixel(0, 0), CROSS);
        }
        assert_eq!(Rgb::missing(640, 360).pixel(320, 10), EMPTY);
    }
}
