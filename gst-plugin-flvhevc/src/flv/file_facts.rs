//! What is known about a file as a whole once it ends: duration, size, and where its keyframes are. Its first onMetaData keeps
//! room for it, so that writing it later moves nothing.

use super::amf0::{Properties, Value};

/// Keyframes that are listed at most; of more, every second, fourth and so on.
const MAX_KEYFRAMES: usize = 512;
/// A keyframe's presentation time and its tag's place in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Keyframe {
    milliseconds: i64,
    position: u64,
}

#[derive(Clone, Debug, Default)]
pub struct FileFacts {
    /// The latest end of a frame, in milliseconds.
    end: i64,
    size: u64,
    keyframes: Vec<Keyframe>,
    /// Every so manieth keyframe is listed, as a power of two.
    spacing: u32,
    seen: u64,
    complete: bool,
}

impl FileFacts {
    /// A frame is presented until then, in milliseconds.
    pub fn extend(&mut self, end: i64) {
        self.end = self.end.max(end);
    }

    /// So many bytes were written behind all others. Returns where they are.
    pub fn append(&mut self, size: usize) -> u64 {
        let position = self.size;
        self.size += size as u64;
        position
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn add_keyframe(&mut self, milliseconds: i64, position: u64) {
        if self.seen.trailing_zeros() >= self.spacing {
            if self.keyframes.len() == MAX_KEYFRAMES {
                let mut index = 0;
                self.keyframes.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.spacing += 1;
            }
            if self.seen.trailing_zeros() >= self.spacing {
                self.keyframes.push(Keyframe { milliseconds, position });
            }
        }
        self.seen += 1;
    }

    /// The same, for the end: its properties tell all, in as many bytes as before.
    pub fn complete(&self) -> Self {
        Self { complete: true, ..self.clone() }
    }

    /// What stands in onMetaData. Numbers that nobody reads make up for keyframes that are not there: FFmpeg gives up at long
    /// strings.
    pub fn properties(&self) -> Properties {
        let none = Self::default();
        let told = if self.complete { self } else { &none };
        let positions = told.keyframes.iter().map(|keyframe| keyframe.position as f64).collect::<Vec<_>>();
        let times = told.keyframes.iter().map(|keyframe| keyframe.milliseconds as f64 / 1000.0).collect::<Vec<_>>();
        let padding = vec![0.0; 2 * MAX_KEYFRAMES - positions.len() - times.len()];
        vec![
            ("duration", Value::Number(told.end as f64 / 1000.0)),
            ("filesize", Value::Number(told.size as f64)),
            (
                "keyframes",
                Value::Object(vec![("filepositions", Value::Numbers(positions)), ("times", Value::Numbers(times))]),
            ),
            ("padding", Value::Numbers(padding)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::amf0;

    fn size(facts: &FileFacts) -> usize {
        amf0::named("onMetaData", &Value::EcmaArray(facts.properties())).len()
    }

    fn positions(facts: &FileFacts) -> Vec<u64> {
        facts.keyframes.iter().map(|keyframe| keyframe.position).collect()
    }

    #[test]
    fn room_is_kept_to_the_byte() {
        let mut facts = FileFacts::default();
        for count in 0..2000 {
            assert_eq!(size(&facts), size(&facts.complete()), "{count} keyframes");
            facts.add_keyframe(count, count as u64);
        }
    }

    #[test]
    fn long_files_list_keyframes_at_equal_distances() {
        let mut facts = FileFacts::default();
        for count in 0..100_000 {
            facts.add_keyframe(count, count as u64);
            let listed = positions(&facts);
            assert!(listed.len() <= MAX_KEYFRAMES);
            assert!(count < 256 || listed.len() >= MAX_KEYFRAMES / 2, "{} of {count}", listed.len());
        }
        let listed = positions(&facts);
        assert_eq!(listed[0], 0, "the first is among them");
        assert!(listed.windows(2).all(|pair| pair[1] - pair[0] == 256), "{listed:?}");
    }
}
