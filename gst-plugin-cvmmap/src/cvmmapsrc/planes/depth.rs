//! Planes of 32-bit floats as grey pictures that stock elements understand.

use cvmmap::{DepthUnit, Plane};

/// What becomes of a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Conversion {
    /// 16 bits, little-endian, after a multiplication.
    Gray16 { scale: f64 },
    /// 8 bits.
    Gray8,
}

impl Conversion {
    /// Depth to millimetres; an unknown unit is taken for them.
    pub(crate) fn of_depth(unit: DepthUnit) -> Self {
        let scale = match unit {
            DepthUnit::Meter => 1000.0,
            DepthUnit::Millimeter | DepthUnit::Unknown => 1.0,
        };
        Self::Gray16 { scale }
    }

    /// Converts the packed rows of a plane to rows `target_stride` bytes apart. Values are rounded to the nearest, halves
    /// up; NaN is 0, and what lies beyond either end is that end.
    pub(crate) fn convert(self, source: &[u8], plane: &Plane, target: &mut [u8], target_stride: usize) {
        let rows = source.chunks_exact(plane.row_bytes() as usize).zip(target.chunks_mut(target_stride));
        match self {
            Self::Gray16 { scale } => {
                for (row, line) in rows {
                    for (value, pixel) in floats(row).zip(line.chunks_exact_mut(2)) {
                        pixel.copy_from_slice(&nearest_u16(f64::from(value) * scale).to_le_bytes());
                    }
                }
            }
            Self::Gray8 => {
                for (row, line) in rows {
                    for (value, pixel) in floats(row).zip(line) {
                        *pixel = nearest_u16(value.into()).min(u8::MAX.into()) as u8;
                    }
                }
            }
        }
    }
}

fn floats(row: &[u8]) -> impl Iterator<Item = f32> {
    row.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// A float's product with 1000 is exact in 64 bits, and so is the sum here as far as it matters; the cast saturates and
/// makes 0 of NaN.
fn nearest_u16(value: f64) -> u16 {
    (value + 0.5) as u16
}

#[cfg(test)]
mod tests {
    use cvmmap::{Depth, PixelFormat};

    use super::*;

    fn plane(width: u32, height: u32) -> Plane {
        let stride = width * 4;
        let (pixel_format, depth) = (PixelFormat::Gray, Depth::F32);
        Plane { pixel_format, depth, width, height, stride, offset: 0, size: stride * height }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn gray16(unit: DepthUnit, value: f32) -> u16 {
        let mut target = [0xAA; 2];
        Conversion::of_depth(unit).convert(&bytes(&[value]), &plane(1, 1), &mut target, 2);
        u16::from_le_bytes(target)
    }

    #[test]
    fn millimetres_are_rounded_and_held_within_16_bits() {
        let cases = [
            (0.0, 0),
            (0.499_999_97, 0),
            (0.5, 1),
            (1234.4, 1234),
            (1234.5, 1235),
            (65534.6, 65535),
            (65535.0, 65535),
            (65536.0, 65535),
            (f32::MAX, 65535),
            (f32::INFINITY, 65535),
            (-0.4, 0),
            (-1.0, 0),
            (f32::MIN, 0),
            (f32::NEG_INFINITY, 0),
            (f32::NAN, 0),
            (f32::MIN_POSITIVE, 0),
        ];
        for (value, expected) in cases {
            assert_eq!(gray16(DepthUnit::Millimeter, value), expected, "{value}");
            assert_eq!(gray16(DepthUnit::Unknown, value), expected, "{value}");
        }
    }

    #[test]
    fn metres_become_millimetres() {
        for (value, expected) in [(1.0, 1000), (0.0005, 1), (0.000_499, 0), (2.3456, 2346), (70.0, 65535), (-1.0, 0)] {
            assert_eq!(gray16(DepthUnit::Meter, value), expected, "{value}");
        }
    }

    #[test]
    fn eight_bits_end_at_255() {
        let values = [0.0, 0.4, 0.5, 99.6, 254.5, 255.0, 256.0, 1e9, f32::INFINITY, -3.0, f32::NEG_INFINITY, f32::NAN];
        let mut target = [0xAA; 12];
        Conversion::Gray8.convert(&bytes(&values), &plane(12, 1), &mut target, 12);
        assert_eq!(target, [0, 0, 1, 100, 255, 255, 255, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn padding_of_the_target_is_left_alone() {
        let source = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut target = [0xAA; 16];
        Conversion::Gray16 { scale: 1.0 }.convert(&source, &plane(3, 2), &mut target, 8);
        assert_eq!(target, [1, 0, 2, 0, 3, 0, 0xAA, 0xAA, 4, 0, 5, 0, 6, 0, 0xAA, 0xAA]);
        // A last row without its padding.
        let mut target = [0xAA; 14];
        Conversion::Gray16 { scale: 1.0 }.convert(&source, &plane(3, 2), &mut target, 8);
        assert_eq!(target[8..], [4, 0, 5, 0, 6, 0]);
    }
}
