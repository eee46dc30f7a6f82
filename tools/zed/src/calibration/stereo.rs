//! From two lenses that look almost the same way to two views whose rows correspond.
//!
//! The model and the names are those of OpenCV's documentation of `stereoRectify` (Bouguet's method, zero disparity at
//! infinity, alpha 0). A point `p` before the left eye is `R p + T` before the right one. The right eye is at `-Rᵀ T`
//! then, which is to the right when T begins with minus the baseline.

pub type Matrix = [[f64; 3]; 3];
pub type Vector = [f64; 3];

/// Points along each side of a picture that its valid part is found by. Source: OpenCV, which takes as many.
const SAMPLES: usize = 9;
/// A lens that turns a point by less than this many focal lengths is inverted.
const INVERTED: f64 = 1e-9;

/// A lens, and the sensor behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// Focal lengths, in pixels.
    pub fx: f64,
    pub fy: f64,
    /// Principal point, in pixels.
    pub cx: f64,
    pub cy: f64,
    /// k1, k2, p1, p2, k3, k4, k5, k6 of the rational model; the plumb bob model is the same with three zeros.
    pub distortion: [f64; 8],
}

impl Lens {
    /// Where a ray through `(x, y, 1)` meets the sensor, in pixels.
    pub fn project(&self, ray: (f64, f64)) -> (f64, f64) {
        let (x, y) = self.distort(ray);
        (self.fx * x + self.cx, self.fy * y + self.cy)
    }

    /// The ray that meets the sensor at a pixel; none where the lens has none.
    pub fn ray(&self, (u, v): (f64, f64)) -> Option<(f64, f64)> {
        let (wanted_x, wanted_y) = ((u - self.cx) / self.fx, (v - self.cy) / self.fy);
        let (mut x, mut y) = (wanted_x, wanted_y);
        // Newton's method: it doubles the digits each time.
        for _ in 0..50 {
            let (at_x, at_y) = self.distort((x, y));
            let (off_x, off_y) = (at_x - wanted_x, at_y - wanted_y);
            if off_x.abs().max(off_y.abs()) < INVERTED {
                return Some((x, y));
            }
            const STEP: f64 = 1e-6;
            let right = self.distort((x + STEP, y));
            let below = self.distort((x, y + STEP));
            let (xx, yx) = ((right.0 - at_x) / STEP, (right.1 - at_y) / STEP);
            let (xy, yy) = ((below.0 - at_x) / STEP, (below.1 - at_y) / STEP);
            let determinant = xx * yy - xy * yx;
            x -= (yy * off_x - xy * off_y) / determinant;
            y -= (xx * off_y - yx * off_x) / determinant;
        }
        None
    }

    fn distort(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [k1, k2, p1, p2, k3, k4, k5, k6] = self.distortion;
        let r2 = x * x + y * y;
        let radial = (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)));
        (
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        )
    }
}

/// Two eyes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub left: Lens,
    pub right: Lens,
    /// R, as a rotation vector in radians.
    pub rotation: Vector,
    /// T, in whatever unit: the views do not depend on it.
    pub translation: Vector,
}

/// The view of an eye whose rows correspond to those of the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub lens: Lens,
    /// From the eye's coordinates to those of the view.
    pub rotation: Matrix,
    /// Focal length and principal point of the view, in pixels; the same for both eyes.
    pub focal: f64,
    pub cx: f64,
    pub cy: f64,
}

/// Why there are no such views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoViews {
    #[error("its right eye is not to the right of the left one")]
    NotBeside,
    #[error("its lens bends the picture's border so far that nothing is left inside")]
    Folded,
}

impl Pair {
    /// The views of both eyes in pictures of a size, zoomed so far that all of it was seen.
    ///
    /// # Errors
    /// When the eyes are no such pair.
    pub fn views(&self, (width, height): (u32, u32)) -> Result<[View; 2], NoViews> {
        let (width, height) = (f64::from(width), f64::from(height));
        let [left, right] = self.rotations()?;
        let focal = (self.left.fy + self.right.fy) / 2.0;
        let view = |lens, rotation| View { lens, rotation, focal, cx: 0.0, cy: 0.0 };
        let mut views = [view(self.left, left), view(self.right, right)];

        // The corners of both pictures are around the middle.
        let (mut x, mut y) = (0.0, 0.0);
        for view in &views {
            for corner in [(0.0, 0.0), (width - 1.0, 0.0), (0.0, height - 1.0), (width - 1.0, height - 1.0)] {
                let at = view.position(corner).ok_or(NoViews::Folded)?;
                (x, y) = (x + at.0 / 8.0, y + at.1 / 8.0);
            }
        }
        let (cx, cy) = ((width - 1.0) / 2.0 - x, (height - 1.0) / 2.0 - y);
        views = views.map(|view| View { cx, cy, ..view });

        let mut zoom: f64 = 0.0;
        for view in &views {
            let inner = view.inner(width, height).ok_or(NoViews::Folded)?;
            for (room, seen) in [
                (cx, cx - inner.left),
                (cy, cy - inner.top),
                (width - cx, inner.right - cx),
                (height - cy, inner.bottom - cy),
            ] {
                if !(room > 0.0 && seen > 0.0) {
                    return Err(NoViews::Folded);
                }
                zoom = zoom.max(room / seen);
            }
        }
        Ok(views.map(|view| View { focal: focal * zoom, ..view }))
    }

    /// Each eye is turned by half of what they differ in, and both of them so that the other is straight to the side.
    fn rotations(&self) -> Result<[Matrix; 2], NoViews> {
        let half = rotation(self.rotation.map(|angle| -0.5 * angle));
        let across = apply(&half, self.translation);
        let length = across.iter().map(|it| it * it).sum::<f64>().sqrt();
        if !(across[0] < 0.0 && -across[0] > across[1].abs().max(across[2].abs())) {
            return Err(NoViews::NotBeside);
        }
        // The axis is across times (-1, 0, 0), and the angle the one between them.
        let axis = [0.0, -across[2], across[1]];
        let sine = axis.iter().map(|it| it * it).sum::<f64>().sqrt();
        let angle = (-across[0] / length).min(1.0).acos();
        let level = rotation(if sine > 0.0 { axis.map(|it| it * angle / sine) } else { [0.0; 3] });
        Ok([times(&level, &transposed(&half)), times(&level, &half)])
    }
}

/// What of a view was seen.
struct Inner {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl View {
    /// Where the picture shows what the view has at a pixel. None behind the eye.
    pub fn source(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let ray = apply(&transposed(&self.rotation), [(x - self.cx) / self.focal, (y - self.cy) / self.focal, 1.0]);
        (ray[2] > 0.0).then(|| self.lens.project((ray[0] / ray[2], ray[1] / ray[2])))
    }

    /// Where the view has what the picture shows at a pixel.
    fn position(&self, pixel: (f64, f64)) -> Option<(f64, f64)> {
        let (x, y) = self.lens.ray(pixel)?;
        let ray = apply(&self.rotation, [x, y, 1.0]);
        (ray[2] > 0.0).then(|| (self.focal * ray[0] / ray[2] + self.cx, self.focal * ray[1] / ray[2] + self.cy))
    }

    /// The largest rectangle that the picture's border is outside of.
    fn inner(&self, width: f64, height: f64) -> Option<Inner> {
        let mut inner =
            Inner { left: f64::NEG_INFINITY, top: f64::NEG_INFINITY, right: f64::INFINITY, bottom: f64::INFINITY };
        for sample in 0..SAMPLES {
            let along = sample as f64 / (SAMPLES - 1) as f64;
            let (x, y) = (along * (width - 1.0), along * (height - 1.0));
            inner.left = inner.left.max(self.position((0.0, y))?.0);
            inner.top = inner.top.max(self.position((x, 0.0))?.1);
            inner.right = inner.right.min(self.position((width - 1.0, y))?.0);
            inner.bottom = inner.bottom.min(self.position((x, height - 1.0))?.1);
        }
        Some(inner)
    }
}

/// The rotation about a vector, by its length in radians. Source: Rodrigues' formula.
fn rotation(about: Vector) -> Matrix {
    let angle = about.iter().map(|it| it * it).sum::<f64>().sqrt();
    // What the formula comes to for no angle.
    let (sine, cosine) =
        if angle < 1e-12 { (1.0, 0.5) } else { (angle.sin() / angle, (1.0 - angle.cos()) / (angle * angle)) };
    let [x, y, z] = about;
    let cross = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]];
    let square = times(&cross, &cross);
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            f64::from(u8::from(row == column)) + sine * cross[row][column] + cosine * square[row][column]
        })
    })
}

fn apply(matrix: &Matrix, vector: Vector) -> Vector {
    matrix.map(|row| row.iter().zip(vector).map(|(one, other)| one * other).sum())
}

fn times(one: &Matrix, other: &Matrix) -> Matrix {
    let columns = transposed(other);
    one.map(|row| columns.map(|column| row.iter().zip(column).map(|(one, other)| one * other).sum()))
}

fn transposed(matrix: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| matrix[column][row]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn lens([fx, fy, cx, cy]: [f64; 4], distortion: &[f64]) -> Lens {
        let mut all = [0.0; 8];
        all[..distortion.len()].copy_from_slice(distortion);
        Lens { fx, fy, cx, cy, distortion: all }
    }

    /// As of a ZED 2, with eyes that differ more than those of a real one.
    pub fn zed() -> Pair {
        Pair {
            left: lens([700.819, 700.819, 665.465, 371.953], &[-0.174318, 0.0261121, 0.0003, -0.0002, 0.0]),
            right: lens([699.5, 699.5, 650.2, 365.1], &[-0.172, 0.0255, -0.0001, 0.0004, 0.001]),
            rotation: [0.00497864, 0.00958521, -0.00185401],
            translation: [-119.9, 0.3, -0.5],
        }
    }

    /// As of a ZED X Mini, with the rational model.
    fn zed_x() -> Pair {
        let left = [2.1, 1.2, 0.0002, 5e-5, 0.06, 2.2, 1.35, 0.15];
        let right = [2.05, 1.18, 0.0002, -0.00019, 0.06, 2.15, 1.33, 0.15];
        Pair {
            left: lens([736.862, 736.696, 999.971, 570.414], &left),
            right: lens([737.375, 736.982, 970.855, 630.481], &right),
            rotation: [0.00124871, 0.0107261, 0.00138949],
            translation: [-49.8789, 0.0509066, 0.167848],
        }
    }

    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() < within, "{found} and not {expected}");
    }

    /// The numbers are those of Python's OpenCV 5.0.0 (and 4.11.0): `stereoRectify(K1, D1, K2, D2, size,
    /// Rodrigues(rotation), T, flags=CALIB_ZERO_DISPARITY, alpha=0)`, and `initUndistortRectifyMap(K1, D1, R1, P1, size,
    /// CV_32FC1)` at five pixels. It inverts a lens by five steps, we to the end: focal length and principal point are
    /// those of the same calculation with `undistortPoints(…, criteria=(3, 1000, 1e-12))`, which are this near to its own.
    #[test]
    fn views_are_those_that_opencv_finds() {
        let left = [
            [0.9999051085774863, -0.0006034851545678902, 0.013762617712981824],
            [0.0006376346310234708, 0.9999967287719214, -0.002477068334452026],
            [-0.013761077818353631, 0.0024856088035814464, 0.999902222462853],
        ];
        let sources = [
            ((0, 0), (96.87629699707031, 56.665321350097656)),
            ((1279, 0), (1186.080322265625, 55.04926681518555)),
            ((640, 360), (636.5888671875, 360.2471008300781)),
            ((10, 719), (99.44189453125, 671.4990234375)),
            ((1279, 719), (1190.452880859375, 670.5702514648438)),
        ];
        check(
            &zed(),
            (1280, 720),
            left,
            (683.5788861164139, 658.7496337890625, 373.1277961730957),
            (683.6483690108744, 658.8281689714661, 373.1658937702198),
            sources,
        );
        let left = [
            [0.9999699939821863, -0.0024075799969458713, 0.007363062801894159],
            [0.002412147958874376, 0.9999969037566299, -0.0006115712372207976],
            [-0.007361567597382334, 0.0006293136833120078, 0.9999727052708974],
        ];
        let sources = [
            ((0, 0), (142.0098114013672, 58.42595291137695)),
            ((1919, 0), (1784.0635986328125, 53.27250671386719)),
            ((960, 600), (957.5765380859375, 568.5736694335938)),
            ((10, 1199), (149.6525115966797, 1085.123291015625)),
            ((1919, 1199), (1788.1776123046875, 1081.2906494140625)),
        ];
        check(
            &zed_x(),
            (1920, 1200),
            left,
            (736.6331815829076, 996.9515533447266, 602.3930969238281),
            (736.6696705705652, 997.1321100200018, 602.4231580816077),
            sources,
        );
    }

    fn check(
        pair: &Pair,
        size: (u32, u32),
        left: Matrix,
        (focal, cx, cy): (f64, f64, f64),
        to_the_end: (f64, f64, f64),
        sources: [((u32, u32), (f64, f64)); 5],
    ) {
        let [view, _] = pair.views(size).unwrap();
        for (found, expected) in view.rotation.iter().flatten().zip(left.iter().flatten()) {
            close(*found, *expected, 1e-9);
        }
        for (found, exact, near) in
            [(view.focal, to_the_end.0, focal), (view.cx, to_the_end.1, cx), (view.cy, to_the_end.2, cy)]
        {
            close(found, exact, 1e-4);
            close(found, near, 0.2);
        }
        let exactly = View { focal, cx, cy, ..view };
        for ((x, y), expected) in sources {
            let found = exactly.source((f64::from(x), f64::from(y))).unwrap();
            close(found.0, expected.0, 1e-3);
            close(found.1, expected.1, 1e-3);
        }
    }

    /// What decides over the signs: points in space, seen by both eyes through their lenses.
    #[test]
    fn a_point_is_in_the_same_row_of_both_views_and_farther_left_in_the_right_one() {
        for (pair, size) in [(zed(), (1280, 720)), (zed_x(), (1920, 1200))] {
            let [left, right] = pair.views(size).unwrap();
            let between = rotation(pair.rotation);
            let baseline = pair.translation.iter().map(|it| it * it).sum::<f64>().sqrt();
            let mut seen = 0;
            for depth in [400.0, 1000.0, 5000.0] {
                for at in 0..400 {
                    let (x, y) = (f64::from(at % 20) / 10.0 - 0.95, f64::from(at / 20) / 16.0 - 0.6);
                    let point = [x * depth, y * depth, depth];
                    let moved = apply(&between, point);
                    let other: Vector = std::array::from_fn(|at| moved[at] + pair.translation[at]);
                    let eyes = [(&left, point), (&right, other)];
                    let [one, two] =
                        eyes.map(|(view, [x, y, z])| view.position(view.lens.project((x / z, y / z))).unwrap());
                    if one.0 < 0.0 || one.1 < 0.0 || one.0 > f64::from(size.0) || one.1 > f64::from(size.1) {
                        continue;
                    }
                    seen += 1;
                    close(one.1, two.1, 0.01);
                    let distance = apply(&left.rotation, point)[2];
                    close(one.0 - two.0, left.focal * baseline / distance, 0.01);
                }
            }
            assert!(seen > 600, "{seen}");
        }
    }

    #[test]
    fn all_of_a_view_was_seen() {
        for (pair, size) in [(zed(), (1280, 720)), (zed_x(), (1920, 1200))] {
            for view in pair.views(size).unwrap() {
                for x in (0..size.0).step_by(7) {
                    for y in [0, size.1 / 2, size.1 - 1] {
                        let (u, v) = view.source((f64::from(x), f64::from(y))).unwrap();
                        assert!(u > -1.0 && u < f64::from(size.0) && v > -1.0 && v < f64::from(size.1), "{u} {v}");
                    }
                }
            }
        }
    }

    #[test]
    fn eyes_that_are_none_have_no_views() {
        let size = (1280, 720);
        let zed = zed();
        for translation in [[119.9, 0.0, 0.0], [-1.0, 119.9, 0.0], [0.0; 3], [f64::NAN; 3]] {
            assert_eq!(Pair { translation, ..zed }.views(size), Err(NoViews::NotBeside));
        }
        for k1 in [-0.7, -5.0, 1e9, f64::INFINITY] {
            let mut pair = zed;
            pair.right.distortion[0] = k1;
            assert_eq!(pair.views(size), Err(NoViews::Folded), "{k1}");
        }
        for lens in [
            Lens { fx: 1e-9, ..zed.left },
            Lens { fy: 1e-9, ..zed.left },
            Lens { cx: 1e9, ..zed.left },
            Lens { cy: -1e9, ..zed.left },
        ] {
            assert_eq!(Pair { left: lens, ..zed }.views(size), Err(NoViews::Folded), "{lens:?}");
        }
    }
}
