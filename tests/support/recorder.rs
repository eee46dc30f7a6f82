//! What the recorder's tests share: a camera with depth and access units, and readers that are not ours.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cvmmap::{Abi, Address, Codec, Depth, DepthUnit, Encoded, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher};
use gst::prelude::*;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Depth has another size than the picture, as ZED cameras may have it.
const DEPTH_WIDTH: u32 = 96;
const DEPTH_HEIGHT: u32 = 54;
const GOP: usize = 10;

/// A frame that was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub timestamp_ns: u64,
    /// Checksum of the access unit.
    pub unit: String,
    /// Checksum of the depth in millimetres, 16 bits little-endian; 0 where there is none.
    pub depth: String,
}

/// A camera with a picture, depth in metres and H.264 access units, at 30 frames a second until dropped.
pub struct Camera {
    stop: Arc<AtomicBool>,
    published: Arc<Mutex<Vec<Published>>>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    pub fn start(shm_name: &str, endpoint: &str) -> Self {
        let address = Address::new(shm_name, endpoint, Some("camera")).unwrap();
        let mut publisher = Publisher::create(&address, Abi::V2 { minor: 1 }).unwrap();
        let units = access_units(4 * GOP);
        let (stop, published) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopping, seen) = (Arc::clone(&stop), Arc::clone(&published));
        let thread = thread::spawn(move || {
            for index in 0.. {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let frame = publish(&mut publisher, index, &units[index % units.len()]);
                seen.lock().unwrap().push(frame);
                // The camera's cadence.
                thread::sleep(Duration::from_millis(33));
            }
        });
        Self { stop, published, thread: Some(thread) }
    }

    pub fn published(&self) -> Vec<Published> {
        self.published.lock().unwrap().clone()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn publish(publisher: &mut Publisher, index: usize, (is_keyframe, unit): &(bool, Vec<u8>)) -> Published {
    let left = (0..WIDTH * HEIGHT * 3).map(|byte| (byte as usize + index * 7) as u8).collect::<Vec<_>>();
    let millimetres = (0..DEPTH_WIDTH * DEPTH_HEIGHT).map(|pixel| match (pixel as usize + index) % 11 {
        0 => 0,
        1 => 65535,
        step => (700 + pixel as usize * step % 60_000) as u16,
    });
    let millimetres = millimetres.collect::<Vec<u16>>();
    let metres = |depth: &u16| if *depth == 0 { f32::NAN } else { f32::from(*depth) / 1000.0 };
    let depth = millimetres.iter().flat_map(|depth| metres(depth).to_le_bytes()).collect::<Vec<_>>();
    let timestamp_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let planes = [
        PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Bgr,
            depth: Depth::U8,
            width: WIDTH,
            height: HEIGHT,
            stride: WIDTH * 3,
            data: &left,
        },
        PlaneImage {
            kind: PlaneKind::Depth,
            pixel_format: PixelFormat::Gray,
            depth: Depth::F32,
            width: DEPTH_WIDTH,
            height: DEPTH_HEIGHT,
            stride: DEPTH_WIDTH * 4,
            data: &depth,
        },
        PlaneImage::access_unit(unit),
    ];
    let encoded =
        Some(Encoded { codec: Codec::H264, keyframe: *is_keyframe, frame_rate: (30, 1), stream_pts_ns: timestamp_ns });
    publisher.publish(&Frame { timestamp_ns, planes: &planes, depth_unit: DepthUnit::Meter, encoded }).unwrap();
    let depth = millimetres.iter().flat_map(|depth| depth.to_le_bytes()).collect::<Vec<_>>();
    Published { timestamp_ns, unit: checksum(unit), depth: checksum(&depth) }
}

/// H.264 of a moving ball, and whether each is a keyframe.
fn access_units(count: usize) -> Vec<(bool, Vec<u8>)> {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc pattern=ball num-buffers={count} ! video/x-raw,width={WIDTH},height={HEIGHT},framerate=30/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max={GOP} option-string=scenecut=0 ! \
         h264parse config-interval=-1 ! video/x-h264,stream-format=avc,alignment=au ! \
         h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! \
         appsink name=sink sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let units = std::iter::from_fn(|| sink.pull_sample().ok()).map(|sample| {
        let buffer = sample.buffer().unwrap();
        let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        (is_keyframe, buffer.map_readable().unwrap().to_vec())
    });
    let units = units.collect::<Vec<_>>();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(units.len(), count);
    units
}

pub fn checksum(bytes: &[u8]) -> String {
    gst::glib::compute_checksum_for_data(gst::glib::ChecksumType::Sha256, bytes).unwrap().into()
}

/// What Python's `mcap` and `mcap-protobuf-support`, and a decoder of RVL in Python, read.
pub fn read_mcap(path: &Path) -> serde_json::Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = manifest.join("target/peers/venv/bin/python");
    assert!(python.exists(), "{} is not there: run scripts/setup.sh --tests", python.display());
    let script = manifest.join("tests/support/recorder_read_mcap.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Frames that FFmpeg decodes of a file, and what it complains of.
pub fn decoded_frames(path: &Path) -> (u64, String) {
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let frames = String::from_utf8(output.stdout).unwrap();
    let frames = frames.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (frames, String::from_utf8(output.stderr).unwrap())
}

/// Names in a directory.
pub fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    names
}

/// The one file in a directory whose name ends so.
pub fn only_file(directory: &Path, ending: &str) -> PathBuf {
    let names = names_in(directory).into_iter().filter(|name| name.ends_with(ending)).collect::<Vec<_>>();
    assert_eq!(names.len(), 1, "{names:?}");
    directory.join(&names[0])
}
