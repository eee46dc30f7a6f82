//! What rays meet: boxes, and capsules, which are spheres when their ends are one.

pub type Vector = [f32; 3];

pub fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn scale(a: Vector, by: f32) -> Vector {
    [a[0] * by, a[1] * by, a[2] * by]
}

pub fn minus(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Where a ray meets something: how many times its direction away, and the surface's direction there.
#[derive(Clone, Copy)]
pub struct Hit {
    pub distance: f32,
    pub normal: Vector,
}

#[derive(Clone, Copy)]
pub enum Shape {
    Cuboid { low: Vector, high: Vector },
    Capsule { from: Vector, to: Vector, radius: f32 },
}

impl Shape {
    pub fn meet(&self, eye: Vector, ray: Vector) -> Option<Hit> {
        match *self {
            Self::Cuboid { low, high } => cuboid(eye, ray, low, high),
            Self::Capsule { from, to, radius } => capsule(eye, ray, from, to, radius),
        }
    }
}

/// From inside a room of these corners: the wall, floor or ceiling that a ray meets.
pub fn walls(eye: Vector, ray: Vector, low: Vector, high: Vector) -> Hit {
    let mut hit = Hit { distance: f32::INFINITY, normal: [0.0; 3] };
    for axis in 0..3 {
        let wall = if ray[axis] > 0.0 { high[axis] } else { low[axis] };
        let distance = (wall - eye[axis]) / ray[axis];
        if distance < hit.distance {
            let mut normal = [0.0; 3];
            normal[axis] = -ray[axis].signum();
            hit = Hit { distance, normal };
        }
    }
    hit
}

fn cuboid(eye: Vector, ray: Vector, low: Vector, high: Vector) -> Option<Hit> {
    let (mut enter, mut leave, mut normal) = (0.0, f32::INFINITY, [0.0; 3]);
    for axis in 0..3 {
        let [a, b] = [low[axis], high[axis]].map(|side| (side - eye[axis]) / ray[axis]);
        let (near, far) = (a.min(b), a.max(b));
        if near > enter {
            enter = near;
            normal = [0.0; 3];
            normal[axis] = -ray[axis].signum();
        }
        leave = far.min(leave);
    }
    (enter > 0.0 && enter < leave).then_some(Hit { distance: enter, normal })
}

fn capsule(eye: Vector, ray: Vector, from: Vector, to: Vector, radius: f32) -> Option<Hit> {
    let (axis, start) = (minus(to, from), minus(eye, from));
    let [length, along, before, out, speed] =
        [dot(axis, axis), dot(axis, ray), dot(axis, start), dot(ray, start), dot(ray, ray)];
    let (a, b) = (length * speed - along * along, length * out - before * along);
    let c = length * dot(start, start) - before * before - radius * radius * length;
    let root = b * b - a * c;
    // Which end is near, where it is not the side.
    let mut place = 0.0;
    if length > 0.0 {
        if root < 0.0 {
            return None;
        }
        let distance = (-b - root.sqrt()) / a;
        place = (before + distance * along) / length;
        if (0.0..=1.0).contains(&place) {
            let met = add(start, scale(ray, distance));
            let normal = scale(minus(met, scale(axis, place)), 1.0 / radius);
            return (distance > 0.0).then_some(Hit { distance, normal });
        }
    }
    let centre = if place > 0.5 { to } else { from };
    let start = minus(eye, centre);
    let b = dot(ray, start);
    let root = b * b - speed * (dot(start, start) - radius * radius);
    if root < 0.0 {
        return None;
    }
    let distance = (-b - root.sqrt()) / speed;
    let normal = scale(add(start, scale(ray, distance)), 1.0 / radius);
    (distance > 0.0).then_some(Hit { distance, normal })
}
