//! What the C API's structures and enumerations are in memory.
//!
//! Source: `types_c.h` of stereolabs/zed-c-api, compiled for x86-64 at the tags v4.2.0, v5.0, v5.1 and v5.2.1, and before
//! them at the first commits for 5.0.0. Later versions append to structures; each is given whole, with zeros behind what is
//! known. Offsets that are the same in all of them are constants, the rest depends on the version.

use std::ffi::c_int;

use super::version::Abi;
use crate::wanted::{DepthMode, Tracking, TrackingMode};

/// The largest structure has 360 bytes.
const SIZE: usize = 512;

/// `SL_MEM_CPU`.
pub const CPU: c_int = 0;
/// `SL_VIEW_LEFT`, rectified.
pub const LEFT: c_int = 0;
/// `SL_MEASURE_DEPTH`.
pub const DEPTH: c_int = 1;
/// `SL_REFERENCE_FRAME_WORLD`.
pub const WORLD: c_int = 0;
/// `SL_POSITIONAL_TRACKING_STATE_OK`.
pub const TRACKED: c_int = 1;
/// `SL_DEPTH_MODE_NONE`.
pub const NO_DEPTH: c_int = 0;
/// Both `8U_C4` and `32F_C1`.
pub const PIXEL_BYTES: usize = 4;

const INPUT_TYPE_SVO: c_int = 1;
const MILLIMETRE: c_int = 0;
const COORDINATES_OF_THE_IMAGE: c_int = 0;
const REFERENCE_FRAME_CAMERA: c_int = 1;

/// A structure that is given to the library, or filled by it.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Block([u8; SIZE]);

impl Block {
    pub fn zeroed() -> Self {
        Self([0; SIZE])
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    pub fn floats<const N: usize>(&self, at: usize) -> [f32; N] {
        std::array::from_fn(|number| {
            let at = at + 4 * number;
            f32::from_ne_bytes(self.0[at..at + 4].try_into().expect("they are four"))
        })
    }

    fn put(&mut self, at: usize, bytes: impl AsRef<[u8]>) {
        self.0[at..at + bytes.as_ref().len()].copy_from_slice(bytes.as_ref());
    }

    fn put_int(&mut self, at: usize, value: c_int) {
        self.put(at, value.to_ne_bytes());
    }

    fn put_bool(&mut self, at: usize, value: bool) {
        self.put(at, [u8::from(value)]);
    }

    fn put_floats(&mut self, at: usize, values: &[f32]) {
        for (number, value) in values.iter().enumerate() {
            self.put(at + 4 * number, value.to_ne_bytes());
        }
    }
}

/// `SL_InitParameters` for a recording, read as fast as it can be; what is not said here is the SDK's default.
pub fn init_parameters(abi: Abi, depth_mode: c_int, self_calibration: bool) -> Block {
    let mut block = Block::zeroed();
    block.put_int(0, INPUT_TYPE_SVO);
    // SL_RESOLUTION_AUTO.
    block.put_int(4, if abi >= Abi::V5_0 { 9 } else { 8 });
    block.put_bool(20, !self_calibration);
    // Not in real time, at 22.
    block.put_int(24, depth_mode);
    // Stabilisation turns tracking on.
    let stabilisation = if abi >= Abi::V5_0 { 30 } else { 1 };
    block.put_int(28, if depth_mode == NO_DEPTH { 0 } else { stabilisation });
    // Minimum and maximum distance.
    block.put_floats(32, &[-1.0, -1.0]);
    block.put_int(40, MILLIMETRE);
    block.put_int(44, COORDINATES_OF_THE_IMAGE);
    // The best GPU, and no talk on stdout.
    block.put_int(48, -1);
    block.put_int(52, 0);
    // Image enhancement.
    block.put_bool(57, true);
    // Seconds for opening.
    block.put_floats(60, &[5.0]);
    // Corrupted pictures are told. An int in 4.2 and the first 5.0, whose first byte this is.
    block.put_bool(72, true);
    block
}

/// `SL_RuntimeParameters`, with the SDK's defaults.
pub fn runtime_parameters(depth: bool) -> Block {
    let mut block = Block::zeroed();
    block.put_int(0, REFERENCE_FRAME_CAMERA);
    block.put_bool(4, depth);
    // Confidence and texture confidence.
    block.put_int(8, 95);
    block.put_int(12, 100);
    // Without saturated areas.
    block.put_bool(16, true);
    block
}

/// `SL_PositionalTrackingParameters`.
pub fn tracking_parameters(tracking: &Tracking) -> Block {
    let mut block = Block::zeroed();
    block.put_floats(0, &tracking.initial_rotation);
    block.put_floats(16, &tracking.initial_position.map(|metres| metres * 1000.0));
    block.put_bool(28, tracking.area_memory);
    block.put_bool(29, tracking.pose_smoothing);
    block.put_bool(30, tracking.floor_as_origin);
    block.put_bool(31, tracking.static_camera);
    block.put_bool(32, tracking.imu_fusion);
    let metres = tracking.depth_min_range;
    block.put_floats(36, &[if metres < 0.0 { metres } else { metres * 1000.0 }]);
    block.put_bool(40, tracking.gravity_as_origin);
    let mode = match tracking.mode {
        TrackingMode::Gen1 => 0,
        TrackingMode::Gen2 => 1,
        TrackingMode::Gen3 => 2,
    };
    block.put_int(44, mode);
    block
}

/// Where a pose is in `SL_PoseData`: a quaternion x, y, z, w, and a position x, y, z.
pub const POSE_ROTATION: usize = 16;
pub const POSE_POSITION: usize = 32;

/// Bytes at the beginning of `SL_CalibrationParameters` that are read: the left camera's fx, fy, cx and cy, and up to the
/// size of its pictures.
pub const CALIBRATION_SIZE: usize = 144;

/// The size that the left camera's calibration is for.
pub fn calibrated_size(abi: Abi, calibration: &[u8; CALIBRATION_SIZE]) -> Option<(u32, u32)> {
    let size = |at: usize, bytes: usize| {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&calibration[at..at + bytes]);
        u32::try_from(u64::from_le_bytes(value)).ok()
    };
    // Two size_t in 4.2, two ints since.
    if abi >= Abi::V5_0 { Some((size(124, 4)?, size(128, 4)?)) } else { Some((size(128, 8)?, size(136, 8)?)) }
}

/// `SL_DEPTH_MODE`.
///
/// # Errors
/// What to do where the version does not have it.
pub fn depth_mode(abi: Abi, mode: DepthMode) -> Result<c_int, String> {
    match (mode, abi >= Abi::V5_0) {
        (DepthMode::NeuralLight, true) => Ok(4),
        (DepthMode::Neural, true) => Ok(5),
        (DepthMode::NeuralPlus, true) => Ok(6),
        (DepthMode::NeuralLight, false) => {
            Err(format!("the ZED SDK {abi} has no depth mode neural_light; take neural or neural_plus"))
        }
        (DepthMode::Neural, false) => Ok(4),
        (DepthMode::NeuralPlus, false) => Ok(5),
    }
}

/// The lightest `SL_DEPTH_MODE` that poses can be computed with when no depth is wanted.
///
/// # Errors
/// What to do where the version does not have the tracking mode.
pub fn depth_mode_for_tracking(abi: Abi, mode: TrackingMode) -> Result<c_int, String> {
    match mode {
        TrackingMode::Gen3 if abi < Abi::V5_1 => {
            Err(format!("the ZED SDK {abi} has no tracking mode GEN_3; take GEN_1 or GEN_2"))
        }
        // It needs none.
        TrackingMode::Gen3 => Ok(NO_DEPTH),
        TrackingMode::Gen1 | TrackingMode::Gen2 if abi < Abi::V5_0 => depth_mode(abi, DepthMode::Neural),
        TrackingMode::Gen1 | TrackingMode::Gen2 => depth_mode(abi, DepthMode::NeuralLight),
    }
}
