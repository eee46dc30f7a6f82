//! What a program wants of each moment of a recording besides the left picture. Only the ZED SDK computes these.

use std::path::PathBuf;

use clap::ValueEnum;

/// What is wanted besides pictures.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub depth: Option<Depth>,
    pub tracking: Option<Tracking>,
}

/// How depth is to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    pub mode: DepthMode,
    pub size: DepthSize,
}

/// The ZED SDK's neural depth modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum DepthMode {
    NeuralLight,
    Neural,
    #[default]
    NeuralPlus,
}

/// Size of a depth picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DepthSize {
    /// What the SDK finds best for the pictures.
    #[default]
    Optimal,
    /// That of the pictures.
    Native,
    Pixels {
        width: u32,
        height: u32,
    },
}

/// How the camera's pose is to be tracked: the SDK's positional tracking parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracking {
    /// Where the camera begins, in metres.
    pub initial_position: [f32; 3],
    /// How it is turned there, as a quaternion x, y, z, w.
    pub initial_rotation: [f32; 4],
    pub area_memory: bool,
    pub pose_smoothing: bool,
    pub floor_as_origin: bool,
    pub static_camera: bool,
    pub imu_fusion: bool,
    /// Depth nearer than this many metres is not used; negative for no bound.
    pub depth_min_range: f32,
    pub gravity_as_origin: bool,
    pub mode: TrackingMode,
    /// A map of the place, made before.
    pub area_file: Option<PathBuf>,
}

/// The SDK's tracking modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackingMode {
    #[default]
    Gen1,
    Gen2,
    /// Of SDK 5.1 and later.
    Gen3,
}
