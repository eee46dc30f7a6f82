//! What was found in a recording.

use std::collections::{BTreeMap, btree_map::Entry};

use mcap::Message;
use serde::Serialize;
use tools_cli::{failure::Failure, report};

use crate::recording::Layout;

/// What a recording has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The file has its end.
    Finished,
    /// The file is whole, by its checksums.
    Undamaged,
    /// The summary counts the messages that are there.
    Summary,
    /// There is a camera: a topic of foxglove.CompressedVideo.
    Camera,
    /// Each topic has its schema and encoding.
    Schema,
    /// Each message is what its channel says.
    Message,
    /// Video is h264 or h265, and stays what it is.
    Format,
    /// Access units begin with a start code.
    ByteStream,
    /// A message of video holds one picture.
    OnePicture,
    /// The first access unit is a keyframe.
    FirstKeyframe,
    /// Keyframes carry their parameter sets.
    ParameterSets,
    /// The timestamps of a topic rise.
    TimestampsRise,
    /// Depth unpacks to its width and height.
    Depth,
    /// Each picture has its depth, where there is depth.
    DepthPairs,
    /// There is one calibration, with intrinsics.
    Calibration,
    /// There is one depth calibration if the depth has a size of its own, and else none.
    DepthCalibration,
    /// Bundle indices are consecutive, or with the strict policy rise.
    BundleIndex,
    /// Bundles name the cameras of the recording, each once.
    BundleMembers,
    /// A camera has as many messages as bundles in which it is present.
    BundleCounts,
    /// Messages have the times that their bundles say.
    BundleTimes,
}

impl Rule {
    /// The rule as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Finished => "the file has its end",
            Self::Undamaged => "the file is whole, by its checksums",
            Self::Summary => "the summary counts the messages that are there",
            Self::Camera => "there is a camera: a topic of foxglove.CompressedVideo",
            Self::Schema => "each topic has its schema and encoding",
            Self::Message => "each message is what its channel says",
            Self::Format => "video is h264 or h265, and stays what it is",
            Self::ByteStream => "access units begin with a start code",
            Self::OnePicture => "a message of video holds one picture",
            Self::FirstKeyframe => "the first access unit is a keyframe",
            Self::ParameterSets => "keyframes carry their parameter sets",
            Self::TimestampsRise => "the timestamps of a topic rise",
            Self::Depth => "depth unpacks to its width and height",
            Self::DepthPairs => "each picture has its depth, where there is depth",
            Self::Calibration => "there is one calibration, with intrinsics",
            Self::DepthCalibration => {
                "there is one depth calibration if the depth has a size of its own, and else none"
            }
            Self::BundleIndex => "bundle indices are consecutive, or with the strict policy rise",
            Self::BundleMembers => "bundles name the cameras of the recording, each once",
            Self::BundleCounts => "a camera has as many messages as bundles in which it is present",
            Self::BundleTimes => "messages have the times that their bundles say",
        }
    }
}

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// How often.
    pub count: u64,
    /// Where it is broken first, and how.
    pub first: String,
}

/// Messages of a camera.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CameraCounts {
    /// What the camera is called.
    pub label: String,
    /// Access units.
    pub video: usize,
    /// Depth pictures.
    pub depth: usize,
    /// Poses.
    pub pose: usize,
    /// Body-tracking packets.
    pub body: usize,
}

/// What a recording holds, and which rules it breaks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its path.
    pub file: String,
    /// How its cameras stand side by side.
    pub layout: Layout,
    /// Messages that say what belongs together.
    pub bundles: usize,
    /// Its cameras, by label.
    pub cameras: Vec<CameraCounts>,
    /// Whether no rule is broken.
    pub valid: bool,
    /// The broken rules.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether no rule is broken.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// To stdout.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        report::print(self, json, || self.lines()).map(drop)
    }

    fn lines(&self) -> String {
        let broken = self.violations.iter().map(|Violation { rule, count, first }| {
            let times = if *count == 1 { "time" } else { "times" };
            format!("  {}: broken {count} {times}, first {first}\n", rule.sentence())
        });
        [self.line() + "\n"].into_iter().chain(broken).collect()
    }

    fn line(&self) -> String {
        let outcome = if self.valid { "valid" } else { "breaks rules" };
        let bundles =
            if self.layout == Layout::Bundled { format!(", bundles={}", self.bundles) } else { String::new() };
        let cameras = self.cameras.iter().map(|camera| {
            let CameraCounts { label, video, depth, pose, body } = camera;
            format!(", {label}: video={video} depth={depth} pose={pose} body={body}")
        });
        format!("{}: {outcome}: {}{bundles}{}", self.file, self.layout.name(), cameras.collect::<String>())
    }
}

/// Collects what is broken.
#[derive(Debug, Default)]
pub struct Violations {
    broken: BTreeMap<Rule, Broken>,
    /// Number of the message at hand.
    message: u64,
}

#[derive(Debug)]
struct Broken {
    count: u64,
    /// Number of the message that breaks it first,
    message: u64,
    /// and how.
    first: String,
}

impl Violations {
    /// What follows is of this message of the file.
    pub fn at(&mut self, message: u64) {
        self.message = message;
    }

    pub fn add(&mut self, rule: Rule, place: impl FnOnce() -> String) {
        let message = self.message;
        self.broken.entry(rule).or_insert_with(|| Broken { count: 0, message, first: place() }).count += 1;
    }

    /// Adds what somebody else collected of the same file.
    pub fn add_all(&mut self, others: Self) {
        for (rule, other) in others.broken {
            match self.broken.entry(rule) {
                Entry::Vacant(place) => drop(place.insert(other)),
                Entry::Occupied(mut place) => {
                    let count = place.get().count + other.count;
                    if other.message <= place.get().message {
                        place.insert(other);
                    }
                    place.get_mut().count = count;
                }
            }
        }
    }

    pub fn into_list(self) -> Vec<Violation> {
        let broken = self.broken.into_iter();
        broken.map(|(rule, Broken { count, first, .. })| Violation { rule, count, first }).collect()
    }
}

/// Where a message is, and what is wrong with it.
pub fn place(message: &Message<'_>, what: &str) -> String {
    let Message { channel, sequence, log_time, .. } = message;
    format!("{} message {sequence} at {log_time} ns: {what}", channel.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_collected_is_told_in_the_order_of_the_file() {
        let collect = |broken: &[(u64, Rule)]| {
            let mut violations = Violations::default();
            for (message, rule) in broken {
                violations.at(*message);
                violations.add(*rule, || format!("message {message}"));
            }
            violations
        };
        let mut all = collect(&[(5, Rule::Depth), (6, Rule::Format)]);
        all.add_all(collect(&[(7, Rule::Depth), (9, Rule::Schema)]));
        all.add_all(collect(&[(3, Rule::Depth), (8, Rule::Depth)]));
        let broken = |rule, count, first: &str| Violation { rule, count, first: first.to_owned() };
        let expected = [
            broken(Rule::Schema, 1, "message 9"),
            broken(Rule::Format, 1, "message 6"),
            broken(Rule::Depth, 4, "message 3"),
        ];
        assert_eq!(all.into_list(), expected);
    }
}
