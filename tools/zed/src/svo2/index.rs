//! What a recording holds, from one look through it: when each picture was taken, and which of them can be shown.

use std::{collections::HashMap, io};

use tools_mcap::walk::{Damage, Message, Walk};

use super::payload::{self, Compression, Payload};
use crate::entries::{self, Entry};

/// Ends the topic of the pictures, behind the camera's serial number.
const PICTURES: &str = "/side_by_side";
const FOOTER: &str = "svo_footer";
/// A day of recording at 400 sensor readings a second stays below.
const FOOTER_MAX: usize = 1 << 30;

/// All pictures of a recording, in the order of their timestamps.
#[derive(Debug)]
pub struct Index {
    pub topic: String,
    pub compression: Compression,
    pub entries: Vec<Entry>,
    pub damage: Damage,
}

/// Why a file has no index.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(
        "it is an MCAP file without a ZED camera's pictures (no topic ends in {PICTURES}), or any camera's \
         (foxglove.CompressedVideo); give a recording of the ZED SDK, or of ours"
    )]
    NoPictures,
    #[error("it holds the pictures of several cameras ({0} and {1}); record one camera to a file")]
    SeveralCameras(String, String),
    #[error("none of its {0} pictures can be read; the file is damaged, or of a form that is not known yet")]
    NothingReadable(usize),
    #[error(
        "it is compressed without loss (PNG or Zstandard), a form that only the ZED SDK reads; take --provider sdk, or \
         convert it to H.264 or H.265 with the SDK's ZED_SVOEditor first"
    )]
    Lossless,
}

/// Whether a message is a picture.
pub fn is_picture(message: &Message<'_>) -> bool {
    message.channel.topic.ends_with(PICTURES)
}

impl Index {
    /// Looks through the file.
    ///
    /// # Errors
    /// When there is nothing in it that could be shown.
    pub fn read(mut walk: Walk) -> Result<Self, Unreadable> {
        let mut topic = None;
        let mut entries = Vec::new();
        let mut compression = None;
        let mut footer = None;
        let mut harm = 0;
        while let Some(message) = walk.next_message()? {
            if message.channel.topic == FOOTER && message.data.len() <= FOOTER_MAX && !message.suspect {
                footer = serde_json::from_slice::<HashMap<String, Vec<u64>>>(message.data).ok();
            }
            if !is_picture(&message) {
                continue;
            }
            let topic = topic.get_or_insert_with(|| message.channel.topic.clone());
            if *topic != message.channel.topic {
                return Err(Unreadable::SeveralCameras(topic.clone(), message.channel.topic.clone()));
            }
            let (found, keyframe) = match payload::parse(message.data, compression) {
                Some(Payload::AccessUnit { codec, keyframe, .. }) => (codec, keyframe),
                Some(Payload::Strips(_)) => (Some(Compression::JpegStrips), true),
                Some(Payload::Lossless) if !message.suspect => return Err(Unreadable::Lossless),
                Some(Payload::Lossless) | None => (None, false),
            };
            if !message.suspect {
                compression = compression.or(found);
            }
            // What was lost before it may be what it refers to.
            let follows = keyframe || message.harm == harm;
            harm = message.harm;
            let whole = !message.suspect && follows && compression.is_some() && found == compression;
            entries.push(Entry { timestamp: message.log_time, stored: true, keyframe, whole, guessed: false });
        }
        let damage = walk.damage();
        let topic = topic.ok_or(Unreadable::NoPictures)?;
        let compression = compression.ok_or(Unreadable::NothingReadable(entries.len()))?;
        entries::distrust_timestamps(&mut entries);
        let listed = footer.as_mut().and_then(|footer| footer.remove(&topic));
        if let Some(listed) = listed.filter(|_| damage.bytes > 0) {
            entries = add_lost(entries, &listed);
        }
        entries::distrust_dependents(&mut entries);
        if !entries.iter().any(|entry| entry.whole) {
            return Err(Unreadable::NothingReadable(entries.len()));
        }
        Ok(Self { topic, compression, entries, damage })
    }
}

/// Gives the pictures that are lost with their part of the file their places, so that the numbers of the others stay.
fn add_lost(entries: Vec<Entry>, listed: &[u64]) -> Vec<Entry> {
    let contradicts = !listed.is_sorted_by(|one, next| one < next)
        || entries.iter().any(|entry| entry.whole && listed.binary_search(&entry.timestamp).is_err());
    if contradicts {
        return entries;
    }
    let lost = listed
        .iter()
        .filter(|timestamp| entries.binary_search_by_key(*timestamp, |entry| entry.timestamp).is_err())
        .map(|&timestamp| Entry { timestamp, stored: false, keyframe: false, whole: false, guessed: false });
    let mut all: Vec<_> = lost.chain(entries.iter().copied()).collect();
    all.sort_by_key(|entry| entry.timestamp);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::tests::{entries, shown};

    #[test]
    fn the_footer_keeps_the_places_of_what_is_lost() {
        let stored: Vec<_> =
            entries("KKKKKKKK").into_iter().filter(|entry| ![30, 40].contains(&entry.timestamp)).collect();
        let all = add_lost(stored.clone(), &[10, 20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(shown(&all), "oo--oooo");
        assert!(!all[2].stored && all[4].stored);
        assert_eq!(add_lost(stored.clone(), &[10, 20]), stored);
    }
}
