//! The factory calibration of a ZED camera, `SN<serial>.conf`, which the ZED SDK keeps in `/usr/local/zed/settings`.
//!
//! INI text. Source of sections, keys and signs: the samples of the camera's maker, zed-opencv-native, which reads such
//! files without the SDK, and zedx-one-capture, which writes them from what OpenCV's `stereoCalibrate` finds (Baseline is
//! -T[0], TY and TZ are T[1] and T[2], RX, CV and RZ the rotation vector). Lengths are in millimetres, angles in radians.

use std::collections::HashMap;

use super::stereo::{Lens, Pair};

/// A file has about a hundred lines.
pub const SIZE_MAX: usize = 1 << 16;
/// No maker mounts two eyes so crookedly; old files have degrees.
const ANGLE_MAX: f64 = 0.2;
/// A baseline is at least this long, and two metres at most. Millimetres.
const BASELINE: std::ops::RangeInclusive<f64> = 1.0..=2000.0;

/// What sections call the sizes of an eye's picture.
const MODES: [(&str, u32, u32); 8] = [
    ("VGA", 672, 376),
    ("SVGA", 960, 600),
    ("HD", 1280, 720),
    ("FHD", 1920, 1080),
    ("FHD1200", 1920, 1200),
    ("2K", 2208, 1242),
    ("QHDPLUS", 3200, 1800),
    ("4K", 3840, 2160),
];

/// What a file says. The case of names does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    values: HashMap<(String, String), String>,
}

/// Why a file is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is no text; give a factory calibration (SN….conf)")]
    NoText,
    #[error("line {0} is neither [SECTION] nor KEY=VALUE; give a factory calibration (SN….conf)")]
    Line(usize),
    #[error("line {line} says {key} in [{section}] again; keep one of them")]
    Again { line: usize, section: String, key: String },
    #[error("{0} in [{1}] is missing; get the camera's calibration anew")]
    Missing(String, String),
    #[error("{0} in [{1}] is {2}, which no camera has; get the camera's calibration anew")]
    Impossible(String, String, String),
    #[error(
        "[{0}] tells no distortion that is known (k1, k2, p1, p2, k3); a fisheye lens can only be rectified by the ZED SDK"
    )]
    Distortion(String),
    #[error(
        "{width} x {height} is the size of no mode of the camera (such as 1280 x 720 or 1920 x 1200); pictures that were \
         scaled or cropped cannot be rectified"
    )]
    Size { width: u32, height: u32 },
}

impl Conf {
    /// Takes a file apart.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn parse(file: &[u8]) -> Result<Self, Unusable> {
        let text = std::str::from_utf8(file).map_err(|_| Unusable::NoText)?;
        let mut values = HashMap::new();
        let mut section: Option<&str> = None;
        for (line, number) in text.trim_start_matches('\u{feff}').lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = Some(name);
                continue;
            }
            let (Some(section), Some((key, value))) = (section, line.split_once('=')) else {
                return Err(Unusable::Line(number));
            };
            let (key, value) = (key.trim(), value.trim());
            if values.insert(place(section, key), value.to_owned()).is_some_and(|before| before != value) {
                return Err(Unusable::Again { line: number, section: shown(section), key: shown(key) });
            }
        }
        Ok(Self { values })
    }

    /// The eyes, for pictures of a size.
    ///
    /// # Errors
    /// When something is missing, or is not as in any camera.
    pub fn pair(&self, width: u32, height: u32) -> Result<Pair, Unusable> {
        let mode = MODES.iter().find(|mode| (mode.1, mode.2) == (width, height));
        let (mode, ..) = mode.ok_or(Unusable::Size { width, height })?;
        let stereo = |key: &str, default| self.number("STEREO", key, default);
        let of_mode = |key: &str| stereo(&format!("{key}_{mode}"), None);
        // A file has these for each mode or for all of them, and old ones have none.
        let offset = |key: &str| stereo(&format!("{key}_{mode}"), Some(stereo(key, Some(0.0))?));
        let baseline = stereo("Baseline", None)?;
        if !BASELINE.contains(&baseline) {
            return Err(self.impossible("STEREO", "Baseline"));
        }
        let rotation = ["RX", "CV", "RZ"].map(of_mode);
        let rotation = match rotation {
            [Ok(x), Ok(y), Ok(z)] => [x, y, z],
            [x, y, z] => return Err([x, y, z].into_iter().find_map(Result::err).expect("one of them is missing")),
        };
        for (angle, key) in rotation.into_iter().zip(["RX", "CV", "RZ"]) {
            if angle.abs() > ANGLE_MAX {
                return Err(self.impossible("STEREO", &format!("{key}_{mode}")));
            }
        }
        Ok(Pair {
            left: self.lens("LEFT", mode, (width, height))?,
            right: self.lens("RIGHT", mode, (width, height))?,
            rotation,
            translation: [-baseline, offset("TY")?, offset("TZ")?],
        })
    }

    fn lens(&self, side: &str, mode: &str, (width, height): (u32, u32)) -> Result<Lens, Unusable> {
        let section = format!("{side}_CAM_{mode}");
        let number = |key: &str, size: u32, range: std::ops::Range<f64>| {
            let value = self.number(&section, key, None)?;
            let fits = range.contains(&(value / f64::from(size)));
            if fits { Ok(value) } else { Err(self.impossible(&section, key)) }
        };
        // Angles of view from 6 to 170 degrees, and a middle that is in the middle half.
        let focal = |key, size| number(key, size, 0.05..10.0);
        let middle = |key, size| number(key, size, 0.25..0.75);
        Ok(Lens {
            fx: focal("fx", width)?,
            fy: focal("fy", width)?,
            cx: middle("cx", width)?,
            cy: middle("cy", height)?,
            distortion: self.distortion(side, &section)?,
        })
    }

    /// The rational model, which is for all modes, where the file has it; else the older one of the mode.
    fn distortion(&self, side: &str, section: &str) -> Result<[f64; 8], Unusable> {
        const RATIONAL: [&str; 8] = ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"];
        let all = format!("{side}_DISTO");
        if RATIONAL.iter().all(|key| self.has(&all, key)) {
            return self.numbers(&all, RATIONAL);
        }
        if !self.has(section, "k1") {
            return Err(Unusable::Distortion(section.to_owned()));
        }
        let [k1, k2] = self.numbers(section, ["k1", "k2"])?;
        // Old files stop there.
        let more = |key| self.number(section, key, Some(0.0));
        Ok([k1, k2, more("p1")?, more("p2")?, more("k3")?, 0.0, 0.0, 0.0])
    }

    fn numbers<const COUNT: usize>(&self, section: &str, keys: [&str; COUNT]) -> Result<[f64; COUNT], Unusable> {
        let mut numbers = [0.0; COUNT];
        for (number, key) in numbers.iter_mut().zip(keys) {
            *number = self.number(section, key, None)?;
        }
        Ok(numbers)
    }

    fn has(&self, section: &str, key: &str) -> bool {
        self.values.contains_key(&place(section, key))
    }

    fn number(&self, section: &str, key: &str, default: Option<f64>) -> Result<f64, Unusable> {
        match self.values.get(&place(section, key)) {
            Some(value) => {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite());
                number.ok_or_else(|| self.impossible(section, key))
            }
            None => default.ok_or_else(|| Unusable::Missing(key.to_owned(), section.to_owned())),
        }
    }

    fn impossible(&self, section: &str, key: &str) -> Unusable {
        let value = self.values.get(&place(section, key)).cloned().unwrap_or_default();
        Unusable::Impossible(key.to_owned(), section.to_owned(), shown(&value))
    }
}

/// What a file says, for a terminal.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

fn place(section: &str, key: &str) -> (String, String) {
    (section.to_ascii_lowercase(), key.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in the cases that they occur in.
    const FILE: &str = "\
[LEFT_CAM_HD]
fx=700.819
fy=700.819
cx=665.465
cy=371.953
k1=-0.174318
k2=0.0261121
p1=0.0003
p2=-0.0002
k3=0

[RIGHT_CAM_HD]
fx = 699.5
fy = 699.5
cx = 650.2
cy = 365.1
k1 = -0.172
k2 = 0.0255
p1 = -0.0001
p2 = 0.0004
k3 = 0.001

[STEREO]
BaseLine=119.9
TY=0.3
TZ_HD=-0.5
CV_HD=0.00958521
RX_HD=0.00497864
rz_hd=-0.00185401

; what else there is
[MISC]
Sensor_ID=one
";

    fn pair(text: &str) -> Result<Pair, Unusable> {
        Conf::parse(text.as_bytes()).and_then(|conf| conf.pair(1280, 720))
    }

    fn refusal(text: &str) -> String {
        pair(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_tells_of_both_eyes() {
        let expected = super::super::stereo::tests::zed();
        for text in [FILE.to_owned(), FILE.replace('\n', "\r\n"), format!("\u{feff}{FILE}"), FILE.to_uppercase()] {
            assert_eq!(pair(&text).unwrap(), expected, "{text}");
        }
        let old = FILE.replace("TY=0.3\n", "").replace("TZ_HD=-0.5\n", "").replace("p1=0.0003\np2=-0.0002\nk3=0\n", "");
        let old = pair(&old).unwrap();
        assert_eq!(old.translation, [-119.9, 0.0, 0.0]);
        assert_eq!(old.left.distortion[..5], [-0.174318, 0.0261121, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_rational_model_is_taken_when_it_is_whole() {
        let rational = "[LEFT_DISTO]\nk1=1\nk2=2\nk3=3\nk4=4\nk5=5\nk6=6\np1=7\np2=8\n";
        assert_eq!(
            pair(&format!("{FILE}{rational}")).unwrap().left.distortion,
            [1.0, 2.0, 7.0, 8.0, 3.0, 4.0, 5.0, 6.0]
        );
        let part = rational.replace("p1=7\n", "");
        assert_eq!(pair(&format!("{FILE}{part}")), pair(FILE));
        let fisheye = FILE.replace("k1=-0.174318\n", "");
        assert!(refusal(&format!("{fisheye}{part}")).contains("fisheye"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for (old, new, said) in [
            ("fy=700.819\n", "", "fy in [LEFT_CAM_HD] is missing"),
            ("fx = 699.5\n", "", "fx in [RIGHT_CAM_HD] is missing"),
            ("[LEFT_CAM_HD]", "[LEFT_CAM_2K]", "[LEFT_CAM_HD] is missing"),
            ("[STEREO]", "[ELSE]", "Baseline in [STEREO] is missing"),
            ("RX_HD", "RX_2K", "RX_HD in [STEREO] is missing"),
            ("k2=0.0261121\n", "", "k2 in [LEFT_CAM_HD] is missing"),
            ("700.819", "700,819", "fx in [LEFT_CAM_HD] is 700,819,"),
            ("700.819", "nan", "is nan,"),
            ("700.819", "0", "fx in [LEFT_CAM_HD] is 0,"),
            ("665.465", "-5", "cx in [LEFT_CAM_HD] is -5,"),
            ("371.953", "1e300", "cy in [LEFT_CAM_HD] is 1e300,"),
            ("=119.9", "=-119.9", "Baseline in [STEREO] is -119.9,"),
            ("=119.9", "=0.1199", "Baseline in [STEREO] is 0.1199,"),
            ("0.00958521", "-0.265461", "CV_HD in [STEREO] is -0.265461,"),
            ("0.3\n", "\u{1b}[2J\n", "TY in [STEREO] is \\u{1b}[2J,"),
            ("fy=700.819", "fy=700.819\nFY=3", "line 4 says FY in [LEFT_CAM_HD] again"),
            ("[LEFT_CAM_HD]\n", "", "line 1 is neither"),
            ("k3=0\n", "k3=0\nwhat\n", "line 11 is neither"),
        ] {
            assert!(FILE.contains(old), "{old}");
            let refusal = refusal(&FILE.replacen(old, new, 1));
            assert!(refusal.contains(said), "{refusal:?} does not say {said:?}");
        }
        assert_eq!(Conf::parse(b"\xff[LEFT]"), Err(Unusable::NoText));
        let conf = Conf::parse(FILE.as_bytes()).unwrap();
        assert!(conf.pair(1280, 719).unwrap_err().to_string().contains("the size of no mode"));
        assert!(conf.pair(672, 376).unwrap_err().to_string().contains("RX_VGA in [STEREO] is missing"));
    }
}
