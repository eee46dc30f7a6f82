//! Which topics of a recording are of which camera: by their names, `/LABEL/video` and so on, and where somebody chose others,
//! by what is in them.

use std::collections::BTreeMap;

use super::schema::{CAMERA_CALIBRATION, COMPRESSED_VIDEO, DEPTH_MAP, POSE_IN_FRAME, PROTOBUF, Schema};

/// Message encoding of body-tracking packets. They have no schema.
pub const BODY_ENCODING: &str = "cvmmap.body_tracking.v1";

/// What a camera's topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// Access units.
    Video,
    /// Depth pictures.
    Depth,
    /// Intrinsics.
    Calibration,
    /// Intrinsics of depth pictures of another size.
    DepthCalibration,
    /// Where the camera was.
    Pose,
    /// Body-tracking packets.
    Body,
}

/// A topic, as its channel declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared<'a> {
    /// Its name.
    pub topic: &'a str,
    /// Name of its schema; empty for none.
    pub schema: &'a str,
    /// How its messages are encoded.
    pub message_encoding: &'a str,
}

impl<'a> From<&'a mcap::Channel<'_>> for Declared<'a> {
    fn from(channel: &'a mcap::Channel<'_>) -> Self {
        let schema = channel.schema.as_ref().map_or("", |schema| schema.name.as_str());
        Self { topic: &channel.topic, schema, message_encoding: &channel.message_encoding }
    }
}

impl Leaf {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Video, Self::Depth, Self::Calibration, Self::DepthCalibration, Self::Pose, Self::Body];

    /// Last part of the topic.
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Depth => "depth",
            Self::Calibration => "calibration",
            Self::DepthCalibration => "depth_calibration",
            Self::Pose => "pose",
            Self::Body => "body",
        }
    }

    /// What its messages are; bodies have no schema.
    pub fn schema(self) -> Option<Schema> {
        match self {
            Self::Video => Some(COMPRESSED_VIDEO),
            Self::Depth => Some(DEPTH_MAP),
            Self::Calibration | Self::DepthCalibration => Some(CAMERA_CALIBRATION),
            Self::Pose => Some(POSE_IN_FRAME),
            Self::Body => None,
        }
    }

    /// How its messages are encoded.
    pub fn message_encoding(self) -> &'static str {
        self.schema().map_or(BODY_ENCODING, |_| PROTOBUF)
    }

    /// What its channel says of its messages.
    pub fn metadata(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // Which container is around the RVL words.
            Self::Depth => &[("rvl_container", "ros_compressed_depth")],
            Self::Body => &[
                ("packet_layout", "cvmmap_body_tracking_v1"),
                ("payload_format", "raw"),
                ("source_transport", "cv-mmap-body-pub"),
            ],
            Self::Video | Self::Calibration | Self::DepthCalibration | Self::Pose => &[],
        }
    }

    /// Whether a channel is declared as it should.
    pub fn fits(self, declared: Declared<'_>) -> bool {
        let Declared { schema, message_encoding, .. } = declared;
        message_encoding == self.message_encoding() && self.schema().is_none_or(|wanted| schema == wanted.name)
    }

    /// Label and leaf of a topic that has its name from us.
    pub fn named(topic: &str) -> Option<(&str, Self)> {
        let (label, name) = topic.strip_prefix('/').unwrap_or(topic).rsplit_once('/')?;
        let leaf = Self::ALL.into_iter().find(|leaf| leaf.name() == name)?;
        (!label.is_empty()).then_some((label, leaf))
    }

    /// Label and leaf of a topic: by its name, or, when it has none of ours, by what it holds, as its own label.
    pub fn of(declared: Declared<'_>) -> Option<(&str, Self)> {
        Self::named(declared.topic).or_else(|| {
            // Both calibrations are declared alike.
            let held = Self::ALL.into_iter().find(|leaf| leaf.fits(declared))?;
            Some((declared.topic.strip_prefix('/').unwrap_or(declared.topic), held))
        })
    }
}

/// A label, and whether it is from a topic that has its name from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// What the camera is called.
    pub text: &'a str,
    /// Whether the topic has its name from us.
    pub is_ours: bool,
}

/// The camera that messages of a label belong to: its own, or else the only one, or the only one with a topic beside. Where
/// both names are ours, one camera's messages are not another's.
pub fn owner<'a>(label: Label<'_>, cameras: &[Label<'a>]) -> Option<&'a str> {
    let folder = |text: &'_ str| text.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    if let Some(own) = cameras.iter().find(|camera| camera.text == label.text) {
        return Some(own.text);
    }
    let is_beside = |camera: &&Label<'_>| folder(camera.text).is_some() && folder(camera.text) == folder(label.text);
    let beside: Vec<_> = cameras.iter().copied().filter(|camera| is_beside(&camera)).collect();
    match (cameras, &beside[..]) {
        ([camera], _) | (_, [camera]) if !(camera.is_ours && label.is_ours) => Some(camera.text),
        _ => None,
    }
}

/// The camera and the leaf of each topic. Cameras that would have one label have their topics as labels.
pub fn assign<'a>(channels: impl IntoIterator<Item = Declared<'a>>) -> BTreeMap<&'a str, (&'a str, Leaf)> {
    let mut told: BTreeMap<_, _> =
        channels.into_iter().filter_map(|channel| Some((channel.topic, Leaf::of(channel)?))).collect();
    let mut topics_of = BTreeMap::<_, Vec<_>>::new();
    for (topic, (label, _)) in told.iter().filter(|(_, (_, leaf))| *leaf == Leaf::Video) {
        topics_of.entry(*label).or_default().push(*topic);
    }
    for topic in topics_of.into_values().filter(|topics| topics.len() > 1).flatten() {
        told.insert(topic, (topic, Leaf::Video));
    }
    let label =
        |topic: &str, text: &'a str| Label { text, is_ours: Leaf::named(topic).is_some_and(|named| named.0 == text) };
    let videos = told.iter().filter(|(_, (_, leaf))| *leaf == Leaf::Video);
    let cameras: Vec<_> = videos.map(|(topic, (text, _))| label(topic, text)).collect();
    let owned = |(topic, (text, leaf))| (topic, (owner(label(topic, text), &cameras).unwrap_or(text), leaf));
    told.into_iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(topic: &'static str, leaf: Leaf) -> Declared<'static> {
        match leaf.schema() {
            Some(schema) => Declared { topic, schema: schema.name, message_encoding: PROTOBUF },
            None => Declared { topic, schema: "", message_encoding: BODY_ENCODING },
        }
    }

    #[test]
    fn our_names_are_labels_and_other_topics_are_known_by_their_schema() {
        for (topic, holds, expected) in [
            ("/zed1/video", Leaf::Video, ("zed1", Leaf::Video)),
            ("/a/b/depth", Leaf::Depth, ("a/b", Leaf::Depth)),
            ("/zed1/depth_calibration", Leaf::Calibration, ("zed1", Leaf::DepthCalibration)),
            ("/cam/image", Leaf::Video, ("cam/image", Leaf::Video)),
            ("image", Leaf::Video, ("image", Leaf::Video)),
            ("/people", Leaf::Body, ("people", Leaf::Body)),
        ] {
            assert_eq!(Leaf::of(declared(topic, holds)), Some(expected));
        }
        let unknown = Declared { topic: "/zed1/video", schema: "x", message_encoding: "y" };
        assert_eq!(Leaf::of(unknown), Some(("zed1", Leaf::Video)));
        assert_eq!(Leaf::of(Declared { topic: "/zed1/imu", ..unknown }), None);
    }

    #[test]
    fn what_stands_beside_a_camera_is_its_own() {
        let one = assign([
            declared("/cam/image", Leaf::Video),
            declared("/camera/depth", Leaf::Depth),
            declared("/people", Leaf::Body),
        ]);
        assert!(one.values().all(|(label, _)| *label == "cam/image"), "{one:?}");
        let ours = assign([declared("/zed1/video", Leaf::Video), declared("/zed2/depth", Leaf::Depth)]);
        assert_eq!(ours["/zed2/depth"], ("zed2", Leaf::Depth));
        let two = assign([
            declared("/left/image", Leaf::Video),
            declared("/right/image", Leaf::Video),
            declared("/right/range", Leaf::Depth),
            declared("/people", Leaf::Body),
        ]);
        assert_eq!(two["/right/range"], ("right/image", Leaf::Depth));
        assert_eq!(two["/people"], ("people", Leaf::Body));
        let alike = assign([declared("/cam/image", Leaf::Video), declared("/cam/image/video", Leaf::Video)]);
        assert!(alike.iter().all(|(topic, (label, _))| topic == label), "{alike:?}");
    }
}
