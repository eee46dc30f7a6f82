//! Messages into one file. What they are called and hold is in `docs/mcap_layout.md`.

use std::{
    collections::BTreeMap,
    io::{Seek, Write},
};

use mcap::{McapResult, WriteOptions, records::MessageHeader};
use prost::Message;

use super::schema::{
    BUNDLE_MANIFEST, CAMERA_CALIBRATION, COMPRESSED_VIDEO, DEPTH_MAP, POSE_IN_FRAME, PROTOBUF, Schema,
    cvmmap_streamer::{BundleManifest, DepthMap},
    foxglove::{CameraCalibration, CompressedVideo, PoseInFrame},
};

/// Which messages belong together. Not a camera's.
pub const BUNDLE_TOPIC: &str = "/bundle";
/// Message encoding of body-tracking packets. They have no schema.
pub const BODY_ENCODING: &str = "cvmmap.body_tracking.v1";
/// What the body channel says of its packets.
const BODY_METADATA: [(&str, &str); 3] =
    [("packet_layout", "cvmmap_body_tracking_v1"), ("payload_format", "raw"), ("source_transport", "cv-mmap-body-pub")];
/// What the depth channel says of its pictures: which container is around the RVL words.
const DEPTH_METADATA: [(&str, &str); 1] = [("rvl_container", "ros_compressed_depth")];
/// Chunks of this size or one second, whichever is reached first.
const CHUNK_BYTES: u64 = 4 << 20;
/// Video does not get smaller and depth does so at once: the fastest level is the best.
const ZSTD_LEVEL: u32 = 1;

/// How chunks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// zstd
    #[default]
    Zstd,
    /// LZ4
    Lz4,
    /// Not at all
    None,
}

/// What the channels of a camera are called.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Access units.
    pub video: String,
    /// Depth.
    pub depth: String,
    /// Body-tracking packets.
    pub body: String,
    /// Intrinsics.
    pub calibration: String,
    /// Intrinsics of depth pictures of another size.
    pub depth_calibration: String,
    /// Where the camera was.
    pub pose: String,
}

impl Topics {
    /// The topics of one camera: `/LABEL/video` and so on.
    pub fn of(label: &str) -> Self {
        let topic = |leaf| format!("/{label}/{leaf}");
        Self {
            video: topic("video"),
            depth: topic("depth"),
            body: topic("body"),
            calibration: topic("calibration"),
            depth_calibration: topic("depth_calibration"),
            pose: topic("pose"),
        }
    }

    /// Whether they can be told apart.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), &'static str> {
        let Self { video, depth, body, calibration, depth_calibration, pose } = self;
        let names = [video, depth, body, calibration, depth_calibration, pose];
        let is_repeated = |at: usize| names[..at].contains(&names[at]);
        if (1..names.len()).any(is_repeated) { Err("two MCAP topics have one name; give each its own") } else { Ok(()) }
    }
}

/// Writes one file.
pub struct Writer<W: Write + Seek> {
    file: mcap::Writer<W>,
    cameras: Vec<Camera>,
    bundle: Option<Channel>,
}

/// A camera of the file, with the channels that messages have gone to.
#[derive(Debug)]
pub struct Camera {
    topics: Topics,
    /// What its video's channel says of it.
    about: BTreeMap<String, String>,
    video: Option<Channel>,
    depth: Option<Channel>,
    body: Option<Channel>,
    calibration: Option<Channel>,
    depth_calibration: Option<Channel>,
    pose: Option<Channel>,
}

impl Camera {
    /// A camera with these channels.
    pub fn new(topics: Topics, about: BTreeMap<String, String>) -> Self {
        Self {
            topics,
            about,
            video: None,
            depth: None,
            body: None,
            calibration: None,
            depth_calibration: None,
            pose: None,
        }
    }
}

/// A channel that messages have gone to.
#[derive(Debug)]
struct Channel {
    id: u16,
    /// Messages so far.
    sequence: u32,
}

impl<W: Write + Seek> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("cameras", &self.cameras).finish_non_exhaustive()
    }
}

/// Cameras are told by their place in the list that the file was begun with.
impl<W: Write + Seek> Writer<W> {
    /// Begins a file of these cameras.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn new(file: W, compression: Compression, cameras: Vec<Camera>) -> McapResult<Self> {
        let (compression, level) = match compression {
            Compression::Zstd => (Some(mcap::Compression::Zstd), ZSTD_LEVEL),
            Compression::Lz4 => (Some(mcap::Compression::Lz4), 0),
            Compression::None => (None, 0),
        };
        let file = WriteOptions::new()
            .library(concat!("cvmmap-streamer ", env!("CARGO_PKG_VERSION")))
            .compression(compression)
            .compression_level(level)
            // In this thread: the others are the encoder's.
            .compression_threads(0)
            .chunk_size(Some(CHUNK_BYTES))
            // A chunk is written when it is whole: what a killed process leaves ends between two.
            .disable_seeking(true)
            .create(file)?;
        Ok(Self { file, cameras, bundle: None })
    }

    /// Adds an access unit.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn video(&mut self, camera: usize, timestamp_ns: u64, unit: &CompressedVideo) -> McapResult<()> {
        let Camera { topics, about, video, .. } = &mut self.cameras[camera];
        put_message(&mut self.file, video, &topics.video, COMPRESSED_VIDEO, || about.clone(), timestamp_ns, unit)
    }

    /// Adds a depth picture.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn depth(&mut self, camera: usize, timestamp_ns: u64, picture: &DepthMap) -> McapResult<()> {
        let Camera { topics, depth, .. } = &mut self.cameras[camera];
        put_message(
            &mut self.file,
            depth,
            &topics.depth,
            DEPTH_MAP,
            || metadata(&DEPTH_METADATA),
            timestamp_ns,
            picture,
        )
    }

    /// Adds the intrinsics.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn calibration(&mut self, camera: usize, timestamp_ns: u64, intrinsics: &CameraCalibration) -> McapResult<()> {
        let Camera { topics, calibration, .. } = &mut self.cameras[camera];
        let topic = &topics.calibration;
        put_message(&mut self.file, calibration, topic, CAMERA_CALIBRATION, BTreeMap::new, timestamp_ns, intrinsics)
    }

    /// Adds the intrinsics of depth pictures, which have another size than the camera's.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn depth_calibration(
        &mut self,
        camera: usize,
        timestamp_ns: u64,
        intrinsics: &CameraCalibration,
    ) -> McapResult<()> {
        let Camera { topics, depth_calibration, .. } = &mut self.cameras[camera];
        let topic = &topics.depth_calibration;
        put_message(
            &mut self.file,
            depth_calibration,
            topic,
            CAMERA_CALIBRATION,
            BTreeMap::new,
            timestamp_ns,
            intrinsics,
        )
    }

    /// Adds where the camera was.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn pose(&mut self, camera: usize, timestamp_ns: u64, place: &PoseInFrame) -> McapResult<()> {
        let Camera { topics, pose, .. } = &mut self.cameras[camera];
        put_message(&mut self.file, pose, &topics.pose, POSE_IN_FRAME, BTreeMap::new, timestamp_ns, place)
    }

    /// Adds a body-tracking packet, as it is.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn body(&mut self, camera: usize, timestamp_ns: u64, packet: &[u8]) -> McapResult<()> {
        let Camera { topics, body, .. } = &mut self.cameras[camera];
        if body.is_none() {
            // Schema 0 is none. Source: MCAP specification, Channel.
            let id = self.file.add_channel(0, &topics.body, BODY_ENCODING, &metadata(&BODY_METADATA))?;
            *body = Some(Channel { id, sequence: 0 });
        }
        put(&mut self.file, body, timestamp_ns, packet)
    }

    /// Adds which of the cameras' messages belong together.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn bundle(&mut self, timestamp_ns: u64, manifest: &BundleManifest) -> McapResult<()> {
        let Self { file, bundle, .. } = self;
        put_message(file, bundle, BUNDLE_TOPIC, BUNDLE_MANIFEST, BTreeMap::new, timestamp_ns, manifest)
    }

    /// Writes out the chunk that is begun.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn flush(&mut self) -> McapResult<()> {
        self.file.flush()
    }

    /// Writes the summary and the end.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn finish(mut self) -> McapResult<W> {
        self.file.finish()?;
        Ok(self.file.into_inner())
    }
}

fn metadata(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn put_message<W: Write + Seek>(
    file: &mut mcap::Writer<W>,
    channel: &mut Option<Channel>,
    topic: &str,
    schema: Schema,
    about: impl FnOnce() -> BTreeMap<String, String>,
    timestamp_ns: u64,
    message: &impl Message,
) -> McapResult<()> {
    if channel.is_none() {
        let schema = file.add_schema(schema.name, PROTOBUF, schema.descriptors)?;
        let id = file.add_channel(schema, topic, PROTOBUF, &about())?;
        *channel = Some(Channel { id, sequence: 0 });
    }
    put(file, channel, timestamp_ns, &message.encode_to_vec())
}

fn put<W: Write + Seek>(
    file: &mut mcap::Writer<W>,
    channel: &mut Option<Channel>,
    timestamp_ns: u64,
    data: &[u8],
) -> McapResult<()> {
    let Some(Channel { id, sequence }) = channel else {
        return Ok(());
    };
    let header =
        MessageHeader { channel_id: *id, sequence: *sequence, log_time: timestamp_ns, publish_time: timestamp_ns };
    *sequence = sequence.wrapping_add(1);
    file.write_to_known_channel(&header, data)
}
