//! The pictures of a recording that is looked through before it is read: which of them can be shown.

use std::ops::RangeInclusive;

use tools_cli::failure::Failure;
use tools_mcap::walk::Damage;

use super::source::Losses;

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

/// A picture that is not after those before it, or is after those behind it, has a timestamp that is damaged. Its place
/// is kept. What is damaged anyway is no measure for the others.
pub fn distrust_timestamps(entries: &mut [Entry]) {
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

/// After a loss, nothing up to the next keyframe is as it was. A recording without keyframes, but perhaps the first
/// picture, refreshes its pictures bit by bit; it is shown on.
pub fn distrust_dependents(entries: &mut [Entry]) {
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

/// The timestamps of all of them, sorted.
pub fn timestamps(entries: &[Entry]) -> Vec<u64> {
    let mut timestamps: Vec<_> = entries.iter().map(|entry| entry.timestamp).collect();
    // Nobody knows when what is damaged before the first that can be shown was taken.
    let begin = entries.iter().position(|entry| entry.whole).unwrap_or_default();
    let first = epoch(entries);
    timestamps[..begin].fill(first);
    timestamps
}

/// What a decoder's timestamps count from: the first picture that can be shown.
pub fn epoch(entries: &[Entry]) -> u64 {
    entries.iter().find(|entry| entry.whole).map_or(0, |entry| entry.timestamp)
}

/// Where decoding has to begin for a picture: at a keyframe, or at the first picture where there are none.
pub fn decoding_begin(entries: &[Entry], picture: usize) -> usize {
    (0..=picture).rev().find(|&at| entries[at].keyframe && entries[at].whole).unwrap_or(0)
}

/// The number of a decoded picture, when it is of the range.
pub fn number(entries: &[Entry], range: &RangeInclusive<usize>, timestamp: u64) -> Option<usize> {
    let before = entries.partition_point(|entry| entry.timestamp < timestamp);
    // Those that are lost have the timestamp of one before them.
    let same = entries[before..].iter().take_while(|entry| entry.timestamp == timestamp);
    let at = before + same.into_iter().position(|entry| entry.whole)?;
    range.contains(&at).then_some(at)
}

/// What a range lacked, of which so many pictures were shown.
pub fn losses(entries: &[Entry], range: &RangeInclusive<usize>, shown: usize, damage: Damage) -> Losses {
    let entries = &entries[range.clone()];
    let damaged = entries.iter().filter(|entry| !entry.whole).count();
    let runs = entries.chunk_by(|one, next| one.whole == next.whole).filter(|run| !run[0].whole).count();
    Losses {
        damaged,
        runs,
        undecoded: (entries.len() - damaged).saturating_sub(shown),
        unreadable_bytes: damage.bytes,
        cut: damage.cut,
    }
}

/// The failure for a recording that was looked through and cannot be read again.
pub fn unreadable(error: &std::io::Error) -> Failure {
    Failure::Configuration(format!("the recording cannot be read on: {error}"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn entries(text: &str) -> Vec<Entry> {
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

    pub fn shown(entries: &[Entry]) -> String {
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
}
