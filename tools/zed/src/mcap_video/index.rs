//! What a camera's channel of a recording holds, from one look through the file, and its access units from a second one.

use std::{collections::BTreeMap, fs::File, io, ops::RangeInclusive, sync::Arc};

use cvmmap::Codec;
use prost::Message as _;
use tools_mcap::{
    channel::Channel,
    decoder::codec_named,
    schema::{
        CAMERA_CALIBRATION, COMPRESSED_VIDEO,
        foxglove::{CameraCalibration, CompressedVideo},
        own_time,
    },
    topics::{self, Leaf},
    walk::{Damage, Message, Walk},
};
use tools_media::annex_b;

use crate::entries::{self, Entry};

/// More access units were never lost at once; a number beyond is damage too.
const LOST_MAX: u32 = 100_000;

/// A camera of a recording.
#[derive(Debug)]
pub struct Index {
    topic: String,
    /// What the camera is called.
    pub label: String,
    pub codec: Codec,
    /// In the order of their timestamps.
    pub entries: Vec<Entry>,
    pub calibration: Option<CameraCalibration>,
    /// Topics of its depth and its poses, where there are any.
    pub depth: Option<String>,
    pub pose: Option<String>,
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
    message.channel.holds(COMPRESSED_VIDEO)
}

/// The cameras that a file holds pictures of, by their labels.
///
/// # Errors
/// When it cannot be read.
pub fn cameras(file: File) -> io::Result<Vec<String>> {
    let mut walk = Walk::new(file)?;
    let mut seen = Seen::default();
    while let Some(message) = walk.next_message()? {
        seen.add(&message.channel);
    }
    Ok(seen.cameras().into_values().collect())
}

/// The channels that have messages, by topic.
#[derive(Default)]
struct Seen(BTreeMap<String, Arc<Channel>>);

impl Seen {
    fn add(&mut self, channel: &Arc<Channel>) {
        if !self.0.contains_key(&channel.topic) {
            self.0.insert(channel.topic.clone(), Arc::clone(channel));
        }
    }

    fn assigned(&self) -> BTreeMap<&str, (&str, Leaf)> {
        topics::assign(self.0.values().map(|channel| channel.declared()))
    }

    /// Labels by topics of video.
    fn cameras(&self) -> BTreeMap<String, String> {
        let videos = self.assigned().into_iter().filter(|(topic, (_, leaf))| self.holds(topic, *leaf, Leaf::Video));
        videos.map(|(topic, (label, _))| (topic.to_owned(), label.to_owned())).collect()
    }

    /// The topic of something else of a camera.
    fn topic(&self, label: &str, wanted: Leaf) -> Option<String> {
        let assigned = self.assigned();
        let found = assigned.iter().find(|(topic, (of, leaf))| *of == label && self.holds(topic, *leaf, wanted));
        found.map(|(topic, _)| (*topic).to_owned())
    }

    /// Whether a topic that may be `leaf` is what is wanted, and declared so.
    fn holds(&self, topic: &str, leaf: Leaf, wanted: Leaf) -> bool {
        leaf == wanted && self.0.get(topic).is_some_and(|channel| leaf.fits(channel.declared()))
    }
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
        let mut seen = Seen::default();
        while let Some(message) = walk.next_message()? {
            seen.add(&message.channel);
            if is_video(&message) {
                let channel = &message.channel;
                let found = || Found { about: channel.metadata.clone(), ..Found::default() };
                cameras.entry(channel.topic.clone()).or_insert_with(found).add(&message);
            } else if message.channel.holds(CAMERA_CALIBRATION)
                && !message.suspect
                && let Ok(calibration) = CameraCalibration::decode(message.data)
            {
                calibrations.entry(message.channel.topic.clone()).or_insert(calibration);
            }
        }
        let damage = walk.damage();
        let labels = seen.cameras();
        // They are shown on a terminal.
        let shown = || labels.values().map(|label| label.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
        let chosen = match wanted {
            Some(wanted) => labels.iter().find(|(_, label)| *label == wanted),
            None if labels.len() > 1 => return Err(Unreadable::SeveralCameras(shown())),
            None => labels.iter().next(),
        };
        let Some((topic, label)) = chosen.map(|(topic, label)| (topic.clone(), label.clone())) else {
            return Err(Unreadable::NoSuchCamera(wanted.unwrap_or_default().to_owned(), shown()));
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
        let beside = |leaf| seen.topic(&label, leaf);
        let calibration = beside(Leaf::Calibration).and_then(|topic| calibrations.remove(&topic));
        let (depth, pose) = (beside(Leaf::Depth), beside(Leaf::Pose));
        Ok(Self { topic, label, codec, entries, calibration, depth, pose, about, damage })
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
        let timestamp = own_time(decoded.as_ref().and_then(|video| video.timestamp.as_ref()), message.log_time);
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
    codec_named(format).ok_or_else(|| format.chars().take(40).collect())
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
            let Some(message) = self.walk.next_message()? else {
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
            if let Some(video) =
                video.filter(|video| own_time(video.timestamp.as_ref(), message.log_time) == entry.timestamp)
            {
                return Ok(Some((entry.timestamp, video.data)));
            }
        }
        Ok(None)
    }
}
