//! The simulator's playlist. Its recordings are the test patterns of `videotestsrc`, by name; each is played for a while,
//! and behind the last one comes the first again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::{glib, prelude::*};

/// What is drawn without a playlist.
pub const DEFAULT_PATTERN: &str = "ball";
/// A recording lasts so long.
const SECONDS: u32 = 10;

/// What is played.
#[derive(Debug)]
pub struct Playlist {
    patterns: glib::EnumClass,
    fps: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    paths: Vec<String>,
    sort_by_recording_time: bool,
    /// Frames since the first recording began.
    frames: u64,
    current: u32,
    /// Whether what is drawn has to change.
    is_new: bool,
}

impl Playlist {
    /// No playlist yet, for a source of this type and rate.
    ///
    /// # Errors
    /// When the source draws no patterns.
    pub fn new(source: &gst::Element, fps: u32) -> Option<Self> {
        let patterns = glib::EnumClass::with_type(source.property_type("pattern")?)?;
        Some(Self { patterns, fps, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is played, as `cvmmapsink` takes it.
    pub fn describe(&self) -> gst::Structure {
        let State { paths, sort_by_recording_time, current, .. } = &*self.state();
        gst::Structure::builder("playlist")
            .field("paths", gst::Array::new(paths))
            .field("current-index", *current)
            .field("sort-by-recording-time", *sort_by_recording_time)
            .build()
    }

    /// Plays other patterns, as `cvmmapsink` asks for it. A pattern's number stands in for the time of its recording.
    ///
    /// # Errors
    /// With words, when one of them is not known.
    pub fn apply(&self, wanted: &gst::StructureRef) -> Result<(), String> {
        let paths = wanted.get::<gst::Array>("paths").ok();
        let mut paths: Vec<String> =
            paths.iter().flat_map(|paths| paths.iter()).filter_map(|path| path.get().ok()).collect();
        let sort_by_recording_time = wanted.get("sort-by-recording-time").unwrap_or_default();
        let number = |path: &String| self.patterns.value_by_nick(path).map(glib::EnumValue::value);
        if let Some(unknown) = paths.iter().find(|path| number(path).is_none()) {
            let known: Vec<_> = self.patterns.values().iter().map(|pattern| pattern.nick()).collect();
            return Err(format!("no pattern is named {unknown}; known are {}", known.join(", ")));
        }
        if paths.is_empty() {
            return Err("an empty playlist".to_owned());
        }
        if sort_by_recording_time {
            paths.sort_by_key(number);
        }
        *self.state() = State { paths, sort_by_recording_time, is_new: true, ..State::default() };
        Ok(())
    }

    /// Counts a frame. The pattern to be drawn from now on, when that is another one than before.
    pub fn advance(&self) -> Option<String> {
        let mut state = self.state();
        let count = u32::try_from(state.paths.len()).ok().filter(|count| *count > 0)?;
        if !std::mem::take(&mut state.is_new) {
            state.frames += 1;
            let current = (state.frames / u64::from(self.fps * SECONDS) % u64::from(count)) as u32;
            if current == state.current {
                return None;
            }
            state.current = current;
        }
        state.paths.get(state.current as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist(fps: u32) -> Playlist {
        gst::init().unwrap();
        Playlist::new(&gst::ElementFactory::make("videotestsrc").build().unwrap(), fps).unwrap()
    }

    fn apply(playlist: &Playlist, text: &str) -> Result<(), String> {
        playlist.apply(&text.parse::<gst::Structure>().unwrap())
    }

    #[test]
    fn patterns_follow_each_other_and_come_again() {
        let playlist = playlist(1);
        assert_eq!(playlist.advance(), None);
        apply(&playlist, "p, paths=(string)<snow, smpte>").unwrap();
        let drawn: Vec<_> = (0..=40).filter_map(|frame| Some((frame, playlist.advance()?))).collect();
        let expected = [(0, "snow"), (10, "smpte"), (20, "snow"), (30, "smpte"), (40, "snow")];
        assert_eq!(drawn, expected.map(|(frame, pattern)| (frame, pattern.to_owned())));
        assert_eq!(playlist.describe().get("current-index"), Ok(0u32));
    }

    #[test]
    fn a_list_is_sorted_when_asked_and_refused_as_a_whole() {
        let playlist = playlist(30);
        apply(&playlist, "p, paths=(string)<snow, smpte>, sort-by-recording-time=true").unwrap();
        assert_eq!(playlist.advance().as_deref(), Some("smpte"));
        let refused = apply(&playlist, "p, paths=(string)<ball, /x.svo2>").unwrap_err();
        assert!(refused.contains("/x.svo2") && refused.contains("smpte, snow"), "{refused}");
        assert!(apply(&playlist, "p").is_err());
        assert_eq!(playlist.describe().get::<gst::Array>("paths").unwrap().len(), 2);
    }
}
