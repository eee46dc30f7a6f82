//! A depth plane as a message.

use super::rvl::{Picture, Quantisation};
use crate::schema::{
    cvmmap_streamer::{
        DepthMap,
        depth_map::{DepthUnit, Encoding, StorageUnit},
    },
    timestamp,
};

/// Finest step of the inverse-depth coding, as ROS has it: `a = z0 * (z0 + 1)`. Source: compressed_depth_image_transport,
/// `depth_quantization`.
const Z0: f64 = 100.0;
/// Farthest depth of the inverse-depth coding in metres: the same as that of 16 bits of millimetres.
const FARTHEST_M: f64 = 65.535;

/// How depth is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DepthCoding {
    /// Whole millimetres up to 65.535 m, exactly
    #[default]
    RvlU16,
    /// Inverse depth, finer than a millimetre up to 3 m and coarser beyond
    RvlF32,
    /// No depth
    Off,
}

/// A depth plane, by reference to the frame that it came with.
#[derive(Clone, Debug)]
pub struct DepthPlane {
    buffer: gst::Buffer,
    width: u32,
    height: u32,
    unit: DepthUnit,
}

impl DepthPlane {
    /// A plane of floats whose rows are packed, in the unit that the producer tells. `None` when the sizes do not fit.
    pub fn new(buffer: gst::Buffer, width: u32, height: u32, unit: DepthUnit) -> Option<Self> {
        let bytes = u128::from(width) * u128::from(height) * 4;
        (bytes > 0 && bytes == buffer.size() as u128).then_some(Self { buffer, width, height, unit })
    }

    /// Takes the planes off a buffer of `cvmmapsrc attach-planes=true`; the depth, if there is one. Source: its
    /// documentation.
    pub fn take_off(buffer: &mut gst::BufferRef) -> Option<Self> {
        let meta = gst::meta::CustomMeta::from_mut_buffer(buffer, "GstCvmmapPlanesMeta").ok()?;
        let plane = meta.structure().get::<gst::Structure>("depth");
        // What stays on costs memory alone.
        let _ = meta.remove();
        let plane = plane.ok()?;
        let unit = match plane.get::<&str>("unit").ok()? {
            "millimeter" => DepthUnit::Millimeter,
            "meter" => DepthUnit::Meter,
            _ => DepthUnit::Unknown,
        };
        Self::new(plane.get("buffer").ok()?, plane.get("width").ok()?, plane.get("height").ok()?, unit)
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.buffer.size()
    }

    /// The message, or `None` where no depth is wanted or the plane cannot be read.
    pub fn message(&self, coding: DepthCoding, timestamp_ns: u64, frame_id: &str) -> Option<DepthMap> {
        let map = self.buffer.map_readable().ok()?;
        let depths = map.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        // A unit that is not told is taken for millimetres, as cvmmapsrc does.
        let metres = self.unit == DepthUnit::Meter;
        let (encoding, storage_unit, quantisation, pixels) = match coding {
            DepthCoding::Off => return None,
            DepthCoding::RvlU16 => {
                let scale = if metres { 1000.0 } else { 1.0 };
                let pixels = depths.map(|depth| whole_millimetres(f64::from(depth) * scale)).collect();
                (Encoding::RvlU16Lossless, StorageUnit::Millimeter, Quantisation::default(), pixels)
            }
            DepthCoding::RvlF32 => {
                let scale = if metres { 1.0 } else { 0.001 };
                let inverse = InverseDepth::new();
                let pixels = depths.map(|depth| inverse.code(f64::from(depth) * scale)).collect();
                (Encoding::RvlF32, StorageUnit::Meter, inverse.quantisation(), pixels)
            }
        };
        let picture = Picture { width: self.width, height: self.height, quantisation, pixels };
        Some(DepthMap {
            timestamp: Some(timestamp(timestamp_ns)),
            frame_id: frame_id.to_owned(),
            width: self.width,
            height: self.height,
            source_unit: self.unit.into(),
            storage_unit: storage_unit.into(),
            encoding: encoding.into(),
            data: picture.pack(),
        })
    }
}

/// Rounded to the nearest, halves up; 0, "no measurement", for what is none or does not fit.
pub fn whole_millimetres(depth: f64) -> u16 {
    let rounded = depth + 0.5;
    // False for NaN.
    if rounded < 65536.0 { rounded as u16 } else { 0 }
}

/// `pixel = a / depth + b`.
#[derive(Clone, Copy)]
struct InverseDepth {
    a: f64,
    b: f64,
}

impl InverseDepth {
    fn new() -> Self {
        let a = Z0 * (Z0 + 1.0);
        // As the reader will have them.
        let [a, b] = [a, 1.0 - a / FARTHEST_M].map(|value| f64::from(value as f32));
        Self { a, b }
    }

    fn quantisation(self) -> Quantisation {
        Quantisation { a: self.a as f32, b: self.b as f32 }
    }

    /// 0, "no measurement", for what is none, farther than the farthest, or nearer than 65535 reaches.
    fn code(self, depth: f64) -> u16 {
        let pixel = self.a / depth + self.b + 0.5;
        // False for NaN.
        if depth > 0.0 && (1.0..65536.0).contains(&pixel) { pixel as u16 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(depths: &[f32], unit: DepthUnit, coding: DepthCoding) -> (DepthMap, Picture) {
        gst::init().unwrap();
        let bytes = depths.iter().flat_map(|depth| depth.to_le_bytes()).collect::<Vec<_>>();
        let plane = DepthPlane::new(gst::Buffer::from_slice(bytes), depths.len() as u32, 1, unit).unwrap();
        let message = plane.message(coding, 7, "camera").unwrap();
        let picture = Picture::unpack(&message.data).unwrap();
        (message, picture)
    }

    #[test]
    fn millimetres_are_exact_and_what_is_no_measurement_is_zero() {
        let depths =
            [1.0, 1234.4, 1234.5, 65535.4, 65535.5, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -3.0, 0.4];
        for unit in [DepthUnit::Millimeter, DepthUnit::Unknown] {
            let (message, picture) = message(&depths, unit, DepthCoding::RvlU16);
            assert_eq!(picture.pixels, [1, 1234, 1235, 65535, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!((message.source_unit(), message.storage_unit()), (unit, StorageUnit::Millimeter));
            assert_eq!((message.encoding(), message.width, message.height), (Encoding::RvlU16Lossless, 12, 1));
        }
        let (_, picture) = message(&[0.001, 2.3456, 65.535, 65.536, -1.0], DepthUnit::Meter, DepthCoding::RvlU16);
        assert_eq!(picture.pixels, [1, 2346, 65535, 0, 0]);
    }

    #[test]
    fn inverse_depth_is_near_what_it_was() {
        let depths = [0.16, 0.5, 1.0, 3.0, 10.0, 40.0, 65.5];
        let (message, picture) = message(&depths, DepthUnit::Meter, DepthCoding::RvlF32);
        assert_eq!((message.encoding(), message.storage_unit()), (Encoding::RvlF32, StorageUnit::Meter));
        let Quantisation { a, b } = picture.quantisation;
        for (pixel, depth) in picture.pixels.iter().zip(depths) {
            let again = a / (f32::from(*pixel) - b);
            // Half a step: the derivative of a / (pixel - b).
            assert!((again - depth).abs() <= 0.51 * depth * depth / a, "{depth} became {again}");
        }
        let (_, picture) =
            self::message(&[0.1, 66.0, 0.0, -1.0, f32::NAN, f32::INFINITY], DepthUnit::Meter, DepthCoding::RvlF32);
        assert_eq!(picture.pixels, [0; 6]);
        let (_, picture) = self::message(&[1000.0], DepthUnit::Millimeter, DepthCoding::RvlF32);
        assert_eq!(picture.pixels, [InverseDepth::new().code(1.0)]);
    }

    #[test]
    fn a_plane_of_another_size_is_none() {
        gst::init().unwrap();
        for (size, width, height) in [(15, 2, 2), (17, 2, 2), (0, 0, 0), (4, u32::MAX, u32::MAX)] {
            let buffer = gst::Buffer::from_slice(vec![0; size]);
            assert!(DepthPlane::new(buffer, width, height, DepthUnit::Meter).is_none());
        }
    }
}
