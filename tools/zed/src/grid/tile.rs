//! A camera in the grid.

use std::ops::RangeInclusive;

use gst_video::{VideoConverter, VideoInfo};
use tools_cli::failure::Failure;

use super::canvas::Canvas;
use crate::{
    picture::Picture,
    source::{Facts, Losses, Recording},
};

/// After so many pictures that did not come, a camera is marked.
const PATIENCE: u64 = 5;

/// Shows the newest picture of a recording.
pub struct Tile<'a> {
    recording: &'a mut dyn Recording,
    /// The next picture, whose time has not come.
    waiting: Option<Picture>,
    scaler: Option<(VideoInfo, VideoConverter)>,
    shown_at: Option<u64>,
    pub shown: usize,
}

impl<'a> Tile<'a> {
    /// Begins with the first picture of a range.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn begin(recording: &'a mut dyn Recording, range: RangeInclusive<usize>) -> Result<Self, Failure> {
        recording.begin(range)?;
        let waiting = recording.next()?;
        Ok(Self { recording, waiting, scaler: None, shown_at: None, shown: 0 })
    }

    pub fn facts(&self) -> &Facts {
        self.recording.facts()
    }

    /// What its range lacked, when it has been shown to its end.
    pub fn losses(&self) -> Losses {
        self.recording.losses()
    }

    /// Form of the next picture.
    pub fn form(&self) -> Option<&VideoInfo> {
        self.waiting.as_ref().map(|picture| &picture.info)
    }

    /// Shows the newest picture up to `moment`, and a mark when that is too old.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn advance(&mut self, moment: u64, interval: u64, canvas: &mut Canvas, place: usize) -> Result<(), Failure> {
        let mut newest = None;
        while self.waiting.as_ref().is_some_and(|picture| picture.timestamp <= moment) {
            newest = self.waiting.take();
            self.waiting = self.recording.next()?;
        }
        if let Some(picture) = newest {
            let scaler = match &self.scaler {
                Some((form, scaler)) if *form == picture.info => scaler,
                _ => {
                    let scaler = canvas.scaler(&picture.info)?;
                    &self.scaler.insert((picture.info.clone(), scaler)).1
                }
            };
            canvas.show(scaler, &picture, place)?;
            self.shown_at = Some(picture.timestamp);
            self.shown += 1;
        }
        if self.shown_at.is_none_or(|shown_at| moment.saturating_sub(shown_at) > PATIENCE * interval) {
            canvas.mark(place)?;
        }
        Ok(())
    }
}
