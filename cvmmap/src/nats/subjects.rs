//! Every subject, made from a target's key.

use crate::{Address, Target};

/// The two generations of request subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `cvmmap.<key>.producer.*`: newer producers.
    Producer,
    /// `cvmmap.<key>.control.*`: older producers and the Python client.
    Control,
}

impl Family {
    fn word(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Control => "control",
        }
    }
}

/// The subjects of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    key: String,
}

impl Subjects {
    /// Subjects of a producer that is known by its address alone: its segment's name takes the place of the base name.
    /// None when that cannot stand in a subject.
    pub fn for_address(address: &Address) -> Option<Self> {
        Self::for_key(&address.shm_name().replace('.', "_"))
    }

    /// Subjects of a `nats_target_key`. None when it is not one word of a subject.
    pub fn for_key(key: &str) -> Option<Self> {
        let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '.' | '*' | '>'));
        is_word.then(|| Self { key: key.to_owned() })
    }

    /// The `nats_target_key`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the producer publishes its status.
    pub fn status(&self) -> String {
        format!("cvmmap.{}.status", self.key)
    }

    /// Where the producer publishes body-tracking packets.
    pub fn body(&self) -> String {
        format!("cvmmap.{}.body", self.key)
    }

    /// What every request subject of a family begins with.
    pub fn prefix(&self, family: Family) -> String {
        format!("cvmmap.{}.{}", self.key, family.word())
    }

    /// A request of the streamer's recorder: `format` is `mcap` or `mp4`, `verb` is `capabilities`, `start`, `stop` or
    /// `status`.
    pub fn streamer_recorder(&self, format: &str, verb: &str) -> String {
        format!("cvmmap.{}.streamer.recorder.{format}.{verb}", self.key)
    }

    /// A request of the streamer's encoder: `verb` is `get`, `set` or `keyframe`.
    pub fn streamer_encoder(&self, verb: &str) -> String {
        format!("cvmmap.{}.streamer.encoder.{verb}", self.key)
    }

    /// The same request as older clients spell it; for `mcap` alone.
    pub fn control_recorder(&self, format: &str, verb: &str) -> String {
        format!("cvmmap.{}.control.recorder.{format}.{verb}", self.key)
    }
}

impl From<&Target> for Subjects {
    fn from(target: &Target) -> Self {
        Self { key: target.nats_target_key() }
    }
}

/// Whether a text can be published to: words without wildcards or spaces, joined by dots.
pub(super) fn is_literal(subject: &str) -> bool {
    subject.len() <= 255
        && subject
            .split('.')
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_the_contracts() {
        let subjects = Subjects::from(&"cvmmap://cam.0?namespace=zed".parse::<Target>().unwrap());
        assert_eq!(subjects.status(), "cvmmap.zed_cam_0.status");
        assert_eq!(subjects.body(), "cvmmap.zed_cam_0.body");
        assert_eq!(subjects.prefix(Family::Producer), "cvmmap.zed_cam_0.producer");
        assert_eq!(subjects.prefix(Family::Control), "cvmmap.zed_cam_0.control");
        assert_eq!(subjects.streamer_recorder("mcap", "start"), "cvmmap.zed_cam_0.streamer.recorder.mcap.start");
        assert_eq!(subjects.streamer_encoder("set"), "cvmmap.zed_cam_0.streamer.encoder.set");
        assert_eq!(subjects.control_recorder("mcap", "stop"), "cvmmap.zed_cam_0.control.recorder.mcap.stop");
    }

    #[test]
    fn a_segment_name_that_is_no_word_has_no_subjects() {
        let subjects = |name| Subjects::for_address(&Address::new(name, "tcp://127.0.0.1:1", None).unwrap());
        assert_eq!(subjects("a.b").unwrap().key(), "a_b");
        for name in ["a b", "a*", ">", "é", "a\n"] {
            assert_eq!(subjects(name), None, "{name}");
        }
    }

    #[test]
    fn a_prefix_from_elsewhere_is_looked_at() {
        assert!(is_literal("cvmmap.x.producer"));
        for wrong in ["", "a..b", ".a", "a.>", "a.*", "a b", &"a".repeat(256)] {
            assert!(!is_literal(wrong), "{wrong}");
        }
    }
}
