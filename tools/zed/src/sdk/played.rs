//! Recordings that a stand-in for the SDK's library plays, in each version: what it is asked for, and what comes of that.

use std::{ffi::OsString, fs, path::PathBuf, sync::OnceLock};

use tempfile::TempDir;

use super::*;
use crate::{
    picture,
    wanted::{Depth, DepthMode, TrackingMode},
};

#[path = "../../../../tests/support/stand_in_zed/mod.rs"]
mod stand_in_zed;

const VERSIONS: [&str; 4] = stand_in_zed::VERSIONS;

fn library(version: &str) -> &'static Library {
    static LOADED: [OnceLock<Library>; 4] = [const { OnceLock::new() }; 4];
    let place = VERSIONS.iter().position(|known| *known == version).unwrap();
    LOADED[place].get_or_init(|| Library::load(&[stand_in_zed::library(version, &[]).into()], None).unwrap())
}

struct Recorded {
    directory: TempDir,
    path: PathBuf,
}

impl Recorded {
    fn new(settings: &str, frames: &[(u64, &'static str)]) -> Self {
        gst::init().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.svo");
        fs::write(&path, b"SVO version 1").unwrap();
        let settings = format!("log {}\n{settings}", directory.path().join("log").display());
        stand_in_zed::script(&path, &settings, frames.iter().copied());
        Self { directory, path }
    }

    fn open(&self, version: &str, wanted: &Wanted) -> Result<Sdk, Failure> {
        Sdk::open(library(version), &self.path, File::open(&self.path).unwrap(), wanted)
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        log.replace(&*self.path.to_string_lossy(), "RECORDING")
    }
}

/// A whole recording's timestamps.
fn frames(number: u64) -> Vec<(u64, &'static str)> {
    (0..number).map(|at| (1_000_000 + 33 * at, "")).collect()
}

fn depth(mode: DepthMode, size: DepthSize) -> Wanted {
    Wanted { depth: Some(Depth { mode, size }), tracking: None }
}

fn tracking(mode: TrackingMode) -> Tracking {
    Tracking {
        initial_position: [1.0, 2.0, 3.0],
        initial_rotation: [0.0, 0.6, 0.0, 0.8],
        area_memory: true,
        pose_smoothing: false,
        floor_as_origin: true,
        static_camera: false,
        imu_fusion: true,
        depth_min_range: 0.25,
        gravity_as_origin: false,
        mode,
        area_file: None,
    }
}

fn pictures(sdk: &mut Sdk, range: RangeInclusive<usize>) -> Vec<Picture> {
    sdk.begin(range).unwrap();
    std::iter::from_fn(|| sdk.next().unwrap()).collect()
}

fn indices(pictures: &[Picture]) -> Vec<usize> {
    pictures.iter().map(|picture| picture.index).collect()
}

#[track_caller]
fn refused(result: Result<Sdk, Failure>, said: &str) {
    let told = result.expect_err("it is refused").to_string();
    assert!(told.contains(said), "{told}");
}

#[test]
fn every_version_is_asked_as_its_header_has_it() {
    let recorded = |version: &str, wanted: &Wanted| {
        let recorded = Recorded::new("", &frames(3));
        let mut sdk = recorded.open(version, wanted).unwrap();
        assert_eq!(indices(&pictures(&mut sdk, 0..=2)), [0, 1, 2]);
        drop(sdk);
        recorded.log()
    };
    for version in VERSIONS {
        let modern = version != "4.2";
        let log = recorded(version, &depth(DepthMode::NeuralPlus, DepthSize::Native));
        let resolution = if modern { 9 } else { 8 };
        let working = if modern { " working=0x0" } else { "" };
        let opened = |calibration, depth, stabilisation| {
            format!(
                " RECORDING input=1 resolution={resolution} self_calibration={calibration} real_time=0 depth={depth} \
                 stabilization={stabilisation} distances=-1,-1 unit=0 coordinates=0 gpu=-1 verbose=0 enhancement=1 timeout=5 \
                 validity=1 others=0{working} texts=\"\"\n"
            )
        };
        // Once for the timestamps, and once for depth.
        assert!(log.contains(&opened(0, 0, 0)), "{log}");
        let (plus, stabilisation) = if modern { (6, 30) } else { (5, 1) };
        assert!(log.contains(&opened(1, plus, stabilisation)), "{log}");
        for (told, times) in [
            ("grab depth=0 reference=1 fill=0 confidence=95,100 saturated=0\n", 1),
            ("grab depth=1 reference=1 fill=0 confidence=95,100 saturated=0\n", 1),
            ("position 0\n", 1),
            ("close ", 2),
            (" closed\n", 2),
            ("still open", 0),
        ] {
            assert_eq!(log.matches(told).count(), times, "{told} in {log}");
        }

        let log = recorded(version, &Wanted { depth: None, tracking: Some(tracking(TrackingMode::Gen2)) });
        assert!(log.contains(&opened(1, 4, stabilisation)), "{log}");
        let told = "track rotation=[0.0, 0.6, 0.0, 0.8] position=[1000.0, 2000.0, 3000.0] area_memory=1 smoothing=0 floor=1 \
                    static=0 imu=1 range=250 gravity=0 mode=1 area=\"\"\n";
        assert!(log.contains(told), "{log}");
    }
}

#[test]
fn depth_and_poses_belong_to_their_pictures() {
    for version in VERSIONS {
        let mut frames = frames(8);
        frames[5].1 = "untracked";
        let recorded = Recorded::new("", &frames);
        let wanted = Wanted {
            tracking: Some(tracking(TrackingMode::Gen1)),
            ..depth(DepthMode::Neural, DepthSize::Pixels { width: 64, height: 32 })
        };
        let mut sdk = recorded.open(version, &wanted).unwrap();
        let facts = sdk.facts();
        assert_eq!((facts.frames(), facts.rectified, facts.serial.as_deref()), (8, Some(true), Some("12345")));
        let intrinsics = facts.intrinsics.unwrap();
        assert_eq!((intrinsics.width, intrinsics.height), (320, 176), "{version}");
        assert_eq!((intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy), (260.5, 261.5, 159.25, 88.75));
        // Twice, as for a second encoder.
        for _ in 0..2 {
            let pictures = pictures(&mut sdk, 2..=6);
            assert_eq!(indices(&pictures), [2, 3, 4, 5, 6], "{version}");
            for picture in &pictures {
                let number = picture.index;
                assert_eq!(picture.timestamp, 1_000_000 + 33 * number as u64);
                let depth = picture.depth.as_ref().unwrap();
                let picture::Depth::Plane(depth) = depth else { panic!("it is computed") };
                let message = depth.message(tools_mcap::depth::DepthCoding::RvlU16, 0, "").unwrap();
                assert_eq!((message.width, message.height), (64, 32));
                assert_eq!(message.source_unit(), DepthUnit::Millimeter);
                let pixels = tools_mcap::rvl::Picture::unpack(&message.data).unwrap().pixels;
                // No measurement in the first.
                assert_eq!((pixels[0], pixels[1], pixels[64]), (0, 1000 * number as u16 + 1, 1000 * number as u16));
                assert_eq!(pixels[64 * 32 - 1], 1000 * number as u16 + 63, "{version}");
                match (number, picture.pose) {
                    (5, pose) => assert_eq!(pose, None),
                    (number, Some(pose)) => {
                        let expected = [1.0 + 0.1 * number as f64, 2.0, 3.0 - 0.001 * number as f64];
                        let near = pose.position.iter().zip(expected).all(|(is, wanted)| (is - wanted).abs() < 1e-6);
                        assert!(near, "{version}: {pose:?}");
                        assert!((pose.orientation[1] - 0.6).abs() < 1e-6 && (pose.orientation[3] - 0.8).abs() < 1e-6);
                    }
                    (_, None) => panic!("picture {number} has no pose"),
                }
            }
            assert_eq!(sdk.losses(), Losses::default());
        }
    }
}

#[test]
fn the_best_size_of_depth_is_the_sdk_s() {
    for (version, size) in [("4.2", (320, 176)), ("5.0", (160, 88)), ("5.1", (160, 88)), ("5.2", (160, 88))] {
        let recorded = Recorded::new("", &frames(2));
        let sdk = recorded.open(version, &depth(DepthMode::Neural, DepthSize::Optimal)).unwrap();
        assert_eq!(sdk.depth_size, Some(size), "{version}");
    }
    let recorded = Recorded::new("", &frames(2));
    let wide = DepthSize::Pixels { width: 321, height: 100 };
    refused(recorded.open("5.1", &depth(DepthMode::Neural, wide)), "give no more");
}

#[test]
fn what_a_version_lacks_is_refused_and_what_it_does_not_need_is_not_asked_for() {
    let recorded = Recorded::new("", &frames(2));
    refused(recorded.open("4.2", &depth(DepthMode::NeuralLight, DepthSize::Native)), "take neural or neural_plus");
    let newest = Wanted { depth: None, tracking: Some(tracking(TrackingMode::Gen3)) };
    for version in ["4.2", "5.0"] {
        refused(recorded.open(version, &newest), "no tracking mode GEN_3");
    }
    assert_eq!(recorded.log(), "");
    for version in ["5.1", "5.2"] {
        let pictures = pictures(&mut recorded.open(version, &newest).unwrap(), 0..=1);
        assert!(pictures.iter().all(|picture| picture.pose.is_some() && picture.depth.is_none()));
    }
    assert!(!recorded.log().contains("depth=4"), "{}", recorded.log());
    let lost = Tracking { area_file: Some("absent.area".into()), ..tracking(TrackingMode::Gen1) };
    let mut sdk = recorded.open("5.1", &Wanted { depth: None, tracking: Some(lost) }).unwrap();
    assert!(sdk.begin(0..=1).unwrap_err().to_string().contains("absent.area is not there"));
}

#[test]
fn what_is_damaged_keeps_its_place() {
    let with = |special: &[(usize, &'static str)]| {
        let mut frames = frames(12);
        for &(at, what) in special {
            frames[at].1 = what;
        }
        frames
    };
    for (special, range, expected, losses) in [
        (
            &[(0, "corrupted"), (4, "corrupted"), (5, "corrupted")][..],
            0..=11,
            vec![1, 2, 3, 6, 7, 8, 9, 10, 11],
            (3, 2),
        ),
        (&[(4, "corrupted"), (8, "corrupted")], 4..=7, vec![5, 6, 7], (1, 1)),
        (&[(11, "corrupted")], 9..=11, vec![9, 10], (1, 1)),
    ] {
        let recorded = Recorded::new("", &with(special));
        let mut sdk = recorded.open("5.1", &Wanted::default()).unwrap();
        assert_eq!(sdk.facts().frames(), 12);
        assert_eq!(indices(&pictures(&mut sdk, range)), expected);
        let told = sdk.losses();
        assert_eq!((told.damaged, told.runs, told.undecoded, told.cut), (losses.0, losses.1, 0, false), "{special:?}");
    }
    // A clock that is set back, and one that stands still.
    let mut back = frames(6);
    back[2].0 = 5;
    back[4].0 = back[3].0;
    let recorded = Recorded::new("", &back);
    let mut sdk = recorded.open("4.2", &Wanted::default()).unwrap();
    assert!(sdk.facts().timestamps.is_sorted());
    assert_eq!(indices(&pictures(&mut sdk, 0..=5)), [0, 1, 3, 5]);
    assert_eq!((sdk.losses().damaged, sdk.losses().runs), (2, 2));
}

#[test]
fn an_end_that_cannot_be_read_is_an_end() {
    for code in ["error=1", "error=11"] {
        let mut frames = frames(9);
        frames[7].1 = code;
        let recorded = Recorded::new("", &frames);
        let mut sdk = recorded.open("5.2", &Wanted::default()).unwrap();
        assert_eq!(sdk.facts().frames(), 7);
        assert_eq!(indices(&pictures(&mut sdk, 0..=6)), [0, 1, 2, 3, 4, 5, 6]);
        assert!(sdk.losses().cut);
    }
    for (code, said) in [("error=1", "ZED_Explorer"), ("error=14", "none of its"), ("error=18", "CUDA failed")] {
        let mut frames = frames(3);
        frames[0].1 = code;
        refused(Recorded::new("", &frames).open("5.2", &Wanted::default()), said);
    }
    // The GPU's trouble is nobody's end.
    let mut frames = frames(3);
    frames[2].1 = "error=3";
    refused(Recorded::new("", &frames).open("5.0", &Wanted::default()), "lighter depth mode");
}

#[test]
fn what_the_sdk_announces_is_only_believed_as_far_as_it_goes() {
    for (settings, shown) in [("frames 30", 5), ("frames 3", 3), ("odd never-ends\nframes 40", 5)] {
        let recorded = Recorded::new(settings, &frames(5));
        let mut sdk = recorded.open("5.0", &Wanted::default()).unwrap();
        let all = 0..=sdk.facts().frames() - 1;
        assert_eq!(pictures(&mut sdk, all).len(), shown, "{settings}");
    }
    let recorded = Recorded::new("odd goes-too-far", &frames(8));
    let mut sdk = recorded.open("5.1", &Wanted::default()).unwrap();
    assert_eq!(indices(&pictures(&mut sdk, 3..=5)), [3, 4, 5]);
}

#[test]
fn an_odd_library_is_refused() {
    for (settings, said) in [
        ("size 0 176", "0 x 176"),
        ("size 320 100000", "320 x 100000"),
        ("size -1 176", "-1 x 176"),
        ("odd fps", "NaN pictures a second"),
        ("frames -1", "-1 pictures"),
        ("frames 0", "never begun"),
        ("frames 2000000000", "2000000000 pictures"),
        ("odd calibration", "a calibration that no camera has"),
        ("odd no-calibration", "no calibration"),
        ("open 9", "settings"),
        ("open 11", "ZED_Explorer"),
        ("open 13", "ZED_SVOEditor"),
        ("open 29", "NVIDIA GPU"),
        ("open 77", "error 77"),
        ("open -4", "error -4"),
    ] {
        refused(Recorded::new(settings, &frames(3)).open("5.1", &Wanted::default()), said);
    }
    for settings in ["odd step", "odd no-pixels"] {
        let recorded = Recorded::new(settings, &frames(3));
        let mut sdk = recorded.open("4.2", &Wanted::default()).unwrap();
        sdk.begin(0..=2).unwrap();
        assert!(sdk.next().unwrap_err().to_string().contains("bytes a row"), "{settings}");
    }
}

#[test]
fn a_library_that_is_none_or_not_whole_is_refused() {
    let load = |place: OsString| Library::load(&[place], None).unwrap_err();
    assert!(load("/nowhere/libsl_zed_c.so".into()).contains("ZED_C_LIB"));
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("libsl_zed_c.so");
    fs::write(&text, "no library").unwrap();
    assert!(load(text.into()).contains("cannot be loaded"));
    let part = stand_in_zed::library("5.1", &["lacks_position_data"]);
    assert!(load(part.into()).contains("lacks sl_get_position_data"));
    // Told to be of another version, it is asked for what that one has.
    let older = stand_in_zed::library("5.1", &[]);
    let told = Library::load(&[older.into()], Some(super::version::Abi::V5_2)).unwrap_err();
    assert!(told.contains("lacks sl_open_camera_from_svo_file"), "{told}");
}
