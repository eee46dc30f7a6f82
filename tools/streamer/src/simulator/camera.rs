//! The simulated camera's controls: exposure and gain make its pictures darker and brighter.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cvmmap::nats::proto::CameraControlSetting as Setting;

/// What the automatic chooses: the picture as it was drawn.
const NEUTRAL_EXPOSURE: i32 = 50;
/// Exposure and gain are percent.
const MAX: i32 = 100;
/// A gain of so many percent doubles the picture.
const DOUBLING_GAIN: i32 = 25;

/// A camera under light that does not change.
#[derive(Debug)]
pub struct Camera {
    controls: Mutex<Controls>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Controls {
    exposure: i32,
    gain: i32,
    auto: bool,
    /// What the automatic may take as gain.
    auto_gain: (i32, i32),
}

/// A change that the camera does not make: the code of the reply, and words.
pub type Refused = (&'static str, String);

impl Camera {
    /// A camera whose exposure and gain are automatic.
    pub fn new() -> Self {
        let controls = Controls { exposure: NEUTRAL_EXPOSURE, gain: 0, auto: true, auto_gain: (0, MAX) };
        Self { controls: Mutex::new(controls) }
    }

    fn controls(&self) -> MutexGuard<'_, Controls> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has and stands at, as `cvmmapsink` takes it.
    pub fn describe(&self) -> gst::Structure {
        let Controls { exposure, gain, auto, auto_gain } = *self.controls();
        gst::Structure::builder("camera")
            .field(Setting::Exposure.word(), exposure)
            .field(Setting::Gain.word(), gain)
            .field(Setting::AecAgc.word(), i32::from(auto))
            .field(Setting::AutoAnalogGainRange.word(), gst::Array::new([auto_gain.0, auto_gain.1]))
            .build()
    }

    /// Makes a change as `cvmmapsink` asks for it.
    ///
    /// # Errors
    /// When it is out of range, or there is no automatic for it.
    pub fn change(&self, setting: &str, wanted: &gst::StructureRef) -> Result<(), Refused> {
        let number = |name| wanted.get::<i32>(name).unwrap_or_default();
        let auto = wanted.get::<&str>("mode") == Ok("auto");
        let mut controls = self.controls();
        match setting.parse() {
            // One automatic chooses both.
            Ok(Setting::Exposure | Setting::Gain) if auto => controls.auto = true,
            Ok(Setting::Exposure) => {
                controls.exposure = within(number("value"), (0, MAX))?;
                controls.auto = false;
            }
            Ok(Setting::Gain) => {
                controls.gain = within(number("value"), (0, MAX))?;
                controls.auto = false;
            }
            Ok(Setting::AecAgc) if !auto => controls.auto = within(number("value"), (0, 1))? == 1,
            Ok(Setting::AutoAnalogGainRange) => {
                controls.auto_gain = (within(number("min"), (0, MAX))?, within(number("max"), (0, MAX))?);
            }
            _ => return Err(("UNSUPPORTED", format!("{setting} has no automatic of its own"))),
        }
        if controls.auto {
            controls.exposure = NEUTRAL_EXPOSURE;
            controls.gain = 0.clamp(controls.auto_gain.0, controls.auto_gain.1);
        }
        Ok(())
    }

    /// Shows exposure and gain in a picture of 8 bits a sample.
    pub fn expose(&self, picture: &mut gst::BufferRef) {
        let Controls { exposure, gain, .. } = *self.controls();
        if (exposure, gain) == (NEUTRAL_EXPOSURE, 0) {
            return;
        }
        let shown: [u8; 256] = std::array::from_fn(|light| {
            let light = light as i32 * exposure * (DOUBLING_GAIN + gain) / (NEUTRAL_EXPOSURE * DOUBLING_GAIN);
            light.min(255) as u8
        });
        if let Ok(mut samples) = picture.map_writable() {
            samples.iter_mut().for_each(|sample| *sample = shown[usize::from(*sample)]);
        }
    }
}

fn within(value: i32, (min, max): (i32, i32)) -> Result<i32, Refused> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(("OUT_OF_RANGE", format!("{value} is not {min} to {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(camera: &Camera, setting: &str, wanted: &str) -> Result<(), &'static str> {
        camera.change(setting, &wanted.parse::<gst::Structure>().unwrap()).map_err(|(code, _)| code)
    }

    fn exposed(camera: &Camera) -> Vec<u8> {
        let mut picture = gst::Buffer::from_mut_slice(vec![0u8, 10, 100, 255]);
        camera.expose(picture.get_mut().unwrap());
        picture.map_readable().unwrap().to_vec()
    }

    #[test]
    fn exposure_and_gain_show() {
        gst::init().unwrap();
        let camera = Camera::new();
        assert_eq!(exposed(&camera), [0, 10, 100, 255]);
        change(&camera, "exposure", "c, mode=manual, value=25").unwrap();
        assert_eq!(exposed(&camera), [0, 5, 50, 127]);
        change(&camera, "gain", "c, mode=manual, value=75").unwrap();
        assert_eq!(exposed(&camera), [0, 20, 200, 255]);
        assert_eq!(camera.describe().get("aec-agc"), Ok(0));
        change(&camera, "exposure", "c, mode=auto").unwrap();
        assert_eq!(exposed(&camera), [0, 10, 100, 255]);
        change(&camera, "auto-analog-gain-range", "c, mode=range, min=25, max=30").unwrap();
        assert_eq!(exposed(&camera), [0, 20, 200, 255]);
        assert_eq!(camera.describe().get("gain"), Ok(25));
    }

    #[test]
    fn what_it_cannot_is_refused_and_changes_nothing() {
        gst::init().unwrap();
        let camera = Camera::new();
        let before = *camera.controls();
        for (setting, wanted, code) in [
            ("exposure", "c, mode=manual, value=101", "OUT_OF_RANGE"),
            ("gain", "c, mode=manual, value=-1", "OUT_OF_RANGE"),
            ("aec-agc", "c, mode=manual, value=2", "OUT_OF_RANGE"),
            ("aec-agc", "c, mode=auto", "UNSUPPORTED"),
            ("auto-analog-gain-range", "c, mode=range, min=5, max=101", "OUT_OF_RANGE"),
            ("led-status", "c, mode=manual, value=1", "UNSUPPORTED"),
        ] {
            assert_eq!(change(&camera, setting, wanted), Err(code), "{setting}");
        }
        assert_eq!(*camera.controls(), before);
    }
}
