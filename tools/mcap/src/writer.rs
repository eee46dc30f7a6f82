//! Messages into one file. What they are called and hold is in `docs/mcap_layout.md`.

use std::{
    collections::BTreeMap,
    io::{Seek, Write},
};

use mcap::{McapResult, WriteOptions, records::MessageHeader};
use prost::Message;

use super::{
    schema::{
        BUNDLE_MANIFEST, PROTOBUF, Schema,
        cvmmap_streamer::{BundleManifest, DepthMap},
        foxglove::{CameraCalibration, CompressedVideo, PoseInFrame},
    },
    topics::Leaf,
};

/// Which messages belong together. Not a camera's.
pub const BUNDLE_TOPIC: &str = "/bundle";
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

    /// The topic of what it holds.
    pub fn name(&self, leaf: Leaf) -> &str {
        match leaf {
            Leaf::Video => &self.video,
            Leaf::Depth => &self.depth,
            Leaf::Calibration => &self.calibration,
            Leaf::DepthCalibration => &self.depth_calibration,
            Leaf::Pose => &self.pose,
            Leaf::Body => &self.body,
        }
    }

    /// The topic of bodies as a 3D panel draws them. Files have none.
    pub fn body_scene(&self) -> String {
        format!("{}_scene", self.body)
    }

    /// Whether they can be told apart.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), &'static str> {
        let names = Leaf::ALL.map(|leaf| self.name(leaf));
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
    /// By [`Leaf`].
    channels: [Option<Channel>; Leaf::ALL.len()],
}

impl Camera {
    /// A camera with these channels.
    pub fn new(topics: Topics, about: BTreeMap<String, String>) -> Self {
        Self { topics, about, channels: Default::default() }
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
        self.put(camera, Leaf::Video, timestamp_ns, &unit.encode_to_vec())
    }

    /// Adds a depth picture.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn depth(&mut self, camera: usize, timestamp_ns: u64, picture: &DepthMap) -> McapResult<()> {
        self.put(camera, Leaf::Depth, timestamp_ns, &picture.encode_to_vec())
    }

    /// Adds the intrinsics.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn calibration(&mut self, camera: usize, timestamp_ns: u64, intrinsics: &CameraCalibration) -> McapResult<()> {
        self.put(camera, Leaf::Calibration, timestamp_ns, &intrinsics.encode_to_vec())
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
        self.put(camera, Leaf::DepthCalibration, timestamp_ns, &intrinsics.encode_to_vec())
    }

    /// Adds where the camera was.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn pose(&mut self, camera: usize, timestamp_ns: u64, place: &PoseInFrame) -> McapResult<()> {
        self.put(camera, Leaf::Pose, timestamp_ns, &place.encode_to_vec())
    }

    /// Adds a body-tracking packet, as it is.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn body(&mut self, camera: usize, timestamp_ns: u64, packet: &[u8]) -> McapResult<()> {
        self.put(camera, Leaf::Body, timestamp_ns, packet)
    }

    fn put(&mut self, camera: usize, leaf: Leaf, timestamp_ns: u64, data: &[u8]) -> McapResult<()> {
        let Self { file, cameras, .. } = self;
        let Camera { topics, about, channels } = &mut cameras[camera];
        let channel = match &mut channels[leaf as usize] {
            Some(channel) => channel,
            none => {
                // Schema 0 is none. Source: MCAP specification, Channel.
                let schema = leaf.schema().map_or(Ok(0), |schema| add_schema(file, schema))?;
                let more = leaf.metadata().iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
                let metadata = if leaf == Leaf::Video { about.clone() } else { more.collect() };
                let id = file.add_channel(schema, topics.name(leaf), leaf.message_encoding(), &metadata)?;
                none.insert(Channel { id, sequence: 0 })
            }
        };
        channel.put(file, timestamp_ns, data)
    }

    /// Adds which of the cameras' messages belong together.
    ///
    /// # Errors
    /// What the file's system says.
    pub fn bundle(&mut self, timestamp_ns: u64, manifest: &BundleManifest) -> McapResult<()> {
        let Self { file, bundle, .. } = self;
        let channel = match bundle {
            Some(channel) => channel,
            none => {
                let schema = add_schema(file, BUNDLE_MANIFEST)?;
                let id = file.add_channel(schema, BUNDLE_TOPIC, PROTOBUF, &BTreeMap::new())?;
                none.insert(Channel { id, sequence: 0 })
            }
        };
        channel.put(file, timestamp_ns, &manifest.encode_to_vec())
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

fn add_schema<W: Write + Seek>(file: &mut mcap::Writer<W>, schema: Schema) -> McapResult<u16> {
    file.add_schema(schema.name, PROTOBUF, schema.descriptors)
}

impl Channel {
    fn put<W: Write + Seek>(&mut self, file: &mut mcap::Writer<W>, timestamp_ns: u64, data: &[u8]) -> McapResult<()> {
        let Self { id, sequence } = self;
        let header =
            MessageHeader { channel_id: *id, sequence: *sequence, log_time: timestamp_ns, publish_time: timestamp_ns };
        *sequence = sequence.wrapping_add(1);
        file.write_to_known_channel(&header, data)
    }
}
