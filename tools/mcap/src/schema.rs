//! The protobuf messages of a recording, and their descriptors for readers that know none of them.
//!
//! What is under `generated/` is made from `proto/`; a test compares the two, and with `UPDATE_GENERATED=1` writes it anew.

/// Messages of Foxglove's schemas.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod foxglove {
    include!("generated/foxglove.rs");
}

/// Messages of cv-mmap's own schemas.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod cvmmap_streamer {
    include!("generated/cvmmap_streamer.rs");
}

/// A message type as MCAP names and describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Full name of the message type.
    pub name: &'static str,
    /// Serialised `FileDescriptorSet` with everything that the type needs.
    pub descriptors: &'static [u8],
}

/// Schema encoding of [`Schema::descriptors`], and message encoding of what it describes. Source: MCAP specification,
/// well-known encodings.
pub const PROTOBUF: &str = "protobuf";

/// An access unit.
pub const COMPRESSED_VIDEO: Schema = Schema {
    name: "foxglove.CompressedVideo",
    descriptors: include_bytes!("generated/foxglove.CompressedVideo.descriptors"),
};
/// The intrinsics of a camera.
pub const CAMERA_CALIBRATION: Schema = Schema {
    name: "foxglove.CameraCalibration",
    descriptors: include_bytes!("generated/foxglove.CameraCalibration.descriptors"),
};
/// Where a camera is.
pub const POSE_IN_FRAME: Schema =
    Schema { name: "foxglove.PoseInFrame", descriptors: include_bytes!("generated/foxglove.PoseInFrame.descriptors") };
/// What a 3D panel draws.
pub const SCENE_UPDATE: Schema =
    Schema { name: "foxglove.SceneUpdate", descriptors: include_bytes!("generated/foxglove.SceneUpdate.descriptors") };
/// A depth picture.
pub const DEPTH_MAP: Schema = Schema {
    name: "cvmmap_streamer.DepthMap",
    descriptors: include_bytes!("generated/cvmmap_streamer.DepthMap.descriptors"),
};
/// Which cameras' messages belong together.
pub const BUNDLE_MANIFEST: Schema = Schema {
    name: "cvmmap_streamer.BundleManifest",
    descriptors: include_bytes!("generated/cvmmap_streamer.BundleManifest.descriptors"),
};

/// A moment as protobuf has it, from nanoseconds since the epoch.
pub fn timestamp(nanoseconds: u64) -> prost_types::Timestamp {
    // Neither cast can wrap: the quotient is below 2^35, the rest below 2^30.
    prost_types::Timestamp {
        seconds: (nanoseconds / 1_000_000_000) as i64,
        nanos: (nanoseconds % 1_000_000_000) as i32,
    }
}

/// The inverse of [`timestamp`]; `None` for what is before the epoch or beyond 64 bits.
pub fn nanoseconds(timestamp: &prost_types::Timestamp) -> Option<u64> {
    let nanos = u64::try_from(timestamp.nanos).ok()?;
    u64::try_from(timestamp.seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// A message's own time, or the log's where it tells none.
pub fn own_time(timestamp: Option<&prost_types::Timestamp>, log_time: u64) -> u64 {
    timestamp.and_then(nanoseconds).filter(|time| *time != 0).unwrap_or(log_time)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Compares a generated file with what it should be, or writes it.
    fn check(name: &str, expected: &[u8]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated").join(name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(path, expected).unwrap();
        } else {
            assert!(fs::read(path).unwrap() == expected, "{name} is stale: run this test with UPDATE_GENERATED=1");
        }
    }

    #[test]
    fn generated_code_and_descriptors_are_those_of_the_proto_files() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let mut all = prost_types::FileDescriptorSet::default();
        for schema in [COMPRESSED_VIDEO, CAMERA_CALIBRATION, POSE_IN_FRAME, SCENE_UPDATE, DEPTH_MAP, BUNDLE_MANIFEST] {
            let mut compiler = protox::Compiler::new([&sources]).unwrap();
            compiler.include_imports(true).include_source_info(false);
            compiler.open_file(sources.join(format!("{}.proto", schema.name.replace('.', "/")))).unwrap();
            check(&format!("{}.descriptors", schema.name), &compiler.encode_file_descriptor_set());
            for file in compiler.file_descriptor_set().file {
                if !all.file.contains(&file) {
                    all.file.push(file);
                }
            }
        }
        let directory = tempfile::tempdir().unwrap();
        prost_build::Config::new().out_dir(directory.path()).compile_fds(all).unwrap();
        for name in ["foxglove.rs", "cvmmap_streamer.rs"] {
            check(name, &fs::read(directory.path().join(name)).unwrap());
        }
    }

    #[test]
    fn moments_survive() {
        for moment in [0, 1, 1_790_000_000_123_456_789, u64::MAX] {
            assert_eq!(nanoseconds(&timestamp(moment)), Some(moment));
        }
        assert_eq!(nanoseconds(&prost_types::Timestamp { seconds: -1, nanos: 0 }), None);
        assert_eq!(nanoseconds(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
    }
}
