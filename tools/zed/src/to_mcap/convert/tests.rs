//! Depth, poses and intrinsics, which only recordings that the ZED SDK reads have: of scripted ones.

use std::{
    collections::BTreeMap,
    fs,
    ops::{Range, RangeInclusive},
    path::Path,
};

use cvmmap::Codec;
use gst_video::{VideoFormat, VideoInfo};
use prost::Message as _;
use tools_mcap::{
    depth::DepthPlane,
    rvl,
    schema::{
        cvmmap_streamer::{
            DepthMap,
            depth_map::{DepthUnit, Encoding as DepthEncoding},
        },
        foxglove::{CameraCalibration, PoseInFrame},
        nanoseconds,
    },
};
use tools_media::{
    annex_b,
    encoders::{Device, stored::Preset},
};

use super::*;
use crate::{
    camera::{Intrinsics, Pose},
    picture,
    source::{Clock, Facts, Losses},
    to_mcap::{plan::Part, policy::CopyRange},
    wanted::{Depth, DepthMode, DepthSize, Tracking},
};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
const DEPTH: (u32, u32) = (32, 16);
const BEGIN: u64 = 1_770_729_772_000_000_123;
const INTERVAL: u64 = 33_333_333;

/// A camera whose every picture is known.
struct Scripted {
    facts: Facts,
    damaged: Range<usize>,
    /// Size of the depth, when there is any.
    depth: Option<(u32, u32)>,
    /// Tracked from this picture on.
    tracked_from: usize,
    range: RangeInclusive<usize>,
    next: usize,
}

impl Scripted {
    fn new(begin: u64, frames: u64) -> Self {
        let intrinsics =
            Intrinsics { width: WIDTH, height: HEIGHT, fx: 50.0, fy: 51.0, cx: 31.5, cy: 23.5, distortion: [0.0; 5] };
        let facts = Facts {
            provider: "scripted",
            compression: "none",
            serial: Some("7".to_owned()),
            rectified: Some(true),
            intrinsics: Some(intrinsics),
            clock: Clock::Unix,
            timestamps: (0..frames).map(|number| begin + number * INTERVAL).collect(),
        };
        Self { facts, damaged: 0..0, depth: Some(DEPTH), tracked_from: 3, range: 0..=0, next: 0 }
    }
}

impl Recording for Scripted {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn begin(&mut self, range: RangeInclusive<usize>) -> Result<(), Failure> {
        self.next = *range.start();
        self.range = range;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Picture>, Failure> {
        while self.damaged.contains(&self.next) {
            self.next += 1;
        }
        let index = self.next;
        if !self.range.contains(&index) {
            return Ok(None);
        }
        self.next += 1;
        let info = VideoInfo::builder(VideoFormat::I420, WIDTH, HEIGHT).build().unwrap();
        let depth = self.depth.map(|(width, height)| {
            let metres =
                (0..width * height).flat_map(|pixel| (0.5 + (pixel + index as u32) as f32 / 1000.0).to_le_bytes());
            let buffer = gst::Buffer::from_mut_slice(metres.collect::<Vec<_>>());
            picture::Depth::Plane(DepthPlane::new(buffer, width, height, DepthUnit::Meter).unwrap())
        });
        let pose = Pose { position: [index as f64, 2.0, 3.0], orientation: [0.0, 0.0, 0.0, 1.0] };
        Ok(Some(Picture {
            index,
            timestamp: self.facts.timestamps[index],
            buffer: gst::Buffer::from_mut_slice(vec![(index * 9) as u8; info.size()]),
            info,
            concealed: false,
            depth,
            pose: (index >= self.tracked_from).then_some(pose),
        }))
    }

    fn losses(&self) -> Losses {
        Losses { damaged: self.damaged.clone().count(), ..Losses::default() }
    }
}

/// What is asked for.
struct Ask {
    policy: Policy,
    codec: Codec,
    wanted: Wanted,
    waiting_max: usize,
}

fn everything() -> Wanted {
    let depth = Depth { mode: DepthMode::default(), size: DepthSize::default() };
    Wanted { depth: Some(depth), tracking: Some(crate::to_mcap::pose_config::usual()) }
}

fn make(path: &Path, scripted: Vec<Scripted>, ask: &Ask) -> Result<Summary, Failure> {
    gst::init().unwrap();
    let one = scripted.len() == 1;
    let inputs: Vec<_> =
        (1..=scripted.len()).map(|number| Input { path: "a.svo2".into(), label: format!("zed{number}") }).collect();
    let mut recordings: Vec<Box<dyn Recording>> =
        scripted.into_iter().map(|recording| -> Box<dyn Recording> { Box::new(recording) }).collect();
    let facts: Vec<_> = recordings.iter().map(|recording| recording.facts()).collect();
    let labels: Vec<_> = inputs.iter().map(|input| input.label.as_str()).collect();
    let plan = if one {
        Plan::one(facts[0], Part::default())
    } else {
        Plan::several(&facts, &labels, ask.policy, 1_000_000, CopyRange::Full, Part::default())
    };
    let job = Job {
        plan: &plan?,
        inputs: &inputs,
        policy: ask.policy,
        wanted: &ask.wanted,
        encoding: &Encoding { codec: ask.codec, encoder_device: Device::Software, preset: Preset::Fast, quality: 30 },
        compression: Compression::Zstd,
        target: &Target::new(path, false, &[])?,
        waiting_max: ask.waiting_max,
    };
    job.encoding.attempt("test", |choice| convert(&job, &mut recordings, choice))
}

/// A log time, and a message.
type Logged = (u64, Vec<u8>);

/// The messages of each topic, and the log times of all in the order of the file.
fn messages(path: &Path) -> (BTreeMap<String, Vec<Logged>>, Vec<u64>) {
    let bytes = fs::read(path).unwrap();
    let mut topics: BTreeMap<String, Vec<Logged>> = BTreeMap::new();
    let mut order = Vec::new();
    for message in mcap::MessageStream::new(&bytes).unwrap() {
        let message = message.unwrap();
        order.push(message.log_time);
        topics.entry(message.channel.topic.clone()).or_default().push((message.log_time, message.data.into_owned()));
    }
    (topics, order)
}

#[test]
fn depth_poses_and_intrinsics_are_beside_the_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.mcap");
    for (depth, codec) in [(DEPTH, Codec::H264), ((WIDTH, HEIGHT), Codec::H265)] {
        let ask = Ask { policy: Policy::Copy, codec, wanted: everything(), waiting_max: WAITING_MAX };
        let scripted = Scripted { depth: Some(depth), damaged: 5..7, ..Scripted::new(BEGIN, 40) };
        let summary = make(&path, vec![scripted], &ask).unwrap();
        let camera = &summary.cameras[0];
        assert_eq!((camera.written, camera.depth, camera.poses, camera.losses.damaged), (38, 38, 35, 2));

        let (topics, order) = messages(&path);
        assert!(order.is_sorted());
        let times: Vec<_> =
            (0..40).filter(|number| ![5, 6].contains(number)).map(|number| BEGIN + number * INTERVAL).collect();
        let times_of = |topic: &str| topics[topic].iter().map(|(time, _)| *time).collect::<Vec<_>>();
        assert_eq!((times_of("/zed1/video"), times_of("/zed1/depth")), (times.clone(), times.clone()));
        assert_eq!(times_of("/zed1/pose"), times[3..]);
        // A second, before the first keyframe.
        let mut since = 30;
        for (time, unit) in &topics["/zed1/video"] {
            let unit = CompressedVideo::decode(&**unit).unwrap();
            assert_eq!(nanoseconds(&unit.timestamp.unwrap()), Some(*time));
            assert_eq!(unit.frame_id, "zed1");
            assert_eq!(unit.format, if codec == Codec::H264 { "h264" } else { "h265" });
            since = if annex_b::is_keyframe(codec, &unit.data) { 0 } else { since + 1 };
            assert!(since < 30, "decoding cannot begin anywhere up to {time}");
        }
        for (number, (_, depth_map)) in topics["/zed1/depth"].iter().enumerate() {
            let map = DepthMap::decode(&**depth_map).unwrap();
            assert_eq!((map.width, map.height), depth);
            assert_eq!(map.encoding(), DepthEncoding::RvlU16Lossless);
            let number = if number < 5 { number } else { number + 2 } as u16;
            assert_eq!(
                rvl::Picture::unpack(&map.data).unwrap().pixels[..3],
                [500, 501, 502].map(|depth| depth + number)
            );
        }
        let pose = PoseInFrame::decode(&*topics["/zed1/pose"][0].1).unwrap();
        assert_eq!((pose.frame_id.as_str(), pose.pose.unwrap().position.unwrap().x), ("world", 3.0));
        let calibration = |topic: &str| -> Vec<_> {
            let messages = topics.get(topic).into_iter().flatten();
            messages.map(|(time, data)| (*time, CameraCalibration::decode(&**data).unwrap())).collect()
        };
        let [(time, of_pictures)] = &calibration("/zed1/calibration")[..] else { panic!("not once") };
        assert_eq!((*time, of_pictures.width, of_pictures.k[0], of_pictures.k[4]), (BEGIN, WIDTH, 50.0, 51.0));
        match &calibration("/zed1/depth_calibration")[..] {
            [] => assert_eq!(depth, (WIDTH, HEIGHT)),
            [(time, of_depth)] => {
                assert_eq!((*time, of_depth.width, of_depth.height), (BEGIN, DEPTH.0, DEPTH.1));
                assert_eq!((of_depth.p[0], of_depth.p[5], of_depth.d.len()), (25.0, 17.0, 5));
            }
            _ => panic!("not once"),
        }
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn depth_that_does_not_come_is_refused_and_never_written_empty() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |wanted| Ask { policy: Policy::Copy, codec: Codec::H264, wanted, waiting_max: WAITING_MAX };
    let without = || Scripted { depth: None, ..Scripted::new(BEGIN, 5) };
    let path = directory.path().join("a.mcap");
    let refused = make(&path, vec![without()], &ask(everything()));
    assert!(matches!(refused, Err(Failure::Configuration(why)) if why.contains("take --no-depth")));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // Neither depth nor poses that nobody asked for.
    make(&path, vec![Scripted::new(BEGIN, 5)], &ask(Wanted::default())).unwrap();
    let (topics, _) = messages(&path);
    assert_eq!(topics.keys().collect::<Vec<_>>(), ["/zed1/calibration", "/zed1/video"]);
}

#[test]
fn a_camera_that_gives_nothing_for_long_does_not_hold_the_others_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for waiting_max in [WAITING_MAX, 1000] {
        let path = directory.path().join(format!("{waiting_max}.mcap"));
        let ask = Ask { policy: Policy::Nearest, codec: Codec::H264, wanted: everything(), waiting_max };
        let gap = Scripted { damaged: 20..50, ..Scripted::new(BEGIN + 1000, 70) };
        let summary = make(&path, vec![Scripted::new(BEGIN, 70), gap], &ask).unwrap();
        assert_eq!((summary.bundles, summary.partial), (70, 30));
        let (topics, order) = messages(&path);
        // The second camera is a microsecond behind.
        assert!(order.is_sorted_by(|one, next| one <= next || one - next <= 1000));
        assert_eq!((topics["/zed1/video"].len(), topics["/zed2/video"].len()), (70, 40));
        assert_eq!((topics["/zed1/depth"].len(), topics["/zed2/depth"].len()), (70, 40));
        let unit = CompressedVideo::decode(&*topics["/zed2/video"][20].1).unwrap();
        sizes.push(annex_b::is_keyframe(Codec::H264, &unit.data));
    }
    // Where it had to give what it had, the picture behind begins anew.
    assert_eq!(sizes, [false, true]);
}

#[test]
fn a_strict_bundle_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.mcap");
    let wanted = Wanted { tracking: None::<Tracking>, ..everything() };
    let ask = Ask { policy: Policy::Strict, codec: Codec::H264, wanted, waiting_max: WAITING_MAX };
    let damaged = Scripted { damaged: 4..7, ..Scripted::new(BEGIN + 1000, 20) };
    let summary = make(&path, vec![Scripted::new(BEGIN, 20), damaged], &ask).unwrap();
    assert_eq!((summary.bundles, summary.partial, summary.dropped), (17, 0, 3));
    assert_eq!((summary.cameras[0].skipped, summary.cameras[0].written), (3, 17));
    let (topics, _) = messages(&path);
    let manifests: Vec<_> =
        topics["/bundle"].iter().map(|(_, data)| BundleManifest::decode(&**data).unwrap()).collect();
    let indices: Vec<_> = manifests.iter().map(|manifest| manifest.index).collect();
    assert_eq!(indices, (0..4).chain(7..20).collect::<Vec<_>>());
    // What was lost is told with the next bundle.
    let lost: Vec<_> = manifests.iter().map(|manifest| manifest.members[1].skipped_frames).collect();
    assert_eq!((lost[4], lost.iter().sum::<u32>()), (3, 3));
    assert!(manifests.iter().all(|manifest| manifest.policy() == bundle_manifest::Policy::Strict));
}
