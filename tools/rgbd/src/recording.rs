//! Cameras and bundles of a recording. The three layouts are those of `docs/mcap_layout.md`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message;
use serde::Serialize;
use tools_cli::failure::Failure;
use tools_mcap::{
    channel::Channel,
    index::{Index, Place, Stored},
    reader::ReadError,
    schema::{BUNDLE_MANIFEST, COMPRESSED_VIDEO, cvmmap_streamer::BundleManifest, foxglove::CameraCalibration},
    topics::{self, Leaf},
    writer::BUNDLE_TOPIC,
};

/// Topic of the only camera, where nobody chose another.
const SINGLE_TOPIC: &str = "/camera/video";
/// Segments that are kept unpacked.
const SEGMENTS_KEPT: usize = 4;
/// A bundle's camera may be in the next chunk: two are kept whatever they take.
const BYTES_KEPT: usize = 128 << 20;

/// How cameras stand side by side in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `/bundle` says what belongs together.
    Bundled,
    /// Each camera for itself.
    Copy,
    /// One camera, `/camera/…` or topics that somebody chose.
    #[serde(rename = "single-camera")]
    Single,
}

impl Layout {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Copy => "copy",
            Self::Single => "single-camera",
        }
    }

    /// The layout of a recording with these topics of video.
    pub fn of<'a>(has_bundles: bool, topics: impl IntoIterator<Item = &'a str>) -> Self {
        let mut topics = topics.into_iter();
        let is_single = |topic: &str| {
            let is_ours = Leaf::named(topic).is_some_and(|(_, leaf)| leaf == Leaf::Video);
            topic == SINGLE_TOPIC || !is_ours
        };
        match (has_bundles, topics.next(), topics.next()) {
            (true, ..) => Self::Bundled,
            (false, Some(topic), None) if is_single(topic) => Self::Single,
            _ => Self::Copy,
        }
    }
}

/// Messages of one topic, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Track {
    places: Vec<Place>,
    /// Their numbers, by time.
    by_time: Vec<usize>,
}

impl Track {
    fn new(places: Vec<Place>) -> Self {
        let mut by_time = (0..places.len()).collect::<Vec<_>>();
        by_time.sort_by_key(|at| places[*at].time);
        Self { places, by_time }
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// First and last time.
    pub fn times(&self) -> Option<(u64, u64)> {
        let time = |at: Option<&usize>| at.map(|at| self.places[*at].time);
        time(self.by_time.first()).zip(time(self.by_time.last()))
    }

    /// The message of a time. In a recording that goes over the same time again, the one that is nearest to `beside` in the
    /// file.
    pub fn at(&self, time: u64, beside: u64) -> Option<usize> {
        let begin = self.by_time.partition_point(|at| self.places[*at].time < time);
        let same = self.by_time[begin..].iter().copied().take_while(|at| self.places[*at].time == time);
        same.min_by_key(|at| self.places[*at].ordinal.abs_diff(beside))
    }
}

/// A camera's messages.
#[derive(Clone, Debug, Default)]
pub struct Camera {
    pub label: String,
    pub video: Track,
    pub depth: Track,
    pub pose: Track,
    pub bodies: usize,
    pub calibration: Option<CameraCalibration>,
    pub depth_calibration: Option<CameraCalibration>,
}

/// A recording that is open.
pub struct Recording {
    path: PathBuf,
    index: Index,
    pub layout: Layout,
    /// By label.
    pub cameras: Vec<Camera>,
    pub bundles: Track,
    loaded: VecDeque<(u32, usize, Arc<[Stored]>)>,
}

impl Recording {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when it cannot be read or holds no camera, [`Failure::Protocol`] when it is damaged.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let mut index = Index::open(path).map_err(|error| unreadable(path, &error))?;
        let places = std::mem::take(&mut index.places);
        let assigned = topics::assign(index.channels.iter().map(Channel::declared));
        let mut tracks = BTreeMap::<(&str, Leaf), Vec<Place>>::new();
        let (mut bundles, mut videos) = (Vec::new(), BTreeSet::new());
        for place in places {
            let Some(channel) = index.channels.get(place.channel) else { continue };
            if channel.topic == BUNDLE_TOPIC && channel.holds(BUNDLE_MANIFEST) {
                bundles.push(place);
            } else if let Some((label, leaf)) = assigned.get(channel.topic.as_str())
                && leaf.fits(channel.declared())
            {
                tracks.entry((label, *leaf)).or_default().push(place);
                if *leaf == Leaf::Video {
                    videos.insert(channel.topic.as_str());
                }
            }
        }
        let layout = Layout::of(!bundles.is_empty(), videos);
        let (mut cameras, mut intrinsics) = (BTreeMap::<&str, Camera>::new(), Vec::new());
        for ((label, leaf), places) in tracks {
            let camera = cameras.entry(label).or_default();
            match leaf {
                Leaf::Video => camera.video = Track::new(places),
                Leaf::Depth => camera.depth = Track::new(places),
                Leaf::Pose => camera.pose = Track::new(places),
                Leaf::Body => camera.bodies = places.len(),
                Leaf::Calibration | Leaf::DepthCalibration => intrinsics.push((label.to_owned(), leaf, places[0])),
            }
            camera.label = label.to_owned();
        }
        let mut cameras = cameras.into_values().collect::<Vec<_>>();
        let bundles = Track::new(bundles);
        cameras.retain(|camera| !camera.video.places.is_empty());
        if cameras.is_empty() {
            return Err(Failure::Configuration(format!(
                "{} has no camera: no topic with messages of {}",
                path.display(),
                COMPRESSED_VIDEO.name
            )));
        }
        let mut recording = Self { path: path.to_owned(), index, layout, cameras, bundles, loaded: VecDeque::new() };
        for (label, leaf, place) in intrinsics {
            let read = recording.message::<CameraCalibration>(&place)?;
            let Some(camera) = recording.cameras.iter_mut().find(|camera| camera.label == label) else { continue };
            match leaf {
                Leaf::DepthCalibration => camera.depth_calibration = Some(read),
                _ => camera.calibration = Some(read),
            }
        }
        Ok(recording)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has its end.
    pub fn finished(&self) -> bool {
        self.index.finished
    }

    /// What is wrong with the file; what is behind it is not shown.
    pub fn damage(&self) -> Option<&str> {
        self.index.damage.as_deref()
    }

    /// The number of a camera; without a label, the first.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when there is none of that label.
    pub fn camera(&self, label: Option<&str>) -> Result<usize, Failure> {
        let Some(label) = label else { return Ok(0) };
        self.cameras.iter().position(|camera| camera.label == label).ok_or_else(|| {
            let labels = self.cameras.iter().map(|camera| camera.label.as_str()).collect::<Vec<_>>().join(", ");
            Failure::Configuration(format!("{} has no camera '{label}'; it has {labels}", self.path.display()))
        })
    }

    /// What the frames of a camera are: the bundles where there are some, else its pictures.
    pub fn frames_of<'a>(&'a self, camera: &'a Camera) -> &'a Track {
        match self.layout {
            Layout::Bundled => &self.bundles,
            Layout::Copy | Layout::Single => &camera.video,
        }
    }

    /// A bundle.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bundle(&mut self, number: usize) -> Result<BundleManifest, Failure> {
        let place = self.bundles.places[number];
        self.message(&place)
    }

    /// A message.
    ///
    /// # Errors
    /// [`Failure::Protocol`] when the file is damaged there, or the message is not what its channel says.
    pub fn message<M: Message + Default>(&mut self, place: &Place) -> Result<M, Failure> {
        let segment = self.segment(place.segment).map_err(|error| unreadable(&self.path, &error))?;
        let damaged = |why: &dyn std::fmt::Display| {
            let topic = self.index.channels.get(place.channel).map_or("", |channel| channel.topic.as_str());
            Failure::Protocol(format!("{}: the message of {topic} at {} ns {why}", self.path.display(), place.time))
        };
        let message = place.of(&segment).ok_or_else(|| damaged(&"is not where the index says"))?;
        M::decode(&message.data[..]).map_err(|error| damaged(&format!("cannot be read: {error}")))
    }

    fn segment(&mut self, number: u32) -> Result<Arc<[Stored]>, ReadError> {
        if let Some(at) = self.loaded.iter().position(|(loaded, ..)| *loaded == number)
            && let Some(segment) = self.loaded.remove(at)
        {
            self.loaded.push_front(segment);
        } else {
            let messages = self.index.load(number as usize)?;
            let bytes = messages.iter().map(|message| message.data.len()).sum();
            self.loaded.push_front((number, bytes, messages.into()));
            while self.loaded.len() > SEGMENTS_KEPT
                || self.loaded.len() > 2 && self.loaded.iter().map(|(_, bytes, _)| bytes).sum::<usize>() > BYTES_KEPT
            {
                self.loaded.pop_back();
            }
        }
        Ok(Arc::clone(&self.loaded[0].2))
    }
}

/// The failure for a file that cannot be read.
pub fn unreadable(path: &Path, error: &ReadError) -> Failure {
    let text = format!("{}: {error}", path.display());
    match error {
        ReadError::Io(_) | ReadError::Mcap(mcap::McapError::BadMagic) => Failure::Configuration(text),
        ReadError::Mcap(_) | ReadError::Message { .. } => Failure::Protocol(text),
    }
}
