//! A room with a bench, boxes and somebody who waves, as cameras of a robot see it: picture, depth and skeleton of one scene.

mod shapes;

use std::f32::consts::TAU;

use cvmmap::body::{ActionState, Body, CoordinateSystem, Flags, Format, Packet, ReferenceFrame, TrackingState};

use shapes::{Hit, Shape, Vector, dot, minus, walls};

/// The room's corners, in metres: x to the right, y up, z away from the front camera.
const LOW: Vector = [-3.2, 0.0, -0.6];
const HIGH: Vector = [3.2, 2.7, 5.4];
/// Where the light comes from.
const LIGHT: Vector = [0.36, 0.8, -0.48];
/// Joints of Body18 that are joined, with the thickness of what is there. Source: the ZED SDK's body formats.
const LIMBS: [(usize, usize, f32); 12] = [
    (1, 2, 0.07),
    (2, 3, 0.06),
    (3, 4, 0.05),
    (1, 5, 0.07),
    (5, 6, 0.06),
    (6, 7, 0.05),
    (8, 11, 0.12),
    (8, 9, 0.09),
    (9, 10, 0.07),
    (11, 12, 0.09),
    (12, 13, 0.07),
    (0, 1, 0.06),
];
const SHIRT: [f32; 3] = [0.20, 0.42, 0.72];
const TROUSERS: [f32; 3] = [0.24, 0.25, 0.30];
const SKIN: [f32; 3] = [0.87, 0.67, 0.54];

/// Where a camera is and looks to.
#[derive(Clone, Copy)]
pub struct View {
    pub eye: Vector,
    /// Turned to the right and down, in degrees.
    pub turn: f32,
    pub down: f32,
}

/// What a camera sees at one time.
pub struct Shown {
    /// Blue, green and red.
    pub picture: Vec<u8>,
    /// Millimetres along the camera's axis, as floats of 32 bits.
    pub depth: Vec<u8>,
    /// Who is there.
    pub body: Body,
}

impl View {
    /// Into the room: the camera's right, up and ahead.
    fn axes(&self) -> [Vector; 3] {
        let ((turned, ahead), (down, level)) = (self.turn.to_radians().sin_cos(), self.down.to_radians().sin_cos());
        [[ahead, 0.0, -turned], [turned * down, level, ahead * down], [turned * level, -down, ahead * level]]
    }

    /// The scene in a picture of this size; `moment` goes from 0 to 1 and begins anew.
    pub fn see(&self, (width, height): (u32, u32), moment: f32) -> Shown {
        let (joints, focal) = (joints(moment), width as f32 * 0.75);
        let somebody = somebody(&joints);
        let things = things();
        // Whoever stands in the way of a ray is within this.
        let around = Shape::Capsule { from: [joints[1][0], 0.2, 3.0], to: [joints[1][0], 1.7, 3.0], radius: 0.9 };
        let [right, up, ahead] = self.axes();
        let centre = [width as f32 / 2.0, height as f32 / 2.0];
        let (mut picture, mut depth) = (Vec::new(), Vec::new());
        let mut grain = 1_u32;
        for row in 0..height {
            for column in 0..width {
                let x = (column as f32 + 0.5 - centre[0]) / focal;
                let y = (centre[1] - row as f32 - 0.5) / focal;
                let ray = std::array::from_fn(|axis| ahead[axis] + x * right[axis] + y * up[axis]);
                let wall = walls(self.eye, ray, LOW, HIGH);
                let mut seen = (wall, paint_of_wall(self.eye, ray, wall));
                let mut look = |(shape, paint): &(Shape, [f32; 3])| {
                    if let Some(hit) = shape.meet(self.eye, ray)
                        && hit.distance < seen.0.distance
                    {
                        seen = (hit, *paint);
                    }
                };
                things.iter().for_each(&mut look);
                if around.meet(self.eye, ray).is_some() {
                    somebody.iter().for_each(&mut look);
                }
                let (hit, paint) = seen;
                let light = 0.45 + 0.5 * dot(hit.normal, LIGHT).max(0.0) + 0.1 * hit.normal[1].abs();
                // The noise of a sensor.
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223 + (moment * 1000.0) as u32);
                let noise = (grain >> 29) as f32 - 3.5;
                let light = light / (1.0 + 0.01 * hit.distance * hit.distance);
                picture.extend([2, 1, 0].map(|part| (paint[part] * light * 255.0 + noise).clamp(0.0, 255.0) as u8));
                depth.extend((hit.distance * 1000.0).to_le_bytes());
            }
        }
        let place = |joint: Vector| {
            let from = minus(joint, self.eye);
            let [x, y, z] = [right, up, ahead].map(|axis| dot(from, axis));
            ([x, y, -z].map(|metres| metres * 1000.0), [centre[0] + focal * x / z, centre[1] - focal * y / z], z)
        };
        Shown { picture, depth, body: body(&joints, place) }
    }
}

/// The bodies of a frame.
pub fn packet(body: &Body, label: &str, frame_id: u32, timestamp_ns: u64) -> Packet {
    let mut packet = Packet::new(frame_id, timestamp_ns, label);
    packet.coordinate_system = CoordinateSystem::RightHandedYUp;
    packet.reference_frame = ReferenceFrame::Camera;
    packet.format = Format::Body18;
    packet.flags = Flags { is_new: true, is_tracked: true, ..Flags::default() };
    packet.bodies = vec![body.clone()];
    packet
}

fn body(joints: &[Vector; 18], place: impl Fn(Vector) -> (Vector, [f32; 2], f32)) -> Body {
    let mut body = Body {
        id: 3,
        tracking_state: TrackingState::Ok,
        action_state: ActionState::Moving,
        confidence: 94.0,
        position: place(joints[1]).0,
        dimensions: [500.0, 1750.0, 300.0],
        keypoint_count: joints.len() as u16,
        ..Body::default()
    };
    for (at, joint) in joints.iter().enumerate() {
        let (position, pixel, distance) = place(*joint);
        body.keypoint_3d[at] = position;
        // Behind the camera is nowhere in the picture.
        body.keypoint_2d[at] = if distance > 0.1 { pixel } else { [f32::NAN; 2] };
        body.keypoint_confidence[at] = 90.0;
    }
    body
}

fn paint_of_wall(eye: Vector, ray: Vector, wall: Hit) -> [f32; 3] {
    let met: Vector = std::array::from_fn(|axis| eye[axis] + ray[axis] * wall.distance);
    if wall.normal[1] > 0.5 {
        let is_dark = ((met[0] / 0.6).floor() + (met[2] / 0.6).floor()) as i32 & 1 == 1;
        if is_dark { [0.52, 0.50, 0.47] } else { [0.66, 0.64, 0.60] }
    } else if wall.normal[1] < -0.5 {
        [0.93, 0.93, 0.91]
    } else if met[1] < 0.12 {
        [0.38, 0.36, 0.35]
    } else {
        [0.80, 0.82, 0.80]
    }
}

/// A bench with tools and a ball on the left, boxes on the right, a shelf behind.
fn things() -> Vec<(Shape, [f32; 3])> {
    const WOOD: [f32; 3] = [0.66, 0.47, 0.29];
    const CARD: [f32; 3] = [0.76, 0.60, 0.40];
    const STEEL: [f32; 3] = [0.45, 0.48, 0.52];
    let cuboid = |low, high, paint| (Shape::Cuboid { low, high }, paint);
    vec![
        cuboid([-2.4, 0.74, 2.5], [-0.7, 0.80, 3.5], WOOD),
        cuboid([-2.36, 0.0, 2.54], [-2.28, 0.74, 2.62], STEEL),
        cuboid([-0.82, 0.0, 2.54], [-0.74, 0.74, 2.62], STEEL),
        cuboid([-2.36, 0.0, 3.38], [-2.28, 0.74, 3.46], STEEL),
        cuboid([-0.82, 0.0, 3.38], [-0.74, 0.74, 3.46], STEEL),
        cuboid([-2.2, 0.80, 3.0], [-1.9, 1.05, 3.3], [0.80, 0.28, 0.22]),
        cuboid([-1.75, 0.80, 2.75], [-1.55, 0.95, 2.95], [0.90, 0.72, 0.22]),
        (Shape::Capsule { from: [-1.2, 0.91, 2.85], to: [-1.2, 0.91, 2.85], radius: 0.11 }, [0.30, 0.66, 0.38]),
        cuboid([1.3, 0.0, 3.2], [2.3, 0.65, 4.0], CARD),
        cuboid([1.5, 0.65, 3.3], [2.1, 1.10, 3.8], [0.70, 0.54, 0.36]),
        cuboid([-1.6, 1.55, 5.1], [1.6, 1.60, 5.4], WOOD),
        cuboid([0.3, 1.60, 5.15], [0.6, 1.95, 5.35], [0.34, 0.52, 0.66]),
        cuboid([0.65, 1.60, 5.15], [0.9, 1.85, 5.35], [0.72, 0.36, 0.30]),
    ]
}

/// Somebody who faces the front camera and waves.
fn joints(moment: f32) -> [Vector; 18] {
    let (wave, sway) = ((TAU * moment).sin(), 0.02 * (TAU * moment).cos());
    let x = 0.35 + sway;
    let hand = [x - 0.52 + 0.16 * wave, 1.62 - 0.04 * wave.abs(), 2.85];
    [
        [x, 1.58, 2.88],
        [x, 1.40, 3.0],
        [x - 0.2, 1.38, 3.0],
        [x - 0.44, 1.24, 2.95],
        hand,
        [x + 0.2, 1.38, 3.0],
        [x + 0.29, 1.10, 3.02],
        [x + 0.27, 0.86, 2.92],
        [x - 0.11, 0.88, 3.0],
        [x - 0.14, 0.48, 2.98],
        [x - 0.16, 0.07, 3.02],
        [x + 0.11, 0.88, 3.0],
        [x + 0.15, 0.48, 2.97],
        [x + 0.18, 0.07, 3.02],
        [x - 0.04, 1.62, 2.89],
        [x + 0.04, 1.62, 2.89],
        [x - 0.1, 1.60, 2.98],
        [x + 0.1, 1.60, 2.98],
    ]
}

fn somebody(joints: &[Vector; 18]) -> Vec<(Shape, [f32; 3])> {
    let paint = |from: usize| match from {
        0 | 3 | 6 => SKIN,
        8.. => TROUSERS,
        _ => SHIRT,
    };
    let limbs = LIMBS.iter().map(|(from, to, radius)| {
        (Shape::Capsule { from: joints[*from], to: joints[*to], radius: *radius }, paint(*from))
    });
    let middle = |a: Vector, b: Vector| std::array::from_fn(|axis| (a[axis] + b[axis]) / 2.0);
    let ears = middle(joints[16], joints[17]);
    let mut waist = middle(joints[8], joints[11]);
    waist[1] += 0.12;
    let trunk = Shape::Capsule { from: middle(joints[2], joints[5]), to: waist, radius: 0.17 };
    let head = Shape::Capsule { from: ears, to: [ears[0], ears[1] - 0.05, ears[2] - 0.01], radius: 0.11 };
    limbs.chain([(trunk, SHIRT), (head, SKIN)]).collect()
}
