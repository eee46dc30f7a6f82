//! What our MP4 files say of themselves: a JSON object as their comment.

use serde::{Deserialize, Serialize};

use super::{camera::Intrinsics, picture::Picture, source::Facts};

/// Where a file's pictures are from, and when the first one was taken, to the nanosecond.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Provenance {
    pub first_timestamp_ns: u64,
    /// What timestamps count from.
    pub clock: String,
    /// Number of the first picture in the recording.
    pub first_frame: usize,
    /// Whether lens distortion and the difference of the eyes have been taken out, when that is known.
    pub rectified: Option<bool>,
    /// Of the pictures, when they are known.
    pub intrinsics: Option<Intrinsics>,
    pub camera_serial: Option<String>,
    pub provider: String,
}

impl Provenance {
    pub fn new(facts: &Facts, first: &Picture) -> Self {
        Self {
            first_timestamp_ns: first.timestamp,
            clock: facts.clock.name().to_owned(),
            first_frame: first.index,
            rectified: facts.rectified,
            intrinsics: facts.intrinsics,
            camera_serial: facts.serial.clone(),
            provider: facts.provider.to_owned(),
        }
    }

    pub fn tags(&self) -> gst::TagList {
        let mut tags = gst::TagList::new();
        let comment = serde_json::to_string(self).expect("it can be written as JSON");
        tags.make_mut().add::<gst::tags::Comment>(&comment.as_str(), gst::TagMergeMode::Replace);
        tags
    }

    /// Reads it back, of a file that we made.
    pub fn of_tags(tags: &gst::TagList) -> Option<Self> {
        serde_json::from_str(tags.get::<gst::tags::Comment>()?.get()).ok()
    }
}
