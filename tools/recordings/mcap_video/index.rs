//! What a camera's channel of a recording holds, from one look through the file, and its access units from a second one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    ops::RangeInclusive,
    sync::Arc,
};

use cvmmap::Codec;
use prost::Message as _;

use crate::{
    recorder::{
        annex_b,
        mcap::{
            Topics,
            schema::{
                CAMERA_CALIBRATION, COMPRESSED_VIDEO, DEPTH_MAP, POSE_IN_FRAME, PROTOBUF, Schema,
                foxglove::{CameraCalibration, CompressedVideo},
                nanoseconds,
            },
        },
    },
    recordings::{
        entries::{self, Entry},
        walk::{Channel, Damage, Message, Walk},
    },
};

/// Ends the topic of a camera's access units, behind its label.
const VIDEO: &str = "/video";
/// More access units were never lost at once; a number beyond is damage too.
const LOST_MAX: u32 = 100_000;

/// A camera of a recording.
#[derive(Debug)]
pub struct Index {
    topic: String,
    pub codec: Codec,
    /// In the order of their timestamps.
    pub entries: Vec<Entry>,
    pub calibration: Option<CameraCalibration>,
    /// Whether there is depth of the camera, and whether there are poses.
    pub has_depth: bool,
    pub has_poses: bool,
    /// What the channel's metadata say.
    pub about: BTreeMap<String, String>,
    pub damage: Damage,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it holds the cameras {0}; choose one by --camera-label")]
    SeveralCameras(String),
    #[error("it holds no camera {0}, but {1}; choose one by --camera-label")]
    NoSuchCamera(String, String),
    #[error("its pictures are compressed as {0:?}; H.264 and H.265 can be read")]
    Format(String),
    #[error("none of its {0} pictures can be read; the file is damaged, or begins without a keyframe")]
    NothingReadable(usize),
    #[error("it holds no depth of the camera {0}; take --no-depth")]
    NoDepth(String),
    #[error("it holds no poses of the camera {0}; leave out --with-pose")]
    NoPoses(String),
}

/// Whether a message is an access unit.
pub fn is_video(message: &Message<'_>) -> bool {
    is(&message.channel, COMPRESSED_VIDEO)
}

pub fn is(channel: &Channel, schema: Schema) -> bool {
    channel.encoding == PROTOBUF && channel.schema == schema.name
}

/// The cameras that a file holds pictures of, by their labels.
///
/// # Errors
/// When it cannot be read.
pub fn cameras(file: File) -> io::Result<Vec<String>> {
    let mut walk = Walk::new(file)?;
    let mut topics = BTreeSet::new();
    while let Some(message) = walk.next()? {
        if is_video(&message) && !topics.contains(&message.channel.topic) {
            topics.insert(message.channel.topic.clone());
        }
    }
    Ok(topics.iter().map(|topic| label(topic).to_owned()).collect())
}

/// `/zed1/video` is of zed1.
fn label(topic: &str) -> &str {
    let topic = topic.strip_prefix('/').unwrap_or(topic);
    topic.strip_suffix(VIDEO).unwrap_or(topic)
}

/// What is found of a camera.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    format: Option<Result<Codec, String>>,
    about: BTreeMap<String, String>,
    /// The channel's numbers up to now,
    sequences: Option<u32>,
    /// and whether they count something else than its messages.
    jumps: bool,
    /// Harm before its last message,
    harm: u64,
    /// and what may have been messages of it since.
    suspects: u32,
}

impl Index {
    /// Looks through a file for a camera, which may be left out when there is one.
    ///
    /// # Errors
    /// When there is nothing of it that could be shown.
    pub fn read(mut walk: Walk, wanted: Option<&str>) -> Result<Self, Unreadable> {
        let mut cameras: BTreeMap<String, Found> = BTreeMap::new();
        let mut calibrations: BTreeMap<String, CameraCalibration> = BTreeMap::new();
        let (mut depths, mut poses) = (BTreeSet::new(), BTreeSet::new());
        while let Some(message) = walk.next()? {
            if is_video(&message) {
                let channel = &message.channel;
                let found = || Found { about: channel.metadata.clone(), ..Found::default() };
                cameras.entry(channel.topic.clone()).or_insert_with(found).add(&message);
            } else if is(&message.channel, CAMERA_CALIBRATION)
                && !message.suspect
                && let Ok(calibration) = CameraCalibration::decode(message.data)
            {
                calibrations.entry(message.channel.topic.clone()).or_insert(calibration);
            } else if is(&message.channel, DEPTH_MAP) && !depths.contains(&message.channel.topic) {
                depths.insert(message.channel.topic.clone());
            } else if is(&message.channel, POSE_IN_FRAME) && !poses.contains(&message.channel.topic) {
                poses.insert(message.channel.topic.clone());
            }
        }
        let damage = walk.damage();
        // They are shown on a terminal.
        let labels =
            || cameras.keys().map(|topic| label(topic).escape_debug().to_string()).collect::<Vec<_>>().join(", ");
        let topic = match wanted {
            Some(wanted) => cameras.keys().find(|topic| label(topic) == wanted),
            None if cameras.len() > 1 => return Err(Unreadable::SeveralCameras(labels())),
            None => cameras.keys().next(),
        };
        let Some(topic) = topic.cloned() else {
            return Err(Unreadable::NoSuchCamera(wanted.unwrap_or_default().to_owned(), labels()));
        };
        let mut found = cameras.remove(&topic).unwrap_or_default();
        found.lose(found.suspects);
        let Found { mut entries, format, about, .. } = found;
        let codec = match format {
            Some(Ok(codec)) => codec,
            Some(Err(format)) => return Err(Unreadable::Format(format)),
            None => return Err(Unreadable::NothingReadable(entries.len())),
        };
        entries::distrust_timestamps(&mut entries);
        entries::distrust_dependents(&mut entries);
        if !entries.iter().any(|entry| entry.whole) {
            return Err(Unreadable::NothingReadable(entries.len()));
        }
        let topics = Topics::of(label(&topic));
        let calibration = calibrations.remove(&topics.calibration);
        let (has_depth, has_poses) = (depths.contains(&topics.depth), poses.contains(&topics.pose));
        Ok(Self { topic, codec, entries, calibration, has_depth, has_poses, about, damage })
    }

    /// What the camera is called.
    pub fn label(&self) -> &str {
        label(&self.topic)
    }
}

impl Found {
    /// Takes in an access unit.
    fn add(&mut self, message: &Message<'_>) {
        // What is in a damaged chunk may be no access unit at all, or of another channel.
        if message.suspect {
            self.suspects += 1;
            return;
        }
        let rise = message.sequence.wrapping_sub(self.sequences.unwrap_or(u32::MAX));
        if message.harm > self.harm {
            let is_told = !self.jumps && (1..LOST_MAX).contains(&rise);
            self.lose(if is_told { rise - 1 } else { self.suspects.max(1) });
        } else {
            self.jumps |= rise != 1;
        }
        (self.sequences, self.harm, self.suspects) = (Some(message.sequence), message.harm, 0);

        let decoded = CompressedVideo::decode(message.data).ok();
        let timestamp = decoded.as_ref().map_or(message.log_time, |video| timestamp(video, message.log_time));
        let format = decoded.as_ref().map(|video| codec(&video.format));
        if self.format.is_none() {
            self.format.clone_from(&format);
        }
        let codec = format.and_then(Result::ok);
        let whole = codec.is_some_and(|codec| self.format == Some(Ok(codec)));
        let keyframe = decoded.zip(codec).is_some_and(|(video, codec)| annex_b::is_keyframe(codec, &video.data));
        self.entries.push(Entry { timestamp, stored: true, keyframe, whole, guessed: false });
    }

    /// Gives pictures that are lost their places.
    fn lose(&mut self, pictures: u32) {
        let timestamp = self.entries.last().map_or(0, |entry| entry.timestamp);
        let entry = Entry { timestamp, stored: false, keyframe: false, whole: false, guessed: false };
        self.entries.extend((0..pictures).map(|_| entry));
    }
}

fn codec(format: &str) -> Result<Codec, String> {
    match format {
        "h264" => Ok(Codec::H264),
        "h265" | "hevc" => Ok(Codec::H265),
        other => Err(other.chars().take(40).collect()),
    }
}

/// The message's own, or the log's where it tells none.
fn timestamp(video: &CompressedVideo, log_time: u64) -> u64 {
    video.timestamp.as_ref().and_then(nanoseconds).filter(|time| *time != 0).unwrap_or(log_time)
}

/// The access units of a range that can be shown.
#[derive(Debug)]
pub struct Units {
    walk: Walk,
    index: Arc<Index>,
    range: RangeInclusive<usize>,
    at: usize,
}

impl Units {
    /// Begins at the first one of the range.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(file: File, index: Arc<Index>, range: RangeInclusive<usize>) -> io::Result<Self> {
        Ok(Self { walk: Walk::new(file)?, index, range, at: 0 })
    }

    /// The next one with its timestamp.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        while self.at <= *self.range.end() {
            let Some(message) = self.walk.next()? else {
                break;
            };
            if !is_video(&message) || message.suspect || message.channel.topic != self.index.topic {
                continue;
            }
            let entries = &self.index.entries;
            let Some(at) = (self.at..entries.len()).find(|&at| entries[at].stored) else {
                break;
            };
            self.at = at + 1;
            let entry = entries[at];
            if !entry.whole || !self.range.contains(&at) {
                continue;
            }
            // A file that somebody still writes to may have changed since it was looked through.
            let video = CompressedVideo::decode(message.data).ok();
            if let Some(video) = video.filter(|video| timestamp(video, message.log_time) == entry.timestamp) {
                return Ok(Some((entry.timestamp, video.data)));
            }
        }
        Ok(None)
    }
}
