//! Every fixture of the contract: what is valid parses to the documented values, what is not is refused.

use std::{fs, path::Path};

use cvmmap::{
    Abi, Depth, DepthUnit, METADATA_SIZE, Metadata, MetadataBytes, MetadataError, PixelFormat, Plane, PlaneKind, Target,
};

fn hex(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let text = fs::read_to_string(path).unwrap();
    let digits = text.trim();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn fixture(name: &str) -> (MetadataBytes, Vec<u8>) {
    let metadata = hex(&format!("{name}_metadata.hex"));
    (metadata.try_into().unwrap(), hex(&format!("{name}_payload.hex")))
}

fn parsed(name: &str) -> (Metadata, Vec<u8>) {
    let (bytes, payload) = fixture(name);
    let metadata = Metadata::parse(&bytes, payload.len() as u64).unwrap();
    assert_eq!(metadata.to_bytes(), bytes, "{name} is not written as it was read");
    (metadata, payload)
}

fn plane(metadata: &Metadata, kind: PlaneKind) -> Plane {
    *metadata.plane(kind).unwrap()
}

#[test]
fn v1_valid() {
    let (metadata, payload) = parsed("v1_valid");
    assert_eq!(metadata.abi, Abi::V1);
    assert_eq!((metadata.frame_id, metadata.timestamp_ns), (77, 1_234_567_890));
    assert_eq!(metadata.payload_size as usize, payload.len());
    assert_eq!(
        plane(&metadata, PlaneKind::Left),
        Plane {
            pixel_format: PixelFormat::Rgb,
            depth: Depth::U8,
            width: 4,
            height: 2,
            stride: 12,
            offset: 0,
            size: 24
        }
    );
}

#[test]
fn v2_left_only() {
    let (metadata, _) = parsed("v2_left_only_valid");
    assert_eq!(metadata.abi, Abi::V2 { minor: 0 });
    assert_eq!((metadata.frame_id, metadata.timestamp_ns, metadata.publish_seq), (9001, 123, 456));
    assert_eq!(plane(&metadata, PlaneKind::Left).size, 12);
    assert!(metadata.planes[1..].iter().all(Option::is_none));
}

#[test]
fn v2_left_and_depth() {
    let (metadata, payload) = parsed("v2_left_depth_valid");
    let left = plane(&metadata, PlaneKind::Left);
    assert_eq!((left.stride, left.row_bytes(), left.size), (8, 6, 16));
    let depth = plane(&metadata, PlaneKind::Depth);
    assert_eq!((depth.pixel_format, depth.depth), (PixelFormat::Gray, Depth::F32));
    assert_eq!((depth.stride, depth.offset, depth.size), (12, 16, 24));
    let at = depth.offset as usize;
    assert_eq!(f32::from_le_bytes(payload[at..at + 4].try_into().unwrap()), 1.5);
}

#[test]
fn v2_left_depth_and_confidence() {
    let (metadata, payload) = parsed("v2_left_depth_confidence_valid");
    assert_eq!(metadata.depth_unit, DepthUnit::Unknown);
    let confidence = plane(&metadata, PlaneKind::Confidence);
    assert_eq!((confidence.offset, confidence.size), (28, 4));
    assert_eq!(metadata.payload_size as usize, payload.len());
}

#[test]
fn v2_malformed_descriptor_is_refused_by_name() {
    let (bytes, payload) = fixture("v2_malformed_descriptor");
    let error = Metadata::parse(&bytes, payload.len() as u64).unwrap_err();
    assert!(matches!(error, MetadataError::Plane { slot: 0, field: "size_bytes", value: 20, .. }), "{error}");
}

#[test]
fn a_payload_larger_than_the_segment_is_refused() {
    for name in ["v1_valid", "v2_left_depth_valid"] {
        let (bytes, payload) = fixture(name);
        let error = Metadata::parse(&bytes, payload.len() as u64 - 1).unwrap_err();
        assert!(matches!(error, MetadataError::Payload { .. }), "{name}: {error}");
    }
}

/// Whatever one byte of the region is changed to: an error, or planes that lie inside the payload.
#[test]
fn no_single_byte_gets_past_the_bounds() {
    for name in ["v1_valid", "v2_left_only_valid", "v2_left_depth_valid", "v2_left_depth_confidence_valid"] {
        let (bytes, payload) = fixture(name);
        for at in 0..METADATA_SIZE {
            for value in 0..=u8::MAX {
                let mut changed = bytes;
                changed[at] = value;
                let Ok(metadata) = Metadata::parse(&changed, payload.len() as u64) else {
                    continue;
                };
                for plane in metadata.planes.iter().flatten() {
                    let end = u64::from(plane.offset) + u64::from(plane.stride) * u64::from(plane.height);
                    assert!(end <= payload.len() as u64, "{name}: byte {at} = {value}");
                    assert!(plane.row_bytes() <= plane.stride, "{name}: byte {at} = {value}");
                }
            }
        }
    }
}

#[test]
fn target_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/uri_targets.json");
    let cases: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let target: Target = case["input"].as_str().unwrap().parse().unwrap();
        let found = serde_json::json!({
            "input": case["input"],
            "instance": target.instance(),
            "namespace": target.namespace(),
            "prefix": target.prefix(),
            "base_name": target.base_name(),
            "nats_target_key": target.nats_target_key(),
            "shm_name": target.shm_name(),
            "zmq_addr": target.zmq_endpoint(),
        });
        assert_eq!(&found, case);
    }
    for case in cases["invalid_cases"].as_array().unwrap() {
        let error = case["input"].as_str().unwrap().parse::<Target>().unwrap_err().to_string();
        assert!(error.contains(case["error_contains"].as_str().unwrap()), "{error}");
    }
}
