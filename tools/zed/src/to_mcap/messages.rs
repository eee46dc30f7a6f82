//! What is known of a camera, as messages.

use std::collections::BTreeMap;

use tools_mcap::{
    depth::DepthCoding,
    schema::{
        cvmmap_streamer::DepthMap,
        foxglove::{self, CameraCalibration, PoseInFrame},
        timestamp,
    },
};

use crate::{
    camera::{Intrinsics, Pose},
    picture::Depth,
    source::Facts,
};

/// What poses are told in: the world of the tracking.
const WORLD: &str = "world";
/// Three radial and two tangential parameters. Source: Foxglove's schema reference, CameraCalibration.
const DISTORTION_MODEL: &str = "plumb_bob";

/// What the channel of a camera's video says of it.
pub fn about(facts: &Facts) -> BTreeMap<String, String> {
    let rectified = match facts.rectified {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    };
    let mut about = BTreeMap::from(
        [("clock", facts.clock.name()), ("provider", facts.provider), ("rectified", rectified)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    about.extend(facts.serial.clone().map(|serial| ("camera_serial".to_owned(), serial)));
    about
}

/// The intrinsics of a camera.
pub fn calibration(intrinsics: &Intrinsics, timestamp_ns: u64, frame_id: &str) -> CameraCalibration {
    let Intrinsics { width, height, fx, fy, cx, cy, distortion } = *intrinsics;
    CameraCalibration {
        timestamp: Some(timestamp(timestamp_ns)),
        width,
        height,
        distortion_model: DISTORTION_MODEL.to_owned(),
        d: distortion.to_vec(),
        k: vec![fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: vec![fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        frame_id: frame_id.to_owned(),
    }
}

/// The depth of a picture. None where it cannot be read.
pub fn depth(depth: Depth, timestamp_ns: u64, frame_id: &str) -> Option<DepthMap> {
    match depth {
        Depth::Plane(plane) => plane.message(DepthCoding::RvlU16, timestamp_ns, frame_id),
        Depth::Stored(stored) => {
            let (timestamp, frame_id) = (Some(timestamp(timestamp_ns)), frame_id.to_owned());
            Some(DepthMap { timestamp, frame_id, ..stored })
        }
    }
}

/// Where the camera was.
pub fn pose(pose: &Pose, timestamp_ns: u64) -> PoseInFrame {
    let Pose { position: [x, y, z], orientation } = *pose;
    let [qx, qy, qz, qw] = orientation;
    PoseInFrame {
        timestamp: Some(timestamp(timestamp_ns)),
        frame_id: WORLD.to_owned(),
        pose: Some(foxglove::Pose {
            position: Some(foxglove::Vector3 { x, y, z }),
            orientation: Some(foxglove::Quaternion { x: qx, y: qy, z: qz, w: qw }),
        }),
    }
}
