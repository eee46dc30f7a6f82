//! Simulated skeletons: two bodies that walk around each other, breathing with the frame count.

use std::f32::consts::TAU;

use cvmmap::body::{
    ActionState, Body, CoordinateSystem, Flags, Format, KEYPOINTS_MAX, Packet, ReferenceFrame, TrackingState,
};

/// Bodies in every packet.
const BODIES: i32 = 2;
/// Frames of one way around.
const PERIOD: f32 = 120.0;

/// The bodies of one frame, in a picture of this size. Lengths are millimetres.
pub fn packet(index: u32, format: Format, (width, height): (u32, u32)) -> Packet {
    // Frame, time and label are the publisher's to fill in.
    let mut packet = Packet::new(0, 0, "");
    packet.coordinate_system = CoordinateSystem::RightHandedYUp;
    packet.reference_frame = ReferenceFrame::Camera;
    packet.format = format;
    packet.flags = Flags { is_new: true, is_tracked: true, ..Flags::default() };
    packet.bodies = (0..BODIES).map(|id| body(id, index, format.keypoints(), (width as f32, height as f32))).collect();
    packet
}

fn body(id: i32, index: u32, keypoints: usize, (width, height): (f32, f32)) -> Body {
    let turn = TAU * ((index as f32 / PERIOD).fract() + id as f32 / BODIES as f32);
    let position = [1000.0 * turn.cos(), 0.0, -3000.0 + 500.0 * turn.sin()];
    let centre = [width / 2.0 + width / 4.0 * turn.cos(), height / 2.0];
    let mut body = Body {
        id,
        tracking_state: TrackingState::Ok,
        action_state: ActionState::Moving,
        confidence: 90.0,
        position,
        velocity: [-turn.sin(), 0.0, turn.cos()],
        dimensions: [500.0, 1750.0, 300.0],
        keypoint_count: keypoints as u16,
        ..Body::default()
    };
    for keypoint in 0..keypoints.min(KEYPOINTS_MAX) {
        let around = TAU * keypoint as f32 / keypoints as f32 + turn;
        body.keypoint_2d[keypoint] = [centre[0] + height / 8.0 * around.cos(), centre[1] + height / 4.0 * around.sin()];
        body.keypoint_3d[keypoint] =
            [position[0] + 250.0 * around.cos(), position[1] + 850.0 * around.sin(), position[2]];
        body.keypoint_confidence[keypoint] = 80.0;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skeletons_move_and_can_be_written() {
        for format in [Format::Body18, Format::Body34, Format::Body38] {
            let [first, next] = [0, 1].map(|index| packet(index, format, (640, 360)));
            assert_ne!(first.bodies, next.bodies);
            let read = Packet::parse(&first.to_bytes().unwrap()).unwrap();
            assert_eq!(usize::from(read.bodies[1].keypoint_count), format.keypoints());
        }
    }
}
