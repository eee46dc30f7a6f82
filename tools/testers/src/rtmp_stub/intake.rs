//! Where tags go, wherever they come from: into the check, and into the files that keep them.

use std::{fmt::Display, path::Path};

use tools_cli::failure::Failure;

use super::args::Args;
use crate::{
    flv::{
        elementary, file,
        stream_check::{Content, Counts, StreamCheck, Tag},
    },
    report::Report,
};

pub struct Intake {
    check: StreamCheck,
    threshold: u64,
    flv: Option<file::Writer>,
    elementary: Option<elementary::Writer>,
}

impl Intake {
    pub fn new(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            check: StreamCheck::new(args.mode),
            threshold: args.video_threshold,
            flv: create(args.dump.as_deref(), file::Writer::create)?,
            elementary: create(args.dump_es.as_deref(), elementary::Writer::create)?,
        })
    }

    pub fn tag(&mut self, tag: &Tag<'_>) -> Result<(), Failure> {
        if let Some(flv) = &mut self.flv {
            flv.tag(tag).map_err(cannot_write)?;
        }
        let content = self.check.tag(tag).map_err(|violation| {
            if violation.wrong_packaging {
                Failure::RtmpMode(violation.text)
            } else {
                Failure::Protocol(violation.text)
            }
        })?;
        if content != Content::Other
            && let Some(elementary) = &mut self.elementary
        {
            elementary.content(tag.body, &content).map_err(cannot_write)?;
        }
        Ok(())
    }

    /// What comes next is a stream that begins: the publisher has come anew.
    pub fn begin_anew(&mut self) {
        self.check.begin_anew();
    }

    pub fn warn(&mut self, key: &'static str, text: &str) {
        self.check.warnings().add(key, text);
    }

    pub fn counts(&self) -> &Counts {
        self.check.counts()
    }

    pub fn is_threshold_met(&self) -> bool {
        self.counts().frames >= self.threshold
    }

    /// For a stream that ended by itself.
    pub fn judge_count(&self) -> Result<(), Failure> {
        if self.is_threshold_met() {
            return Ok(());
        }
        Err(Failure::Threshold(format!("{} of {} frames came", self.counts().frames, self.threshold)))
    }

    /// Completes the files. Has to happen however the run ended.
    pub fn finish_files(&mut self) -> Result<(), Failure> {
        if let Some(flv) = self.flv.take() {
            flv.finish().map_err(cannot_write)?;
        }
        if let Some(elementary) = self.elementary.take() {
            elementary.finish().map_err(cannot_write)?;
        }
        Ok(())
    }

    pub fn report(&self, report: &mut Report) {
        let counts = self.counts();
        report.push("frames", counts.frames);
        report.push("keyframes", counts.keyframes);
        report.push("sequence_headers", counts.sequence_headers);
        report.push("ends_of_sequence", counts.ends);
        report.push("further_tracks", counts.track_frames.len());
        report.push("further_track_frames", counts.track_frames.values().sum::<u64>());
        report.push("nanosecond_offsets", counts.nanosecond_offsets);
        report.push("tags", counts.tags);
        report.push("video_tags", counts.video_tags);
        report.push("audio_tags", counts.audio_tags);
        report.push("audio_frames", self.check.sound().frames());
        report.push("max_sound_gap_ms", self.check.sound().max_gap_ms());
        report.push("script_tags", counts.script_tags);
        report.push("video_bytes", counts.video_bytes);
        report.push("first_timestamp_ms", counts.first_timestamp);
        report.push("last_timestamp_ms", counts.last_timestamp);
        report.push("min_composition_ms", counts.min_composition_ms);
        report.push("max_composition_ms", counts.max_composition_ms);
        report.push("warning", self.check.warning_texts().collect::<Vec<_>>());
    }
}

fn create<W>(path: Option<&Path>, open: impl Fn(&Path) -> std::io::Result<W>) -> Result<Option<W>, Failure> {
    path.map(|path| {
        open(path).map_err(|error| Failure::Configuration(format!("{} cannot be written: {error}", path.display())))
    })
    .transpose()
}

fn cannot_write(error: impl Display) -> Failure {
    Failure::Configuration(format!("what came cannot be kept: {error}"))
}
