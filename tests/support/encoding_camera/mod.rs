//! A camera that may encode: frames at its wire, with everything about them to choose.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cvmmap::{Abi, Codec, Depth, DepthUnit, Encoded, METADATA_SIZE, Metadata, PLANES, PixelFormat, Plane, SyncMessage};
use gst::prelude::*;
use tools_media::x265;

use crate::streamer_support::Names;

/// An encoded picture.
#[derive(Clone)]
pub struct Unit {
    pub data: Vec<u8>,
    pub keyframe: bool,
}

/// Access units of `codec`, each keyframe with its parameter sets.
pub fn encode(codec: Codec, (width, height): (u32, u32), frames: u32, gop: u32) -> Vec<Unit> {
    gst::init().unwrap();
    let (encoder, parser, media) = match codec {
        Codec::H264 => ("x264enc aud=false", "h264parse", "video/x-h264"),
        Codec::H265 => ("x265enc name=x265 option-string=info=0:repeat-headers=1", "h265parse", "video/x-h265"),
    };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width={width},height={height} ! \
         {encoder} tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! {parser} config-interval=-1 ! \
         {media},stream-format=byte-stream,alignment=au ! appsink name=sink sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    if let Some(encoder) = pipeline.by_name("x265") {
        x265::keep_last_headers(&encoder);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut units = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().unwrap();
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        units.push(Unit { data: buffer.map_readable().unwrap().to_vec(), keyframe });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(units.len(), frames as usize);
    units
}

/// What a frame holds.
#[derive(Clone, Copy)]
pub struct Shot<'a> {
    /// Grey level and size of the picture.
    pub picture: (u8, u32, u32),
    pub unit: Option<(Codec, &'a Unit)>,
    pub frame_id: u32,
    pub timestamp_ns: u64,
}

/// The producer's end of the wire. It writes its header first and says so.
pub struct Camera {
    segment: File,
    segment_path: PathBuf,
    socket: zmq::Socket,
    last: Option<[u8; METADATA_SIZE]>,
    pixels: Vec<u8>,
}

/// Source: `docs/coherence.md`, "Producers that write their header first".
const HEADER_FIRST: &[u8; 8] = b"HDRFIRST";

impl Camera {
    /// Begins to publish; in the place of a camera that was there before.
    pub fn start(names: &Names) -> Self {
        let segment_path = names.segment();
        let segment =
            OpenOptions::new().read(true).write(true).create_new(true).open(&segment_path).expect("a new segment");
        let socket = zmq::Context::new().socket(zmq::PUB).unwrap();
        socket.set_linger(0).unwrap();
        socket.bind(&names.endpoint()).unwrap();
        Self { segment, segment_path, socket, last: None, pixels: Vec::new() }
    }

    pub fn publish(&mut self, shot: Shot<'_>) {
        let Shot { picture: (grey, width, height), unit, frame_id, timestamp_ns } = shot;
        self.pixels.clear();
        self.pixels.resize((width * height * 3) as usize, grey);
        let plane = |pixel_format, (width, height, stride), offset, size| {
            Some(Plane { pixel_format, depth: Depth::U8, width, height, stride, offset, size })
        };
        let left = self.pixels.len() as u32;
        let mut planes = [None; PLANES];
        planes[0] = plane(PixelFormat::Bgr, (width, height, width * 3), 0, left);
        let coded = unit.map_or(&[][..], |(_, unit)| &unit.data);
        let size = coded.len() as u32;
        if unit.is_some() {
            planes[3] = plane(PixelFormat::Gray, (size, 1, size), left, size);
        }
        let metadata = Metadata {
            abi: Abi::V2 { minor: 1 },
            frame_id,
            timestamp_ns,
            publish_seq: frame_id.into(),
            payload_size: left + size,
            depth_unit: DepthUnit::Unknown,
            encoded: unit.map(|(codec, unit)| Encoded {
                codec,
                keyframe: unit.keyframe,
                frame_rate: (0, 0),
                stream_pts_ns: 0,
            }),
            planes,
        };
        if let Some(last) = &mut self.last {
            last[0x0C..0x10].copy_from_slice(&frame_id.to_le_bytes());
            self.segment.write_all_at(last, 0).unwrap();
        }
        self.segment.write_all_at(&self.pixels, METADATA_SIZE as u64).unwrap();
        self.segment.write_all_at(coded, METADATA_SIZE as u64 + u64::from(left)).unwrap();
        let mut bytes = metadata.to_bytes();
        bytes[METADATA_SIZE - HEADER_FIRST.len()..].copy_from_slice(HEADER_FIRST);
        self.segment.write_all_at(&bytes, 0).unwrap();
        self.last = Some(bytes);
        self.socket.send(SyncMessage::new(frame_id, timestamp_ns, "camera").to_bytes().as_slice(), 0).unwrap();
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.segment_path);
    }
}

/// Frames at their times, which are the timestamps too: FFmpeg takes two within one frame's time for a mistake. A frame that
/// is late moves those behind it, for none stays long enough in the segment to be made up for.
pub struct Pace {
    next: SystemTime,
    interval: Duration,
}

impl Pace {
    pub fn new(fps: u32) -> Self {
        Self { next: SystemTime::now(), interval: Duration::from_secs(1) / fps }
    }

    /// Waits for the next frame's time; nanoseconds since the Unix epoch.
    pub fn next(&mut self) -> u64 {
        let due = self.next.max(SystemTime::now());
        thread::sleep(due.duration_since(SystemTime::now()).unwrap_or_default());
        self.next = due + self.interval;
        due.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
    }
}
