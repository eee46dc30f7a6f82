//! Reads a recording once, and counts what breaks a rule.
//!
//! Longer than other files: the counts are taken in one pass, by one match over what a recording can hold.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, mpsc::SyncSender},
};

use cvmmap::body::Packet;
use mcap::Message;
use prost::Message as _;
use prost_types::{FileDescriptorSet, Timestamp};
use tools_cli::failure::Failure;
use tools_mcap::{
    decoder::codec_of,
    reader::{Messages, ReadError, check_magic, summary},
    schema::{
        BUNDLE_MANIFEST, PROTOBUF, Schema,
        cvmmap_streamer::{
            BundleManifest, DepthMap,
            bundle_manifest::{Policy, member::Status},
        },
        foxglove::{CameraCalibration, CompressedVideo, PoseInFrame},
        nanoseconds, own_time,
    },
    topics::{BODY_ENCODING, Label, Leaf, owner},
    writer::BUNDLE_TOPIC,
};

use super::{
    access_unit::AccessUnit,
    depths::{self, Job},
    report::{CameraCounts, Report, Rule, Violations, place},
};
use crate::recording::{Layout, unreadable};

/// Checks a recording.
///
/// # Errors
/// [`Failure::Configuration`] when the file cannot be read, or is no MCAP file.
pub fn validate(path: &Path) -> Result<Report, Failure> {
    let (read, broken_depths) = depths::check(|depths| {
        let mut tracks = Tracks::new(depths);
        tracks.read(path).map(|is_whole| (tracks, is_whole))
    });
    let (mut tracks, is_whole) = read.map_err(|error| unreadable(path, &error))?;
    tracks.violations.add_all(broken_depths);
    Ok(tracks.report(path, is_whole))
}

/// What has been read so far.
struct Tracks {
    violations: Violations,
    cameras: BTreeMap<String, Camera>,
    bundles: Bundles,
    /// Who looks through the depth pictures, while the file is read.
    depths: Option<SyncSender<Job>>,
    /// Messages read.
    count: u64,
}

/// Of one camera.
#[derive(Default)]
struct Camera {
    /// Topics of its pictures.
    videos: BTreeSet<String>,
    /// Whether it is called as we call cameras.
    is_ours: bool,
    format: String,
    /// Times by leaf.
    times: BTreeMap<Leaf, Vec<u64>>,
    calibration_size: Option<(u32, u32)>,
    depth_calibration_size: Option<(u32, u32)>,
    depth_size: Option<(u32, u32)>,
}

#[derive(Default)]
struct Bundles {
    count: usize,
    index: Option<u64>,
    time: Option<u64>,
    /// Times at which a camera is present, by label.
    present: BTreeMap<String, Vec<u64>>,
}

impl Camera {
    /// Takes over the messages of a camera without pictures. Those of a topic that is there already are left out.
    fn add(&mut self, other: Self) {
        let Self { videos: _, is_ours: _, format: _, times, calibration_size, depth_calibration_size, depth_size } =
            other;
        for (leaf, times) in times {
            self.times.entry(leaf).or_insert(times);
        }
        self.calibration_size = self.calibration_size.or(calibration_size);
        self.depth_calibration_size = self.depth_calibration_size.or(depth_calibration_size);
        self.depth_size = self.depth_size.or(depth_size);
    }

    fn times(&self, leaf: Leaf) -> &[u64] {
        self.times.get(&leaf).map_or(&[], Vec::as_slice)
    }
}

impl Tracks {
    fn new(depths: SyncSender<Job>) -> Self {
        let (violations, cameras, bundles) = Default::default();
        Self { violations, cameras, bundles, depths: Some(depths), count: 0 }
    }

    /// Reads a file, and tells whether it is whole.
    fn read(&mut self, path: &Path) -> Result<bool, ReadError> {
        check_magic(path)?;
        let mut messages = Messages::open(path)?;
        let is_whole = loop {
            let next = messages.next_message();
            let count = self.count;
            match next {
                Ok(Some(message)) => {
                    self.count += 1;
                    self.violations.at(self.count);
                    self.take(&message);
                }
                Ok(None) if messages.ended_early() => {
                    self.violations.add(Rule::Finished, || format!("behind {count} messages"));
                    break false;
                }
                Ok(None) => break true,
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(error) => {
                    self.violations.add(Rule::Undamaged, || format!("behind {count} messages: {error}"));
                    break false;
                }
            }
        };
        self.depths = None;
        match summary(path) {
            // Said already.
            _ if !is_whole => {}
            Ok(Some(summary)) => {
                let (counted, count) = (summary.stats.as_ref().map(|stats| stats.message_count), self.count);
                if counted.is_some_and(|counted| counted != count) {
                    self.violations.add(Rule::Summary, || format!("it counts {counted:?}, and there are {count}"));
                }
            }
            Ok(None) => self.violations.add(Rule::Summary, || "there is none".to_owned()),
            Err(ReadError::Io(error)) => return Err(error.into()),
            Err(error) => self.violations.add(Rule::Undamaged, || format!("in the summary: {error}")),
        }
        Ok(is_whole)
    }

    fn take(&mut self, message: &Message<'static>) {
        let topic = message.channel.topic.as_str();
        if topic == BUNDLE_TOPIC {
            if self.has_schema(message, BUNDLE_MANIFEST)
                && let Some(bundle) = self.decode::<BundleManifest>(message)
            {
                self.bundle(message, &bundle);
            }
        } else if let Some((label, leaf)) = Leaf::of((&*message.channel).into()) {
            self.leaf(message, label, leaf);
        }
    }

    fn leaf(&mut self, message: &Message<'static>, label: &str, leaf: Leaf) {
        // What cannot be read counts nevertheless.
        let mut time = message.log_time;
        let own = |timestamp: &Option<Timestamp>| own_time(timestamp.as_ref(), message.log_time);
        let is_as_it_should = leaf.schema().is_none_or(|schema| self.has_schema(message, schema));
        match leaf {
            _ if !is_as_it_should => {}
            Leaf::Video => {
                let camera = self.cameras.entry(label.to_owned()).or_default();
                if !camera.videos.contains(&message.channel.topic) {
                    camera.videos.insert(message.channel.topic.clone());
                }
                if let Some(video) = self.decode::<CompressedVideo>(message) {
                    time = own(&video.timestamp);
                    self.video(message, label, &video);
                }
            }
            Leaf::Depth => {
                if let Some(depth) = self.decode::<DepthMap>(message) {
                    time = own(&depth.timestamp);
                    self.depth(message, label, depth);
                }
            }
            Leaf::Calibration | Leaf::DepthCalibration => {
                if let Some(calibration) = self.decode::<CameraCalibration>(message) {
                    time = own(&calibration.timestamp);
                    self.calibration(message, label, leaf, &calibration);
                }
            }
            Leaf::Pose => {
                if let Some(pose) = self.decode::<PoseInFrame>(message) {
                    time = own(&pose.timestamp);
                }
            }
            Leaf::Body => self.body(message),
        }
        let camera = self.cameras.entry(label.to_owned()).or_default();
        camera.is_ours |= Leaf::named(&message.channel.topic).is_some_and(|named| named.0 == label);
        let times = camera.times.entry(leaf).or_default();
        let last = times.last().copied();
        times.push(time);
        // A camera's nearest picture may be the same in two bundles, which is seen when all are known.
        if !matches!(leaf, Leaf::Body) && last.is_some_and(|last| time < last) {
            self.violations.add(Rule::TimestampsRise, || place(message, &format!("it is before the one at {last:?}")));
        }
    }

    fn has_schema(&mut self, message: &Message<'_>, wanted: Schema) -> bool {
        let channel = &message.channel;
        let (name, encoding) = match &channel.schema {
            Some(schema) => (schema.name.as_str(), schema.encoding.as_str()),
            None => ("", ""),
        };
        let is_named = name == wanted.name && encoding == PROTOBUF && channel.message_encoding == PROTOBUF;
        let is_described = || {
            let data = channel.schema.as_ref().map(|schema| FileDescriptorSet::decode(&*schema.data));
            data.and_then(Result::ok).is_some_and(|set| {
                set.file.iter().any(|file| {
                    let types = file.message_type.iter();
                    types.map(|kind| format!("{}.{}", file.package(), kind.name())).any(|full| full == wanted.name)
                })
            })
        };
        if !is_named {
            self.violations.add(Rule::Schema, || {
                let what = format!("schema '{name}' ({encoding}), messages in '{}'", channel.message_encoding);
                place(message, &format!("{what}; {} in protobuf is wanted", wanted.name))
            });
        } else if message.sequence == 0 && !is_described() {
            self.violations.add(Rule::Schema, || place(message, &format!("its schema does not describe {name}")));
        }
        is_named
    }

    fn decode<M: prost::Message + Default>(&mut self, message: &Message<'_>) -> Option<M> {
        M::decode(&*message.data)
            .inspect_err(|error| self.violations.add(Rule::Message, || place(message, &error.to_string())))
            .ok()
    }

    fn video(&mut self, message: &Message<'_>, label: &str, video: &CompressedVideo) {
        let camera = self.cameras.entry(label.to_owned()).or_default();
        let is_first = camera.times(Leaf::Video).is_empty();
        if is_first {
            camera.format.clone_from(&video.format);
        }
        if !matches!(video.format.as_str(), "h264" | "h265") || video.format != camera.format {
            let was = camera.format.clone();
            self.violations.add(Rule::Format, || place(message, &format!("'{}' (first '{was}')", video.format)));
            return;
        }
        let unit = AccessUnit::of(codec_of(video), &video.data);
        if !unit.is_byte_stream {
            self.violations.add(Rule::ByteStream, || place(message, "it begins with something else"));
        }
        if unit.pictures != 1 {
            self.violations.add(Rule::OnePicture, || place(message, &format!("it holds {}", unit.pictures)));
        }
        if is_first && !unit.is_keyframe {
            self.violations.add(Rule::FirstKeyframe, || place(message, "it is none"));
        }
        if unit.is_keyframe && !unit.has_parameter_sets {
            self.violations.add(Rule::ParameterSets, || place(message, "some are missing"));
        }
    }

    fn depth(&mut self, message: &Message<'static>, label: &str, depth: DepthMap) {
        let size = (depth.width, depth.height);
        if let Some(depths) = &self.depths {
            let Message { channel, sequence, log_time, publish_time, .. } = message;
            let (channel, data) = (Arc::clone(channel), Cow::Borrowed(&[][..]));
            let message =
                Message { channel, sequence: *sequence, log_time: *log_time, publish_time: *publish_time, data };
            // They end when nobody hands over any more.
            let _ = depths.send(Job { number: self.count, message, depth });
        }
        let camera = self.cameras.entry(label.to_owned()).or_default();
        let first = *camera.depth_size.get_or_insert(size);
        if first != size {
            self.violations.add(Rule::Depth, || {
                place(message, &format!("it is {}x{}, the first one was {}x{}", size.0, size.1, first.0, first.1))
            });
        }
    }

    fn calibration(&mut self, message: &Message<'_>, label: &str, leaf: Leaf, calibration: &CameraCalibration) {
        let rule = if leaf == Leaf::Calibration { Rule::Calibration } else { Rule::DepthCalibration };
        let CameraCalibration { width, height, k, r, p, .. } = calibration;
        let is_told = k.len() == 9 && [0, 4].iter().all(|at| k[*at].is_finite() && k[*at] > 0.0);
        let is_whole = is_told && matches!(r.len(), 0 | 9) && matches!(p.len(), 0 | 12) && *width > 0 && *height > 0;
        if !is_whole {
            self.violations.add(rule, || place(message, &format!("{width}x{height}, K = {k:?}")));
        }
        let camera = self.cameras.entry(label.to_owned()).or_default();
        let size =
            if leaf == Leaf::Calibration { &mut camera.calibration_size } else { &mut camera.depth_calibration_size };
        if size.is_some() {
            self.violations.add(rule, || place(message, "it is another one"));
        }
        *size = Some((*width, *height));
    }

    fn body(&mut self, message: &Message<'_>) {
        let encoding = &message.channel.message_encoding;
        if encoding != BODY_ENCODING {
            self.violations.add(Rule::Schema, || {
                place(message, &format!("messages in '{encoding}'; '{BODY_ENCODING}' is wanted"))
            });
        } else if let Err(why) = Packet::parse(&message.data) {
            self.violations.add(Rule::Message, || place(message, &why.to_string()));
        }
    }

    fn bundle(&mut self, message: &Message<'_>, bundle: &BundleManifest) {
        let Self { violations, bundles, .. } = self;
        let time = bundle.timestamp.as_ref().and_then(nanoseconds).unwrap_or(message.log_time);
        if bundles.time.is_some_and(|last| time <= last) {
            violations.add(Rule::TimestampsRise, || place(message, &format!("it is not behind {:?}", bundles.time)));
        }
        // The strict policy leaves bundles out, and their indices with them.
        let follows = |last: u64| match bundle.policy() {
            Policy::Strict => bundle.index > last,
            Policy::Nearest | Policy::Unknown => last.checked_add(1) == Some(bundle.index),
        };
        if !bundles.index.is_none_or(follows) {
            violations
                .add(Rule::BundleIndex, || place(message, &format!("{} follows {:?}", bundle.index, bundles.index)));
        }
        for (nth, member) in bundle.members.iter().enumerate() {
            if bundle.members[..nth].iter().any(|other| other.label == member.label) {
                violations.add(Rule::BundleMembers, || place(message, &format!("{} is named again", member.label)));
            }
            let present = bundles.present.entry(member.label.clone()).or_default();
            if member.status() == Status::Present {
                present.push(member.timestamp.as_ref().and_then(nanoseconds).unwrap_or_default());
            }
        }
        bundles.count += 1;
        (bundles.index, bundles.time) = (Some(bundle.index), Some(time));
    }

    /// Gives the topics that have names of their own to their cameras.
    fn assign(&mut self) {
        let (mut cameras, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.cameras).into_iter().partition(|(_, camera)| !camera.videos.is_empty());
        let known: Vec<_> = cameras.iter().map(|(label, camera)| (label.clone(), camera.is_ours)).collect();
        let known: Vec<_> = known.iter().map(|(text, is_ours)| Label { text, is_ours: *is_ours }).collect();
        for (label, other) in others {
            let owner = owner(Label { text: &label, is_ours: other.is_ours }, &known).map(str::to_owned);
            cameras.entry(owner.unwrap_or(label)).or_default().add(other);
        }
        self.cameras = cameras;
    }

    /// Adds what is seen only when all is known, of a file that is whole.
    fn report(mut self, path: &Path, is_whole: bool) -> Report {
        self.assign();
        let videos = self.cameras.values().flat_map(|camera| &camera.videos);
        let layout = Layout::of(self.bundles.count > 0, videos.map(String::as_str));
        if is_whole {
            self.judge_cameras(layout);
            if layout == Layout::Bundled {
                self.judge_bundles();
            } else {
                self.judge_pairs();
            }
        }
        let cameras = self.cameras.iter().map(|(label, camera)| {
            let count = |leaf| camera.times(leaf).len();
            let [video, depth, pose, body] = [Leaf::Video, Leaf::Depth, Leaf::Pose, Leaf::Body].map(count);
            CameraCounts { label: label.clone(), video, depth, pose, body }
        });
        let cameras = cameras.collect();
        let violations = self.violations.into_list();
        Report {
            file: path.display().to_string(),
            layout,
            bundles: self.bundles.count,
            cameras,
            valid: violations.is_empty(),
            violations,
        }
    }

    fn judge_cameras(&mut self, layout: Layout) {
        let Self { violations, cameras, .. } = self;
        if cameras.values().all(|camera| camera.times(Leaf::Video).is_empty()) {
            violations.add(Rule::Camera, || "in the whole file".to_owned());
        }
        for (label, camera) in cameras {
            // A live producer tells no calibration, and a recording without depth may be of unknown intrinsics.
            let is_converted = layout != Layout::Single && camera.depth_size.is_some();
            if is_converted && camera.calibration_size.is_none() {
                violations.add(Rule::Calibration, || format!("/{label}/calibration has no message"));
            }
            match (camera.calibration_size, camera.depth_size, camera.depth_calibration_size) {
                (Some(rgb), Some(depth), None) if rgb != depth => violations.add(Rule::DepthCalibration, || {
                    let ((width, height), (depth_width, depth_height)) = (rgb, depth);
                    format!("{label} has pictures of {width}x{height}, depth of {depth_width}x{depth_height}, and none")
                }),
                (Some(rgb), Some(depth), Some(_)) if rgb == depth => {
                    violations.add(Rule::DepthCalibration, || format!("{label} has one, and one size"));
                }
                (_, Some(depth), Some(calibrated)) if depth != calibrated => {
                    violations
                        .add(Rule::DepthCalibration, || format!("{label}: it is for {calibrated:?}, not {depth:?}"));
                }
                _ => {}
            }
        }
    }

    fn judge_bundles(&mut self) {
        let Self { violations, cameras, bundles, .. } = self;
        for label in cameras.keys().filter(|label| !bundles.present.contains_key(*label)) {
            violations.add(Rule::BundleMembers, || format!("{label} is in no bundle"));
        }
        for (label, present) in &bundles.present {
            let none = Camera::default();
            let camera = cameras.get(label).unwrap_or(&none);
            for leaf in [Leaf::Video, Leaf::Depth, Leaf::Pose] {
                let times = camera.times(leaf);
                let is_optional = leaf != Leaf::Video && times.is_empty();
                // Poses are written while tracking works.
                let is_wrong =
                    if leaf == Leaf::Pose { times.len() > present.len() } else { times.len() != present.len() };
                if is_wrong && !is_optional {
                    violations.add(Rule::BundleCounts, || {
                        format!(
                            "/{label}/{}: {} messages, present in {} bundles",
                            leaf.name(),
                            times.len(),
                            present.len()
                        )
                    });
                } else if leaf != Leaf::Pose
                    && let Some(nth) = (0..times.len()).find(|nth| times[*nth] != present[*nth])
                {
                    violations.add(Rule::BundleTimes, || {
                        let (is, said) = (times[nth], present[nth]);
                        format!("/{label}/{} message {nth}: at {is} ns, and its bundle says {said}", leaf.name())
                    });
                }
            }
        }
    }

    fn judge_pairs(&mut self) {
        let Self { violations, cameras, .. } = self;
        for (label, camera) in cameras {
            for leaf in [Leaf::Video, Leaf::Depth, Leaf::Pose] {
                let again = camera.times(leaf).windows(2).find(|pair| pair[0] == pair[1]);
                if let Some([time, _]) = again {
                    violations.add(Rule::TimestampsRise, || format!("/{label}/{}: twice at {time} ns", leaf.name()));
                }
            }
            let [mut video, mut depth] = [Leaf::Video, Leaf::Depth].map(|leaf| camera.times(leaf).to_vec());
            if depth.is_empty() {
                continue;
            }
            video.sort_unstable();
            depth.sort_unstable();
            if video.len() != depth.len() {
                violations.add(Rule::DepthPairs, || {
                    format!("{label} has {} pictures and {} of depth", video.len(), depth.len())
                });
            } else if let Some((video, depth)) = video.iter().zip(&depth).find(|(video, depth)| video != depth) {
                violations
                    .add(Rule::DepthPairs, || format!("{label} has a picture at {video} ns and depth at {depth} ns"));
            }
        }
    }
}
