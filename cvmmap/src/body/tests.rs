use std::mem::{offset_of, size_of};

use super::*;

/// A packet in which no two neighbouring fields are the same.
fn packet() -> Packet {
    let mut next = 0.5;
    let mut float = || {
        next += 1.0;
        next
    };
    let mut body = |id| Body {
        id,
        tracking_state: TrackingState::Searching,
        action_state: ActionState::Moving,
        confidence: float(),
        position: [(); 3].map(|()| float()),
        velocity: [(); 3].map(|()| float()),
        position_covariance: [(); 6].map(|()| float()),
        bounding_box_2d: [(); 4].map(|()| [float(), float()]),
        bounding_box_3d: [(); 8].map(|()| [float(), float(), float()]),
        dimensions: [(); 3].map(|()| float()),
        keypoint_2d: [(); 38].map(|()| [float(), float()]),
        keypoint_3d: [(); 38].map(|()| [float(), float(), float()]),
        keypoint_confidence: [(); 38].map(|()| float()),
        keypoint_covariance: [(); 38].map(|()| [(); 6].map(|()| float())),
        head_bounding_box_2d: [(); 4].map(|()| [float(), float()]),
        head_bounding_box_3d: [(); 8].map(|()| [float(), float(), float()]),
        head_position: [(); 3].map(|()| float()),
        local_position_per_joint: [(); 38].map(|()| [float(), float(), float()]),
        local_orientation_per_joint: [(); 38].map(|()| [(); 4].map(|()| float())),
        global_root_orientation: [(); 4].map(|()| float()),
        keypoint_count: 34,
        flags: 0x8001,
    };
    Packet {
        sdk_timestamp_ns: 0x2827_2625_2423_2221,
        coordinate_system: CoordinateSystem::RightHandedYUp,
        reference_frame: ReferenceFrame::World,
        format: Format::Body34,
        selection: Selection::UpperBody,
        detection_model: 2,
        inference_precision: 1,
        flags: Flags { is_new: true, fitting: true, floor_as_origin: true, ..Flags::default() },
        bodies: vec![body(-7), body(8)],
        ..Packet::new(0x0403_0201, 0x1817_1615_1413_1211, "cam0")
    }
}

#[test]
fn sizes_are_the_contracts() {
    assert_eq!(size_of::<WireHeader>(), HEADER_SIZE);
    assert_eq!(size_of::<WireRecord>(), RECORD_SIZE);
}

#[test]
fn fields_stand_at_their_offsets() {
    let bytes = packet().to_bytes().unwrap();
    assert_eq!(bytes.len(), 64 + 2 * 3248);
    assert_eq!(bytes[..4], [0x62, 2, 1, 0]);
    assert_eq!(bytes[4..8], [1, 2, 3, 4]);
    assert_eq!(bytes[8..16], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
    assert_eq!(bytes[16..24], [0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]);
    assert_eq!(bytes[24..28], [2, 0, 0xB0, 0x0C]);
    assert_eq!(bytes[28..36], [1, 1, 2, 1, 1 | 4 | 16, 0, 2, 0]);
    assert_eq!(bytes[36..40], 6496u32.to_le_bytes());
    assert_eq!(&bytes[40..64], b"cam0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let record = &bytes[64..];
    assert_eq!(record[..8], [0xF9, 0xFF, 0xFF, 0xFF, 2, 1, 0, 0]);
    // The floats count up from 1.5 in the order of the contract: none is left out, none swapped.
    let floats = record[8..3244].chunks_exact(4).map(|float| f32::from_le_bytes(float.try_into().unwrap()));
    assert_eq!(floats.collect::<Vec<_>>(), (0..809).map(|index| 1.5 + index as f32).collect::<Vec<_>>());
    assert_eq!(record[3244..3248], [34, 0, 1, 0x80]);
    assert_eq!(offset_of!(WireRecord, keypoint_2d), 8 + 48 * 4);
    assert_eq!(offset_of!(WireRecord, head_bounding_box_2d), 8 + (48 + 456) * 4);
    assert_eq!(offset_of!(WireRecord, global_root_orientation), 8 + (48 + 456 + 35 + 266) * 4);
}

#[test]
fn what_is_written_reads_back() {
    for packet in [packet(), Packet::new(u32::MAX, u64::MAX, "123456789012345678901234")] {
        let bytes = packet.to_bytes().unwrap();
        assert_eq!(Packet::parse(&bytes).unwrap(), packet);
    }
    assert_eq!(Packet::new(0, 0, "123456789012345678901234567").label(), b"123456789012345678901234");
    assert_eq!(packet().label(), b"cam0");
}

#[test]
fn a_float_that_is_no_number_stays_one() {
    let mut packet = packet();
    packet.bodies[1].velocity = [f32::NAN, f32::INFINITY, -0.0];
    let bytes = packet.to_bytes().unwrap();
    let read = Packet::parse(&bytes).unwrap();
    assert!(read.bodies[1].velocity[0].is_nan());
    assert_eq!(read.to_bytes().unwrap(), bytes);
}

#[test]
fn every_broken_rule_is_named() {
    let good = packet().to_bytes().unwrap();
    let refused = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Packet::parse(&bytes).unwrap_err()
    };
    assert_eq!(Packet::parse(&[]), Err(BodyError::Short(0)));
    assert_eq!(Packet::parse(&good[..63]), Err(BodyError::Short(63)));
    assert_eq!(refused(0, 0x7D), BodyError::Magic(0x7D));
    assert_eq!(refused(2, 2), BodyError::Version(2));
    for (at, value, name) in [
        (1, 3, "coordinate_system"),
        (24, 1, "payload_size_bytes"),
        (26, 0xB1, "body_record_size"),
        (28, 3, "body_format"),
        (29, 2, "selection"),
        (30, 3, "detection_model"),
        (31, 3, "inference_precision"),
        (34, 3, "reference_frame"),
        (39, 1, "payload_size_bytes"),
    ] {
        let error = refused(at, value);
        assert!(matches!(error, BodyError::Field { field, .. } if field == name), "{at}: {error}");
    }
    let second = HEADER_SIZE + RECORD_SIZE;
    for (at, value, name) in [(4, 4, "tracking_state"), (5, 2, "action_state"), (3244, 39, "keypoint_count")] {
        let error = refused(second + at, value);
        assert!(matches!(error, BodyError::Body { index: 1, field, .. } if field == name), "{at}: {error}");
    }
}

#[test]
fn a_message_of_another_length_is_refused() {
    let mut bytes = packet().to_bytes().unwrap();
    let expected = bytes.len();
    assert_eq!(
        Packet::parse(&bytes[..expected - 1]),
        Err(BodyError::Length { found: expected - 1, expected, bodies: 2 })
    );
    bytes.push(0);
    assert_eq!(Packet::parse(&bytes), Err(BodyError::Length { found: expected + 1, expected, bodies: 2 }));
    // What the header promises takes no memory.
    let mut header = Packet::new(1, 1, "").to_bytes().unwrap();
    header[24..26].copy_from_slice(&u16::MAX.to_le_bytes());
    header[36..40].copy_from_slice(&(u32::from(u16::MAX) * 3248).to_le_bytes());
    assert!(matches!(Packet::parse(&header), Err(BodyError::Length { bodies: u16::MAX, .. })));
}

#[test]
fn a_packet_that_cannot_be_said_is_not_written() {
    let mut wrong = packet();
    wrong.bodies[1].keypoint_count = 39;
    assert!(matches!(wrong.to_bytes(), Err(BodyError::Body { index: 1, field: "keypoint_count", .. })));
    wrong = packet();
    wrong.inference_precision = 3;
    assert!(matches!(wrong.to_bytes(), Err(BodyError::Field { field: "inference_precision", .. })));
    wrong = Packet::new(0, 0, "");
    wrong.bodies = vec![Body::default(); 65_536];
    assert!(matches!(wrong.to_bytes(), Err(BodyError::Field { field: "body_count", .. })));
}

#[test]
fn a_format_tells_its_keypoints() {
    for (format, keypoints) in [(Format::Body18, 18), (Format::Body34, 34), (Format::Body38, KEYPOINTS_MAX)] {
        assert_eq!(format.keypoints(), keypoints);
    }
}
