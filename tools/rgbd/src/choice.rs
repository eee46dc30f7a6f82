//! What of a recording is looked at, on the command line.

use std::{io::Write as _, path::PathBuf};

use tools_cli::failure::Failure;

use super::{
    recording::Recording,
    sample::{Sample, Sampler},
};

/// Which frame of which camera.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// The recording; an unfinished one is read as far as it goes
    #[arg(value_name = "MCAP")]
    pub file: PathBuf,
    /// Camera: the LABEL of its topics /LABEL/video and so on [default: the first]
    #[arg(long, value_name = "LABEL")]
    pub camera_label: Option<String>,
    /// Frame, counted from 0: the bundle where there are bundles, else the camera's picture
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub frame_index: usize,
}

impl Choice {
    /// Opens the recording and finds the camera. What is wrong with the file is told on stderr.
    ///
    /// # Errors
    /// When there is no such recording, camera or frame.
    pub fn open(&self, program: &str) -> Result<(Sampler, usize), Failure> {
        gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer does not start: {error}")))?;
        let recording = Recording::open(&self.file)?;
        let camera = recording.camera(self.camera_label.as_deref())?;
        let frames = recording.frames_of(&recording.cameras[camera]).places().len();
        if self.frame_index >= frames {
            let (label, last) = (&recording.cameras[camera].label, frames - 1);
            return Err(Failure::Configuration(format!(
                "there is no frame {} of {label}: the last one is --frame-index {last}",
                self.frame_index
            )));
        }
        let damaged = recording.damage().map(|damage| format!("it is damaged; what comes before is used: {damage}"));
        let unfinished = (!recording.finished()).then(|| "it was not finished; what is there is used".to_owned());
        if let Some(line) = damaged.or(unfinished) {
            // A closed stderr is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{program}: {}: {line}", self.file.display());
        }
        Ok((Sampler::new(recording), camera))
    }

    /// The frame, whose notes are told on stderr.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn sample(&self, program: &str, sampler: &mut Sampler, camera: usize) -> Result<Sample, Failure> {
        let sample = sampler.sample(camera, self.frame_index)?;
        for note in &sample.notes {
            let label = &sampler.recording.cameras[camera].label;
            let _ = writeln!(std::io::stderr(), "{program}: frame {} of {label}: {note}", self.frame_index);
        }
        Ok(sample)
    }
}
