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
pub(super) mod tests;
