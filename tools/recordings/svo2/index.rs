//! What a recording holds, from one look through it: when each picture was taken, and which of them can be shown.

use std::{collections::HashMap, io};

use super::{
    payload::{self, Compression, Payload},
    walk::{Damage, Message, Walk},
};

/// Ends the topic of the pictures, behind the camera's serial number.
const PICTURES: &str = "/side_by_side";
const FOOTER: &str = "svo_footer";
/// A day of recording at 400 sensor readings a second stays below.
const FOOTER_MAX: usize = 1 << 30;

/// A picture of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds on the recording's clock.
    pub timestamp: u64,
    /// Whether the file has a message of it, good or bad.
    pub stored: bool,
    pub keyframe: bool,
    /// Whether it can be shown: it is as the camera's encoder made it, with all that it refers to,
    pub whole: bool,
    /// or as near as can be known, in a recording that never starts anew with a keyframe.
    pub guessed: bool,
}

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
        "it is an MCAP file without a ZED camera's pictures (no topic ends in {PICTURES}); give a recording of the ZED SDK"
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
    message.topic.ends_with(PICTURES)
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
        while let Some(message) = walk.next()? {
            if &*message.topic == FOOTER && message.data.len() <= FOOTER_MAX && !message.suspect {
                footer = serde_json::from_slice::<HashMap<String, Vec<u64>>>(message.data).ok();
            }
            if !is_picture(&message) {
                continue;
            }
            let topic = topic.get_or_insert_with(|| message.topic.to_string());
            if **topic != *message.topic {
                return Err(Unreadable::SeveralCameras(topic.clone(), message.topic.to_string()));
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
            let whole = !message.suspect && compression.is_some() && found == compression;
            entries.push(Entry { timestamp: message.log_time, stored: true, keyframe, whole, guessed: false });
        }
        let damage = walk.damage();
        let topic = topic.ok_or(Unreadable::NoPictures)?;
        let compression = compression.ok_or(Unreadable::NothingReadable(entries.len()))?;
        distrust_timestamps(&mut entries);
        let listed = footer.as_mut().and_then(|footer| footer.remove(&topic));
        if let Some(listed) = listed.filter(|_| damage.bytes > 0) {
            entries = add_lost(entries, &listed);
        }
        distrust_dependents(&mut entries);
        if !entries.iter().any(|entry| entry.whole) {
            return Err(Unreadable::NothingReadable(entries.len()));
        }
        Ok(Self { topic, compression, entries, damage })
    }
}

/// A picture that is not after those before it, or is after those behind it, has a timestamp that is damaged. Its place
/// is kept. What is damaged anyway is no measure for the others.
fn distrust_timestamps(entries: &mut [Entry]) {
    // What is behind each: the timestamp of the next that is not damaged.
    let mut behind = vec![None; entries.len()];
    for at in (1..entries.len()).rev() {
        behind[at - 1] = if entries[at].whole { Some(entries[at].timestamp) } else { behind[at] };
    }
    let mut last = None;
    for (entry, next) in entries.iter_mut().zip(behind) {
        let timestamp = entry.timestamp;
        let leaps = next.is_some_and(|next: u64| next <= timestamp && last.is_none_or(|last| next > last));
        if last.is_some_and(|last| timestamp <= last) || leaps {
            entry.whole = false;
            // It is shown to nobody; the list stays sorted.
            entry.timestamp = last.unwrap_or_default();
        } else if entry.whole || next.is_some() {
            last = Some(timestamp);
        } else {
            entry.timestamp = last.unwrap_or_default();
        }
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

/// After a loss, nothing up to the next keyframe is as it was. A recording without keyframes, but perhaps the first
/// picture, refreshes its pictures bit by bit; it is shown on.
fn distrust_dependents(entries: &mut [Entry]) {
    let refreshes = !entries.iter().skip(1).any(|entry| entry.keyframe);
    let mut broken = true;
    for entry in entries {
        broken = !entry.whole || (broken && !entry.keyframe);
        if refreshes {
            entry.guessed = broken && entry.whole;
        } else {
            entry.whole &= !broken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        text.chars()
            .zip(1..)
            .map(|(form, number)| Entry {
                timestamp: number * 10,
                stored: true,
                keyframe: "KX".contains(form),
                whole: "Kp".contains(form),
                guessed: false,
            })
            .collect()
    }

    fn shown(entries: &[Entry]) -> String {
        entries
            .iter()
            .map(|entry| match (entry.whole, entry.guessed) {
                (true, false) => 'o',
                (true, true) => '?',
                _ => '-',
            })
            .collect()
    }

    #[test]
    fn a_loss_lasts_until_the_next_keyframe() {
        for (stored, expected) in [
            ("KpppKppp", "oooooooo"),
            ("KpxpKppp", "oo--oooo"),
            ("KppxKppp", "ooo-oooo"),
            ("ppKppppp", "--oooooo"),
            ("KpxpKpxp", "oo--oo--"),
            ("KpppXppp", "oooo----"),
            ("pppppppp", "????????"),
            ("Kpppxppp", "oooo-???"),
        ] {
            let mut entries = entries(stored);
            distrust_dependents(&mut entries);
            assert_eq!(shown(&entries), expected, "{stored}");
        }
    }

    #[test]
    fn one_wrong_timestamp_costs_one_picture() {
        for (place, wrong) in [(3, u64::MAX), (3, 0), (0, u64::MAX), (7, 3)] {
            let mut entries = entries("KKKKKKKK");
            entries[place].timestamp = wrong;
            distrust_timestamps(&mut entries);
            let lost: Vec<_> = (0..8).filter(|&at| !entries[at].whole).collect();
            assert_eq!(lost, [place], "{wrong}");
            assert!(entries.is_sorted_by_key(|entry| entry.timestamp));
        }
    }

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
