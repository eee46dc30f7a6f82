//! A recorded depth picture as a plane of floats.

use cvmmap::DepthUnit;

use crate::{
    depth::whole_millimetres,
    rvl::{Picture, Quantisation},
    schema::cvmmap_streamer::{
        DepthMap,
        depth_map::{DepthUnit as SourceUnit, Encoding, StorageUnit},
    },
};

/// A depth plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What 1.0 is.
    pub unit: DepthUnit,
    /// Little-endian floats, row by row; NaN where there is no measurement.
    pub data: Vec<u8>,
}

impl Depth {
    /// Unpacks a message: values come in the unit that the producer had.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn of(message: &DepthMap) -> Result<Self, String> {
        let picture = Picture::unpack(&message.data).map_err(|error| error.to_string())?;
        if (picture.width, picture.height) != (message.width, message.height) {
            return Err(format!(
                "it says {}x{} and holds {}x{}",
                message.width, message.height, picture.width, picture.height
            ));
        }
        let in_metres = match message.storage_unit() {
            StorageUnit::Meter => true,
            StorageUnit::Millimeter | StorageUnit::Unknown => false,
        };
        let unit = match message.source_unit() {
            SourceUnit::Meter => DepthUnit::Meter,
            SourceUnit::Millimeter => DepthUnit::Millimeter,
            SourceUnit::Unknown => DepthUnit::Unknown,
        };
        let scale = match (in_metres, unit) {
            (true, DepthUnit::Millimeter | DepthUnit::Unknown) => 1000.0,
            (false, DepthUnit::Meter) => 0.001,
            _ => 1.0,
        };
        let Quantisation { a, b } = picture.quantisation;
        let stored = |pixel: u16| match message.encoding() {
            Encoding::RvlF32 => f64::from(a) / (f64::from(pixel) - f64::from(b)),
            Encoding::RvlU16Lossless | Encoding::Unknown => f64::from(pixel),
        };
        let depth = |pixel: u16| {
            let depth = (stored(pixel) * scale) as f32;
            if pixel != 0 && depth.is_finite() && depth > 0.0 { depth } else { f32::NAN }
        };
        let data = picture.pixels.iter().flat_map(|pixel| depth(*pixel).to_le_bytes()).collect();
        Ok(Self { width: picture.width, height: picture.height, unit, data })
    }

    /// Its values in metres; NaN where there is no measurement. A unit that is not told is taken for millimetres.
    pub fn metres(&self) -> Vec<f32> {
        let scale = if self.unit == DepthUnit::Meter { 1.0 } else { 0.001 };
        self.values().map(|value| (f64::from(value) * scale) as f32).collect()
    }

    /// Its values in whole millimetres; 0 where there is no measurement.
    pub fn millimetres(&self) -> Vec<u16> {
        let scale = if self.unit == DepthUnit::Meter { 1000.0 } else { 1.0 };
        self.values().map(|value| whole_millimetres(f64::from(value) * scale)).collect()
    }

    fn values(&self) -> impl Iterator<Item = f32> {
        self.data.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(encoding: Encoding, storage: StorageUnit, source: SourceUnit, picture: &Picture) -> DepthMap {
        DepthMap {
            width: picture.width,
            height: picture.height,
            source_unit: source.into(),
            storage_unit: storage.into(),
            encoding: encoding.into(),
            data: picture.pack(),
            ..DepthMap::default()
        }
    }

    fn values(message: &DepthMap) -> Vec<f32> {
        let depth = Depth::of(message).unwrap();
        depth.data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    #[test]
    fn values_come_in_the_producers_unit() {
        let picture =
            Picture { width: 3, height: 1, quantisation: Quantisation::default(), pixels: vec![0, 1500, 65535] };
        let lossless = |source| values(&message(Encoding::RvlU16Lossless, StorageUnit::Millimeter, source, &picture));
        assert!(lossless(SourceUnit::Meter)[0].is_nan());
        assert_eq!(lossless(SourceUnit::Meter)[1..], [1.5, 65.535]);
        assert_eq!(lossless(SourceUnit::Millimeter)[1..], [1500.0, 65535.0]);
        for source in [SourceUnit::Meter, SourceUnit::Millimeter, SourceUnit::Unknown] {
            let depth =
                Depth::of(&message(Encoding::RvlU16Lossless, StorageUnit::Millimeter, source, &picture)).unwrap();
            assert_eq!(depth.millimetres(), picture.pixels);
            assert_eq!(depth.metres()[1..], [1.5, 65.535]);
        }
        let inverse = Picture { quantisation: Quantisation { a: 3000.0, b: 0.0 }, ..picture };
        let metres = message(Encoding::RvlF32, StorageUnit::Meter, SourceUnit::Meter, &inverse);
        assert_eq!(values(&metres)[1], 2.0);
        let millimetres = message(Encoding::RvlF32, StorageUnit::Meter, SourceUnit::Millimeter, &inverse);
        assert_eq!(values(&millimetres)[1], 2000.0);
    }

    #[test]
    fn a_message_that_contradicts_its_picture_is_refused() {
        let picture = Picture { width: 2, height: 1, quantisation: Quantisation::default(), pixels: vec![1, 2] };
        let whole = message(Encoding::RvlU16Lossless, StorageUnit::Millimeter, SourceUnit::Meter, &picture);
        assert!(Depth::of(&DepthMap { width: 1, ..whole.clone() }).is_err());
        assert!(Depth::of(&DepthMap { data: vec![0; 5], ..whole }).is_err());
    }
}
