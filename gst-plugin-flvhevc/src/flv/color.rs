//! What is told about high dynamic range: `colorInfo` (E-RTMP, "Metadata Frame").

use super::amf0::{self, Value};

/// Numbers of H.273.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorConfig {
    pub bit_depth: Option<u32>,
    pub primaries: u32,
    pub transfer: u32,
    pub matrix: u32,
}

/// SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG) among H.273's transfer characteristics.
const HDR_TRANSFERS: [u32; 2] = [16, 18];

/// Light levels of the content (CTA-861.3), cd/m2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContentLight {
    pub max: f64,
    pub max_frame_average: f64,
}

/// The display on which the content was mastered (SMPTE ST 2086): CIE 1931 x and y, and cd/m2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MasteringDisplay {
    pub red: (f64, f64),
    pub green: (f64, f64),
    pub blue: (f64, f64),
    pub white: (f64, f64),
    pub max_luminance: f64,
    pub min_luminance: f64,
}

/// Everything known about color; what is not is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorInfo {
    pub config: Option<ColorConfig>,
    pub light: Option<ContentLight>,
    pub display: Option<MasteringDisplay>,
}

impl ColorInfo {
    /// Whether it is worth a packet, at which some readers stumble.
    pub fn is_hdr(&self) -> bool {
        let hdr_transfer = self.config.is_some_and(|config| HDR_TRANSFERS.contains(&config.transfer));
        hdr_transfer || self.light.is_some() || self.display.is_some()
    }
}

/// Payload of the metadata packet. Undefined takes back what was said before.
pub fn color_info(info: Option<&ColorInfo>) -> Vec<u8> {
    let value = info.map_or(Value::Undefined, |info| {
        let groups = [
            ("colorConfig", info.config.map(config)),
            ("hdrCll", info.light.map(light)),
            ("hdrMdcv", info.display.map(display)),
        ];
        Value::Object(groups.into_iter().filter_map(|(name, group)| Some((name, group?))).collect())
    });
    amf0::named("colorInfo", &value)
}

fn numbers<const N: usize>(numbers: [(&'static str, f64); N]) -> Vec<(&'static str, Value)> {
    numbers.into_iter().map(|(name, number)| (name, Value::Number(number))).collect()
}

fn config(config: ColorConfig) -> Value {
    let mut properties = numbers([
        ("colorPrimaries", config.primaries.into()),
        ("transferCharacteristics", config.transfer.into()),
        ("matrixCoefficients", config.matrix.into()),
    ]);
    properties.extend(config.bit_depth.map(|depth| ("bitDepth", Value::Number(depth.into()))));
    Value::Object(properties)
}

fn light(light: ContentLight) -> Value {
    Value::Object(numbers([("maxFall", light.max_frame_average), ("maxCLL", light.max)]))
}

fn display(display: MasteringDisplay) -> Value {
    Value::Object(numbers([
        ("redX", display.red.0),
        ("redY", display.red.1),
        ("greenX", display.green.0),
        ("greenY", display.green.1),
        ("blueX", display.blue.0),
        ("blueY", display.blue.1),
        ("whitePointX", display.white.0),
        ("whitePointY", display.white.1),
        ("maxLuminance", display.max_luminance),
        ("minLuminance", display.min_luminance),
    ]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const PQ: ColorInfo = ColorInfo {
        config: Some(ColorConfig { bit_depth: Some(10), primaries: 9, transfer: 16, matrix: 9 }),
        light: None,
        display: None,
    };

    #[test]
    fn hdr_is_what_has_its_transfer_or_its_light() {
        let with_transfer =
            |transfer| ColorInfo { config: PQ.config.map(|config| ColorConfig { transfer, ..config }), ..PQ };
        assert!(PQ.is_hdr() && with_transfer(18).is_hdr());
        for sdr in [0, 1, 2, 13, 14, 15, 17] {
            assert!(!with_transfer(sdr).is_hdr(), "{sdr}");
        }
        assert!(!ColorInfo::default().is_hdr());
        let light = Some(ContentLight { max: 1000.0, max_frame_average: 400.0 });
        assert!(ColorInfo { light, ..ColorInfo::default() }.is_hdr());
    }

    #[test]
    fn color_info_is_an_object_of_what_is_known() {
        let body = color_info(Some(&ColorInfo { config: None, ..PQ }));
        assert_eq!(body, b"\x02\0\x09colorInfo\x03\0\0\x09");
        let body = color_info(Some(&ColorInfo {
            config: None,
            light: Some(ContentLight { max: 1000.0, max_frame_average: 400.0 }),
            display: None,
        }));
        assert_eq!(
            body,
            b"\x02\0\x09colorInfo\x03\
              \0\x06hdrCll\x03\
              \0\x07maxFall\0\x40\x79\0\0\0\0\0\0\
              \0\x06maxCLL\0\x40\x8F\x40\0\0\0\0\0\
              \0\0\x09\0\0\x09"
        );
        assert_eq!(color_info(None), b"\x02\0\x09colorInfo\x06");
    }
}
