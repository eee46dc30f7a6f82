//! What is known of a camera, and of where it was.

use serde::{Deserialize, Serialize};

/// How a camera maps what is before it to pixels.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Intrinsics {
    /// Of the pictures that these are for.
    pub width: u32,
    pub height: u32,
    /// Focal lengths, in pixels.
    pub fx: f64,
    pub fy: f64,
    /// Principal point, in pixels.
    pub cx: f64,
    pub cy: f64,
    /// k1, k2, p1, p2, k3 of the plumb bob model; zero for rectified pictures.
    pub distortion: [f64; 5],
}

impl Intrinsics {
    /// Whether they are of a camera at all, when they are what a file says.
    pub fn is_usable(&self) -> bool {
        let Self { width, height, fx, fy, cx, cy, distortion } = self;
        let is_finite = [fx, fy, cx, cy].into_iter().chain(distortion).all(|number| number.is_finite());
        is_finite && *fx > 0.0 && *fy > 0.0 && *width > 0 && *height > 0
    }

    /// Those of the same view in a picture of another size.
    pub fn scaled_to(&self, width: u32, height: u32) -> Self {
        let (x, y) = (f64::from(width) / f64::from(self.width), f64::from(height) / f64::from(self.height));
        Self { width, height, fx: self.fx * x, fy: self.fy * y, cx: self.cx * x, cy: self.cy * y, ..*self }
    }
}

/// Where the left eye was and how it was turned, in the world of the tracking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Metres.
    pub position: [f64; 3],
    /// Quaternion x, y, z, w.
    pub orientation: [f64; 4],
}
