//! Recordings of known pictures and depth, in every layout.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{collections::BTreeMap, fs::File, path::Path, process::Command};

use gst::prelude::*;
use tools_mcap::{
    rvl::{Picture, Quantisation},
    schema::{
        BUNDLE_MANIFEST, CAMERA_CALIBRATION, COMPRESSED_VIDEO, DEPTH_MAP, POSE_IN_FRAME, PROTOBUF, Schema,
        cvmmap_streamer::{
            BundleManifest, DepthMap,
            bundle_manifest::{Member, Policy, member::Status},
            depth_map::{DepthUnit, Encoding, StorageUnit},
        },
        foxglove::{CameraCalibration, CompressedVideo, Pose, PoseInFrame, Quaternion, Vector3},
        timestamp,
    },
};
use tools_media::x265;

pub const WIDTH: usize = 96;
pub const HEIGHT: usize = 64;
/// Half as wide and a quarter as high.
pub const DEPTH: (usize, usize) = (48, 16);
/// Pictures of a camera.
pub const FRAMES: usize = 12;
/// Frames from one keyframe to the next.
pub const GOP: usize = 5;
/// 2026-02-10 13:22:52 UTC.
pub const UNIX: u64 = 1_770_729_772_000_000_000;
/// Bundles in which the second camera has a gap.
pub const GAP: std::ops::RangeInclusive<usize> = 4..=5;

/// The one colour of a picture.
pub fn colour(camera: usize, number: usize) -> [u8; 3] {
    [40 + 15 * number as u8, 220 - 15 * number as u8, 40 + 70 * camera as u8]
}

/// Depth in millimetres: near on the left, far on the right, and none in the first pixel.
pub fn depth(camera: usize, number: usize, (width, height): (usize, usize)) -> Vec<u16> {
    let near = (1000 + 100 * camera + 10 * number) as u16;
    let mut pixels =
        (0..width * height).map(|at| if at % width < width / 2 { near } else { near + 2000 }).collect::<Vec<_>>();
    pixels[0] = 0;
    pixels
}

pub fn time(camera: usize, number: usize) -> u64 {
    UNIX + number as u64 * 33_333_333 + camera as u64 * 1_000_000
}

/// Access units of pictures with these numbers. The first camera is H.264, the others are H.265.
pub fn units(camera: usize, numbers: &[usize]) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let (encoder, codec) = if camera == 0 {
        (format!("x264enc tune=zerolatency key-int-max={GOP} option-string=scenecut=0"), "h264")
    } else {
        let options = "scenecut=0:repeat-headers=1:open-gop=0:info=0:log-level=none";
        (format!("x265enc name=x265 tune=zerolatency key-int-max={GOP} option-string={options}"), "h265")
    };
    let pipeline = format!(
        "appsrc name=in format=time caps=video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=30/1 ! videoconvert \
         ! video/x-raw,format=I420 ! {encoder} ! {codec}parse config-interval=-1 ! \
         video/x-{codec},stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    source.set_max_bytes(0);
    if let Some(encoder) = pipeline.by_name("x265") {
        x265::keep_last_headers(&encoder);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    for (at, number) in numbers.iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(colour(camera, *number).repeat(WIDTH * HEIGHT));
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(33 * at as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let samples = std::iter::from_fn(|| sink.pull_sample().ok());
    let units = samples.map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec()).collect::<Vec<_>>();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(units.len(), numbers.len());
    units
}

/// A message to be written.
#[derive(Clone, Debug)]
pub struct Message {
    pub topic: String,
    pub schema: Option<Schema>,
    pub encoding: String,
    pub time: u64,
    pub data: Vec<u8>,
}

impl Message {
    pub fn new(topic: impl Into<String>, schema: Schema, time: u64, message: &impl prost::Message) -> Self {
        let (topic, data) = (topic.into(), message.encode_to_vec());
        Self { topic, schema: Some(schema), encoding: PROTOBUF.to_owned(), time, data }
    }

    /// Changes what it holds.
    pub fn change<M: prost::Message + Default>(&mut self, change: impl FnOnce(&mut M)) {
        let mut message = M::decode(&*self.data).unwrap();
        change(&mut message);
        self.data = message.encode_to_vec();
    }
}

/// Messages of a recording, in their order.
#[derive(Clone, Debug)]
pub struct Recording(pub Vec<Message>);

impl Recording {
    /// Two cameras in bundles; the second one has a gap.
    pub fn bundled() -> Self {
        let numbers = [(0..FRAMES).collect::<Vec<_>>(), (0..FRAMES).filter(|number| !GAP.contains(number)).collect()];
        let mut units = [0, 1].map(|camera| units(camera, &numbers[camera]).into_iter());
        let mut messages = Vec::new();
        for number in 0..FRAMES {
            let members = numbers.iter().enumerate().map(|(camera, numbers)| {
                let is_present = numbers.contains(&number);
                Member {
                    label: label(camera),
                    timestamp: is_present.then(|| timestamp(time(camera, number))),
                    status: if is_present { Status::Present } else { Status::CorruptedGap }.into(),
                    skipped_frames: u32::from(!is_present) * 7,
                }
            });
            let bundle = BundleManifest {
                timestamp: Some(timestamp(time(0, number))),
                index: 10 + number as u64,
                policy: Policy::Nearest.into(),
                members: members.collect(),
            };
            messages.push(Message::new("/bundle", BUNDLE_MANIFEST, time(0, number), &bundle));
            for camera in 0..2 {
                if numbers[camera].contains(&number) {
                    let unit = units[camera].next().unwrap();
                    messages.extend(frame(&label(camera), camera, number, unit, DEPTH, number == 0));
                }
            }
            messages.push(pose(number));
        }
        Self(messages)
    }

    /// Two cameras, each for itself; the second one begins later.
    pub fn copy() -> Self {
        let mut messages = Vec::new();
        for (camera, first) in [(0, 0), (1, 3)] {
            let numbers = (first..FRAMES).collect::<Vec<_>>();
            for (number, unit) in numbers.iter().zip(units(camera, &numbers)) {
                messages.extend(frame(&label(camera), camera, *number, unit, DEPTH, *number == first));
            }
        }
        messages.extend((0..FRAMES).map(pose));
        messages.sort_by_key(|message| message.time);
        Self(messages)
    }

    /// One camera as it is recorded live, with depth of the picture's size.
    pub fn legacy() -> Self {
        let numbers = (0..FRAMES).collect::<Vec<_>>();
        let units = numbers.iter().zip(units(0, &numbers));
        Self(units.flat_map(|(number, unit)| frame("camera", 0, *number, unit, (WIDTH, HEIGHT), false)).collect())
    }

    /// The messages of a topic.
    pub fn of<'a>(&'a mut self, topic: &'a str) -> impl Iterator<Item = &'a mut Message> {
        self.0.iter_mut().filter(move |message| message.topic == topic)
    }

    /// Writes the file, in chunks of a few messages.
    pub fn write(&self, path: &Path) {
        self.writer(path).finish().unwrap();
    }

    /// Writes what a killed program leaves.
    pub fn write_unfinished(&self, path: &Path) {
        let mut writer = self.writer(path);
        writer.flush().unwrap();
        drop(writer.into_inner());
    }

    fn writer(&self, path: &Path) -> mcap::Writer<File> {
        let options = mcap::WriteOptions::new().chunk_size(Some(1 << 10)).disable_seeking(true);
        let mut writer = options.create(File::create(path).unwrap()).unwrap();
        let mut channels = BTreeMap::new();
        for message in &self.0 {
            let (id, sequence) =
                channels.entry((&message.topic, message.schema.map(|it| it.name))).or_insert_with(|| {
                    let schema = message
                        .schema
                        .map_or(0, |schema| writer.add_schema(schema.name, PROTOBUF, schema.descriptors).unwrap());
                    (writer.add_channel(schema, &message.topic, &message.encoding, &BTreeMap::new()).unwrap(), 0)
                });
            let (log_time, publish_time) = (message.time, message.time);
            let header = mcap::records::MessageHeader { channel_id: *id, sequence: *sequence, log_time, publish_time };
            *sequence += 1;
            writer.write_to_known_channel(&header, &message.data).unwrap();
        }
        writer
    }
}

fn label(camera: usize) -> String {
    format!("zed{}", camera + 1)
}

fn frame(
    label: &str,
    camera: usize,
    number: usize,
    data: Vec<u8>,
    (width, height): (usize, usize),
    is_calibrated: bool,
) -> Vec<Message> {
    let at = time(camera, number);
    let format = if camera == 0 { "h264" } else { "h265" }.to_owned();
    let picture = Picture {
        width: width as u32,
        height: height as u32,
        quantisation: Quantisation::default(),
        pixels: depth(camera, number, (width, height)),
    };
    let frame_id = label.to_owned();
    let video = CompressedVideo { timestamp: Some(timestamp(at)), frame_id: frame_id.clone(), data, format };
    let depth = DepthMap {
        timestamp: Some(timestamp(at)),
        frame_id,
        width: width as u32,
        height: height as u32,
        source_unit: DepthUnit::Meter.into(),
        storage_unit: StorageUnit::Millimeter.into(),
        encoding: Encoding::RvlU16Lossless.into(),
        data: picture.pack(),
    };
    let mut messages = vec![
        Message::new(format!("/{label}/depth"), DEPTH_MAP, at, &depth),
        Message::new(format!("/{label}/video"), COMPRESSED_VIDEO, at, &video),
    ];
    if is_calibrated {
        let of_rgb = calibration(at, (WIDTH, HEIGHT), [100.0, 100.0, 48.0, 32.0]);
        let of_depth = calibration(at, (width, height), [50.0, 25.0, 24.0, 8.0]);
        messages.push(Message::new(format!("/{label}/calibration"), CAMERA_CALIBRATION, at, &of_rgb));
        messages.push(Message::new(format!("/{label}/depth_calibration"), CAMERA_CALIBRATION, at, &of_depth));
    }
    messages
}

fn calibration(at: u64, (width, height): (usize, usize), [fx, fy, cx, cy]: [f64; 4]) -> CameraCalibration {
    CameraCalibration {
        timestamp: Some(timestamp(at)),
        width: width as u32,
        height: height as u32,
        distortion_model: "plumb_bob".to_owned(),
        d: vec![0.0; 5],
        k: vec![fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: vec![fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        frame_id: String::new(),
    }
}

/// Of the first camera.
fn pose(number: usize) -> Message {
    let at = time(0, number);
    let position = Vector3 { x: number as f64, y: 0.5, z: -1.0 };
    let orientation = Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 };
    let pose = Pose { position: Some(position), orientation: Some(orientation) };
    let pose = PoseInFrame { timestamp: Some(timestamp(at)), frame_id: "world".to_owned(), pose: Some(pose) };
    Message::new("/zed1/pose", POSE_IN_FRAME, at, &pose)
}

/// Pixels of a picture file, as ffmpeg reads it, in one of its pixel formats.
pub fn pixels(path: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-pix_fmt", format, "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is there: scripts/setup.sh --tests installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Whether a colour survived encoding.
pub fn is_like(found: &[u8], wanted: [u8; 3]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) <= 6)
}
