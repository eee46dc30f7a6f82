//! How a depth picture lies over the picture of its camera, by their two calibrations. `docs/depth_alignment.md` says why.

use serde::Serialize;
use tools_mcap::schema::foxglove::CameraCalibration;

use super::recording::Camera;

/// Numbers that should be 0 or 1 may have been rounded.
const TOLERANCE: f64 = 1e-9;
const IDENTITY: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// Width and height.
pub type Size = (usize, usize);

/// Pixel coordinate of the picture, from that of the depth: `scale * depth + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Axis {
    pub scale: f64,
    pub offset: f64,
}

impl Axis {
    const IDENTITY: Self = Self { scale: 1.0, offset: 0.0 };

    /// The axis of a focal length and a principal point of picture and depth.
    fn of((rgb_focal, rgb_centre): (f64, f64), (depth_focal, depth_centre): (f64, f64)) -> Self {
        let scale = rgb_focal / depth_focal;
        Self { scale, offset: rgb_centre - scale * depth_centre }
    }

    /// The depth's pixel that is nearest to one of the picture, if it is one of `length`.
    pub fn nearest(self, rgb: usize, length: usize) -> Option<usize> {
        let place = ((rgb as f64 - self.offset) / self.scale + 0.5).floor();
        (place >= 0.0 && place < length as f64).then_some(place as usize)
    }
}

/// Where pixels of the depth are in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mapping {
    pub u: Axis,
    pub v: Axis,
    /// Whether the two have the same pixels, because the recording has no calibration of the depth.
    pub assumed: bool,
}

impl Mapping {
    /// The mapping of a camera whose picture and depth have these sizes.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(camera: &Camera, rgb: Size, depth: Size) -> Result<Self, String> {
        let Some(of_depth) = &camera.depth_calibration else {
            if let Some(calibration) = &camera.calibration {
                pinhole(calibration, rgb, "calibration")?;
            }
            if rgb != depth {
                return Err(format!(
                    "the depth is {}x{}, the picture {}x{}, and there is no /{}/depth_calibration that says how they lie",
                    depth.0, depth.1, rgb.0, rgb.1, camera.label
                ));
            }
            return Ok(Self { u: Axis::IDENTITY, v: Axis::IDENTITY, assumed: true });
        };
        let Some(of_rgb) = &camera.calibration else {
            return Err(format!("there is a /{0}/depth_calibration and no /{0}/calibration", camera.label));
        };
        let ([rgb_u, rgb_v], [depth_u, depth_v]) =
            (pinhole(of_rgb, rgb, "calibration")?, pinhole(of_depth, depth, "depth_calibration")?);
        Ok(Self { u: Axis::of(rgb_u, depth_u), v: Axis::of(rgb_v, depth_v), assumed: false })
    }
}

/// Focal length and principal point of each axis, of a camera that draws straight lines straight.
fn pinhole(calibration: &CameraCalibration, (width, height): Size, topic: &str) -> Result<[(f64, f64); 2], String> {
    let CameraCalibration { d, k, r, .. } = calibration;
    let said = (calibration.width as usize, calibration.height as usize);
    if said != (width, height) {
        return Err(format!("{topic} is for {}x{}, and the pictures are {width}x{height}", said.0, said.1));
    }
    let is_near = |value: f64, wanted: f64| (value - wanted).abs() <= TOLERANCE;
    if !d.iter().all(|value| is_near(*value, 0.0)) {
        return Err(format!(
            "{topic} tells a lens distortion (D is not 0): pictures are not rectified, and no affine mapping holds"
        ));
    }
    if !(r.is_empty() || r.len() == 9 && r.iter().zip(IDENTITY).all(|(value, wanted)| is_near(*value, wanted))) {
        return Err(format!("{topic} tells a rotation (R is not the identity): no affine mapping holds"));
    }
    let [fx, skew, cx, zero, fy, cy, ..] = k[..] else {
        return Err(format!("{topic} has no intrinsics: K has {} numbers, not 9", k.len()));
    };
    let is_pinhole = k.len() == 9 && [skew, zero, k[6], k[7], k[8] - 1.0].iter().all(|value| is_near(*value, 0.0));
    if !(is_pinhole && fx.is_finite() && fy.is_finite() && fx > 0.0 && fy > 0.0 && cx.is_finite() && cy.is_finite()) {
        return Err(format!("{topic} has no usable intrinsics: K = {k:?}"));
    }
    Ok([(fx, cx), (fy, cy)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(width: u32, height: u32, [fx, fy, cx, cy]: [f64; 4]) -> CameraCalibration {
        let k = vec![fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0];
        CameraCalibration { width, height, d: vec![0.0; 5], k, r: IDENTITY.to_vec(), ..Default::default() }
    }

    fn camera() -> Camera {
        Camera {
            label: "zed1".to_owned(),
            calibration: Some(calibration(1920, 1200, [1000.0, 1000.0, 961.0, 600.0])),
            depth_calibration: Some(calibration(960, 512, [500.0, 1000.0 / 2.34375, 480.0, 256.0])),
            ..Default::default()
        }
    }

    const SIZES: (Size, Size) = ((1920, 1200), (960, 512));

    #[test]
    fn two_calibrations_are_a_stretch_and_a_shift() {
        let mapping = Mapping::of(&camera(), SIZES.0, SIZES.1).unwrap();
        assert_eq!(mapping.u, Axis { scale: 2.0, offset: 1.0 });
        assert!((mapping.v.scale - 2.34375).abs() < 1e-12 && mapping.v.offset.abs() < 1e-9, "{mapping:?}");
        // Pixels of the picture that are nearest to none of the depth have none.
        assert_eq!(
            [0, 1, 2, 3, 1919].map(|u| mapping.u.nearest(u, 960)),
            [Some(0), Some(0), Some(1), Some(1), Some(959)]
        );
        assert_eq!(Axis { scale: 1.0, offset: 3.0 }.nearest(2, 10), None);
        assert_eq!(Axis { scale: 1.0, offset: -3.0 }.nearest(7, 10), None);
    }

    #[test]
    fn without_a_depth_calibration_sizes_have_to_be_equal() {
        let camera = Camera { depth_calibration: None, ..camera() };
        let mapping = Mapping::of(&camera, SIZES.0, SIZES.0).unwrap();
        assert_eq!(mapping, Mapping { u: Axis::IDENTITY, v: Axis::IDENTITY, assumed: true });
        assert!(Mapping::of(&camera, SIZES.0, SIZES.1).unwrap_err().contains("no /zed1/depth_calibration"));
        assert!(Mapping::of(&Camera { calibration: None, ..camera }, SIZES.0, SIZES.0).unwrap().assumed);
    }

    #[test]
    fn what_is_no_affine_mapping_is_refused() {
        let refused = |change: fn(&mut CameraCalibration)| {
            let mut camera = camera();
            change(camera.depth_calibration.as_mut().unwrap());
            Mapping::of(&camera, SIZES.0, SIZES.1).unwrap_err()
        };
        assert!(refused(|calibration| calibration.d[1] = 0.1).contains("distortion"));
        assert!(refused(|calibration| calibration.r[1] = 0.1).contains("rotation"));
        assert!(refused(|calibration| calibration.k[1] = 0.1).contains("K = "));
        assert!(refused(|calibration| calibration.k[0] = 0.0).contains("K = "));
        assert!(refused(|calibration| calibration.k[2] = f64::NAN).contains("K = "));
        assert!(refused(|calibration| calibration.k.clear()).contains("0 numbers"));
        assert!(refused(|calibration| calibration.width = 961).contains("961x512"));
        let camera = Camera { calibration: None, ..camera() };
        assert!(Mapping::of(&camera, SIZES.0, SIZES.1).unwrap_err().contains("no /zed1/calibration"));
    }
}
