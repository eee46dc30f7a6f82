//! A body-tracking packet as a 3D panel draws it: one entity for each body, with its bones, its keypoints and its name.
//! Coordinates are the packet's, axes and unit of length with them.

use std::collections::BTreeMap;

use cvmmap::body::{ActionState, Body, CoordinateSystem, Format, KEYPOINTS_MAX, Packet, ReferenceFrame, TrackingState};
use prost_types::{Duration, Timestamp};

use super::{
    bones,
    schema::{
        foxglove::{
            Color, KeyValuePair, LinePrimitive, Point3, Pose, Quaternion, SceneEntity, SceneEntityDeletion,
            SceneUpdate, SpherePrimitive, TextPrimitive, Vector3, line_primitive, scene_entity_deletion,
        },
        timestamp,
    },
};

/// No panel draws more. What a packet has beyond is left out.
pub const BODIES_MAX: usize = 256;
/// A body of which no packet tells any more is gone.
const LIFETIME: Duration = Duration { seconds: 1, nanos: 0 };
/// Keypoints of a lower confidence, or of none, have no sphere. The contract names no range.
const CONFIDENCE_MIN: f32 = f32::MIN_POSITIVE;
/// Diameter of a sphere, by the extent of its body: the unit of length is not known.
const SPHERE_SIZE: f64 = 0.02;
/// Width of a bone, in pixels.
const BONE_WIDTH: f64 = 3.0;
/// Height of a name, in pixels.
const NAME_HEIGHT: f64 = 16.0;

/// A place in space.
type Place = [f64; 3];

/// What a panel has to draw from this packet on.
pub fn of(packet: &Packet, time_ns: u64, frame_id: &str) -> SceneUpdate {
    let time = timestamp(time_ns);
    let mut seen = BTreeMap::<i32, u32>::new();
    let entities = packet.bodies.iter().take(BODIES_MAX).map(|body| {
        let seen = seen.entry(body.id).or_default();
        *seen += 1;
        // A tracker that follows nobody may give all the same number.
        let id = if *seen == 1 { body.id.to_string() } else { format!("{}/{seen}", body.id) };
        SceneEntity { id, timestamp: Some(time), frame_id: frame_id.to_owned(), ..entity(packet, body) }
    });
    SceneUpdate { entities: entities.collect(), deletions: vec![everything_before(time)] }
}

/// A packet tells of every body: who is in none any more is gone, even when the packet in which they went is lost.
fn everything_before(time: Timestamp) -> SceneEntityDeletion {
    SceneEntityDeletion { timestamp: Some(time), r#type: scene_entity_deletion::Type::All.into(), id: String::new() }
}

fn entity(packet: &Packet, body: &Body) -> SceneEntity {
    let known = keypoints(packet.format, body);
    let color = Some(color(body.id));
    let diameter = SPHERE_SIZE * extent(&known, body);
    let seen = known.iter().zip(body.keypoint_confidence).filter(|(_, confidence)| *confidence >= CONFIDENCE_MIN);
    let spheres = seen.filter_map(|(place, _)| {
        let size = Some(Vector3 { x: diameter, y: diameter, z: diameter });
        Some(SpherePrimitive { pose: Some(upright((*place)?)), size, color })
    });
    SceneEntity {
        lifetime: Some(LIFETIME),
        metadata: told(packet, body),
        spheres: spheres.collect(),
        lines: skeleton(packet.format, &known, color).into_iter().collect(),
        texts: name(packet.format, body, &known).into_iter().collect(),
        ..SceneEntity::default()
    }
}

/// Where the keypoints are, as far as the producer knows.
fn keypoints(format: Format, body: &Body) -> [Option<Place>; KEYPOINTS_MAX] {
    let count = usize::from(body.keypoint_count).min(format.keypoints());
    std::array::from_fn(|index| if index < count { place(body.keypoint_3d[index]) } else { None })
}

fn place(position: [f32; 3]) -> Option<Place> {
    position.iter().all(|value| value.is_finite()).then(|| position.map(f64::from))
}

/// How large a body is along the axis of which it takes most.
fn extent(known: &[Option<Place>], body: &Body) -> f64 {
    let along = |axis: usize| {
        let values = || known.iter().flatten().map(|place| place[axis]);
        values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
    };
    let dimensions = body.dimensions.map(f64::from).into_iter().filter(|value| value.is_finite());
    // Without keypoints there is nothing along any axis.
    (0..3).map(along).chain(dimensions).fold(0.0, f64::max)
}

/// The bones of which both ends are known.
fn skeleton(format: Format, known: &[Option<Place>], color: Option<Color>) -> Option<LinePrimitive> {
    let bones = bones::of(format).filter_map(|[from, to]| Some([known[from]?, known[to]?]));
    let points = bones.flatten().map(|[x, y, z]| Point3 { x, y, z }).collect::<Vec<_>>();
    (!points.is_empty()).then(|| LinePrimitive {
        r#type: line_primitive::Type::LineList.into(),
        pose: Some(upright([0.0; 3])),
        thickness: BONE_WIDTH,
        scale_invariant: true,
        points,
        color,
        ..LinePrimitive::default()
    })
}

/// Number and confidence, at the head or where else something is known.
fn name(format: Format, body: &Body, known: &[Option<Place>]) -> Option<TextPrimitive> {
    let place = known[bones::head(format)]
        .or_else(|| place(body.position))
        .or_else(|| known.iter().flatten().next().copied())?;
    let text = match body.confidence {
        confidence if confidence.is_finite() => format!("{} ({})", body.id, (confidence * 100.0).round() / 100.0),
        _ => body.id.to_string(),
    };
    Some(TextPrimitive {
        pose: Some(upright(place)),
        billboard: true,
        font_size: NAME_HEIGHT,
        scale_invariant: true,
        color: Some(Color { r: 1.0, g: 1.0, b: 1.0, a: 1.0 }),
        text,
    })
}

/// What is told of a body when it is chosen in the panel.
fn told(packet: &Packet, body: &Body) -> Vec<KeyValuePair> {
    let tracking = match body.tracking_state {
        TrackingState::Off => "off",
        TrackingState::Ok => "ok",
        TrackingState::Searching => "searching",
        TrackingState::Terminate => "terminate",
    };
    let action = match body.action_state {
        ActionState::Idle => "idle",
        ActionState::Moving => "moving",
    };
    let axes = match packet.coordinate_system {
        CoordinateSystem::Unknown => "unknown",
        CoordinateSystem::Image => "image",
        CoordinateSystem::RightHandedYUp => "right-handed, y up",
    };
    let origin = match packet.reference_frame {
        ReferenceFrame::Unknown => "unknown",
        ReferenceFrame::Camera => "camera",
        ReferenceFrame::World => "world",
    };
    let told = [
        ("tracking_state", tracking),
        ("action_state", action),
        ("coordinate_system", axes),
        ("reference_frame", origin),
    ];
    told.map(|(key, value)| KeyValuePair { key: key.to_owned(), value: value.to_owned() }).into()
}

fn upright([x, y, z]: Place) -> Pose {
    let orientation = Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 };
    Pose { position: Some(Vector3 { x, y, z }), orientation: Some(orientation) }
}

/// A body keeps its colour, which is the one of the page.
fn color(id: i32) -> Color {
    const SATURATION: f64 = 0.9;
    const LIGHTNESS: f64 = 0.6;
    // Neighbours in number are far from each other in hue.
    let hue = (i64::from(id) * 67).rem_euclid(360) as f64;
    // Source: CSS Color Module Level 4, "Converting HSL Colors to sRGB".
    let channel = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        LIGHTNESS - SATURATION * LIGHTNESS.min(1.0 - LIGHTNESS) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    };
    Color { r: channel(0.0), g: channel(8.0), b: channel(4.0), a: 1.0 }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn body(id: i32, keypoints: usize) -> Body {
        let mut body = Body { id, confidence: 87.25, keypoint_count: keypoints as u16, ..Body::default() };
        for keypoint in 0..keypoints {
            let at = keypoint as f32;
            body.keypoint_3d[keypoint] = [at + id as f32, at * 10.0, -at];
            body.keypoint_confidence[keypoint] = 50.0;
        }
        body
    }

    fn packet(format: Format, bodies: Vec<Body>) -> Packet {
        let mut packet = Packet::new(7, 1_000_000_001, "cam0");
        (packet.format, packet.bodies) = (format, bodies);
        packet
    }

    #[test]
    fn a_body_is_drawn_by_its_format() {
        for format in [Format::Body18, Format::Body34, Format::Body38] {
            let packet = packet(format, vec![body(3, format.keypoints())]);
            let drawn = of(&packet, 1_000_000_001, "camera");
            let [entity] = &drawn.entities[..] else { panic!("{drawn:?}") };
            assert_eq!((&*entity.id, &*entity.frame_id), ("3", "camera"));
            assert_eq!(entity.timestamp, Some(timestamp(1_000_000_001)));
            assert_eq!(entity.spheres.len(), format.keypoints());
            let position = entity.spheres[2].pose.unwrap().position.unwrap();
            assert_eq!([position.x, position.y, position.z], [5.0, 20.0, -2.0]);
            assert_eq!(entity.lines[0].points.len(), 2 * bones::of(format).count());
            assert_eq!(entity.texts[0].text, "3 (87.25)");
            let head = bones::head(format) as f64;
            assert_eq!(
                entity.texts[0].pose.unwrap().position.unwrap(),
                Vector3 { x: head + 3.0, y: head * 10.0, z: -head }
            );
            // The tallest way is the second axis.
            let size = entity.spheres[0].size.unwrap();
            assert!((size.x - 0.2 * (format.keypoints() - 1) as f64).abs() < 1e-9 && size.x == size.z, "{size:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut lame = body(1, 18);
        // The neck, on which three bones hang.
        lame.keypoint_3d[1][2] = f32::NAN;
        lame.keypoint_confidence[0] = 0.0;
        lame.keypoint_confidence[4] = f32::NAN;
        lame.keypoint_3d[7] = [f32::INFINITY; 3];
        let mut unknown = body(2, 18);
        unknown.keypoint_3d = [[f32::NAN; 3]; KEYPOINTS_MAX];
        unknown.position = [f32::NAN; 3];
        unknown.confidence = f32::NAN;
        let placed = Body { position: [1.0, 2.0, 3.0], ..unknown.clone() };
        let few = body(4, 2);
        let drawn = of(&packet(Format::Body18, vec![lame, unknown, placed, few]), 1, "camera");
        let shapes = drawn.entities.iter().map(|entity| {
            let points = entity.lines.iter().map(|lines| lines.points.len()).sum::<usize>();
            (&*entity.id, entity.spheres.len(), points / 2, entity.texts.len())
        });
        let expected = [("1", 14, 18 - 3 - 1, 1), ("2", 0, 0, 0), ("2/2", 0, 0, 1), ("4", 2, 1, 1)];
        assert_eq!(shapes.collect::<Vec<_>>(), expected);
        assert_eq!(drawn.entities[2].texts[0].text, "2");
    }

    #[test]
    fn whoever_is_gone_vanishes() {
        let drawn = of(&packet(Format::Body38, Vec::new()), 5_000_000_000, "camera");
        assert!(drawn.entities.is_empty());
        let [deletion] = &drawn.deletions[..] else { panic!("{drawn:?}") };
        assert_eq!(deletion.r#type(), scene_entity_deletion::Type::All);
        assert_eq!(deletion.timestamp, Some(timestamp(5_000_000_000)));
    }

    #[test]
    fn neighbours_have_colours_that_differ() {
        let all = [i32::MIN, -1, 0, 1, 2, i32::MAX].map(color);
        for (index, one) in all.iter().enumerate() {
            assert!([one.r, one.g, one.b].iter().all(|value| (0.0..=1.0).contains(value)), "{one:?}");
            assert!(all[..index].iter().all(|other| other != one));
        }
        // hsl(67 90% 60%).
        let one = color(1);
        assert!((one.r - 0.876).abs() < 1e-9 && (one.g - 0.96).abs() < 1e-9 && (one.b - 0.24).abs() < 1e-9, "{one:?}");
    }

    #[test]
    fn a_crowd_is_bounded() {
        let mut largest = body(i32::MIN, KEYPOINTS_MAX);
        largest.confidence = f32::MAX;
        let drawn = of(&packet(Format::Body38, vec![largest; 65_535]), u64::MAX, "camera");
        assert_eq!(drawn.entities.len(), BODIES_MAX);
        assert!(drawn.encoded_len() < 3 << 20, "{}", drawn.encoded_len());
        assert_eq!(drawn.entities[BODIES_MAX - 1].id, format!("{}/{BODIES_MAX}", i32::MIN));
    }

    /// Numbers that look random, the same in every run.
    fn noise() -> impl FnMut() -> u64 {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    #[test]
    fn random_packets_give_messages_that_can_be_read() {
        let mut noise = noise();
        let mut drawn = 0;
        for round in 0..2_000_usize {
            let bodies = vec![Body::default(); round % 5];
            let mut bytes = packet(Format::Body18, bodies).to_bytes().unwrap();
            let records = bytes.len().min(cvmmap::body::HEADER_SIZE);
            bytes[records..].fill_with(|| noise() as u8);
            // What a record has to keep to; the rest is noise, many a NaN in it.
            for record in bytes[records..].chunks_exact_mut(cvmmap::body::RECORD_SIZE) {
                (record[4], record[5]) = (record[4] % 4, record[5] % 2);
                let count = u16::from(record[3244]) % 39;
                record[3244..3246].copy_from_slice(&count.to_le_bytes());
            }
            bytes[28] = (noise() % 3) as u8;
            if round % 4 == 0 {
                let at = noise() as usize % bytes.len();
                bytes[at] = noise() as u8;
            }
            let Ok(packet) = Packet::parse(&bytes) else { continue };
            let message = of(&packet, noise(), "camera");
            let read = SceneUpdate::decode(&*message.encode_to_vec()).unwrap();
            assert_eq!(read, message);
            assert_eq!(read.entities.len(), packet.bodies.len());
            let places = read.entities.iter().flat_map(|entity| {
                let points =
                    entity.lines.iter().flat_map(|lines| &lines.points).map(|point| [point.x, point.y, point.z]);
                let spheres = entity.spheres.iter().filter_map(|sphere| sphere.pose?.position);
                points.chain(spheres.map(|position| [position.x, position.y, position.z]))
            });
            assert!(places.flatten().all(f64::is_finite));
            drawn += read.entities.len();
        }
        assert!(drawn > 2_000, "{drawn}");
    }
}
