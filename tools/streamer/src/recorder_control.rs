//! Recordings that are asked for while a stream runs, over NATS or HTTP. Who may ask may record, so nothing that is asked for
//! leaves `--record-root` or replaces a file.

use std::{path::Path, sync::Arc, time::Duration};

use clap::ValueEnum as _;
use cvmmap::nats::proto::{
    ErrorCode, McapRecordingOptions, RecordingFormat, RecordingStartRequest, RecordingStatusResponse,
};
use tools_cli::file_format::FileFormat;
use tools_mcap::writer::Compression;

use super::plan::Stream;
use crate::recorder::{McapSettings, RecordError, Recorders, Root, State, args::Recordings};

/// How long a request to stop waits for the file to be whole; afterwards its status tells.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Why a request is refused.
pub type Refusal = (ErrorCode, String);

/// What can be asked of the recordings of one format.
pub struct RecorderControl {
    /// The format.
    pub format: FileFormat,
    /// Whether the stream fits into it.
    pub can_record: bool,
    recorders: Arc<Recorders>,
    recordings: Recordings,
}

impl std::fmt::Debug for RecorderControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderControl").field("format", &self.format).finish_non_exhaustive()
    }
}

impl RecorderControl {
    /// For each format that a stream may be recorded in.
    pub fn all(plan: &Stream, recorders: &Arc<Recorders>) -> [Arc<Self>; 2] {
        let has_b_frames = plan.encoding.live.b_frames > 0;
        FileFormat::ALL.map(|format| {
            Arc::new(Self {
                format,
                can_record: format != FileFormat::Mcap || !has_b_frames,
                recorders: Arc::clone(recorders),
                recordings: plan.recordings.clone(),
            })
        })
    }

    /// Begins a recording.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(&self, request: RecordingStartRequest) -> Result<(), Refusal> {
        let invalid = |why: &str| (ErrorCode::InvalidPayload, why.to_owned());
        if request.svo_options.is_some() {
            return Err(invalid("these are options for SVO, which the streamer does not record"));
        }
        if self.format != FileFormat::Mcap && request.mcap_options.is_some() {
            return Err(invalid("these are options for MCAP, and this is the recorder for MP4"));
        }
        if !self.can_record {
            return Err((ErrorCode::Unsupported, "MCAP cannot hold B-frames; start the streamer without".to_owned()));
        }
        if self.format.contradicts(Path::new(&request.output_path)) {
            return Err(invalid("the name ends like a file of another format than this recorder writes"));
        }
        let root = Root::open(&self.recordings.root).map_err(refusal)?;
        let place = root.place(Path::new(&request.output_path)).map_err(refusal)?;
        match self.format {
            FileFormat::Mcap => {
                let settings = settings(&self.recordings.settings, request.mcap_options.unwrap_or_default())?;
                self.recorders.start_mcap(place, settings, self.recordings.rotate)
            }
            FileFormat::Mp4 => self.recorders.start_mp4(place),
        }
        .map_err(refusal)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When there is none.
    pub fn stop(&self) -> Result<(), Refusal> {
        match self.recorders.stop(self.format, STOP_MAX) {
            Some(_) => Ok(()),
            None => Err((ErrorCode::Error, "nothing is being recorded".to_owned())),
        }
    }

    /// How the recording does.
    pub fn status(&self) -> RecordingStatusResponse {
        let status = self.recorders.status(self.format);
        let lost = status.losses.video;
        let count = |frames: u64| u32::try_from(frames).unwrap_or(u32::MAX);
        let mut told = RecordingStatusResponse {
            can_record: self.can_record,
            is_recording: status.state == State::Recording,
            last_frame_ok: status.state != State::Failed,
            frames_ingested: count(status.video + lost),
            frames_encoded: count(status.video),
            active_path: status.path.map(|path| path.display().to_string()).unwrap_or_default(),
            error_message: status.error.unwrap_or_default(),
            ..RecordingStatusResponse::default()
        };
        told.set_format(self.wire_format());
        told
    }

    /// The contract has no word for MP4.
    pub fn wire_format(&self) -> RecordingFormat {
        match self.format {
            FileFormat::Mcap => RecordingFormat::Mcap,
            FileFormat::Mp4 => RecordingFormat::Unknown,
        }
    }
}

fn settings(default: &McapSettings, asked: McapRecordingOptions) -> Result<McapSettings, Refusal> {
    let mut settings = default.clone();
    if let Some(name) = &asked.compression {
        settings.compression = Compression::from_str(name, false).map_err(|_| {
            (ErrorCode::InvalidPayload, format!("compression '{name}' is not known; take zstd, lz4 or none"))
        })?;
    }
    for (asked, setting) in [
        (asked.topic, &mut settings.topics.video),
        (asked.depth_topic, &mut settings.topics.depth),
        (asked.body_topic, &mut settings.topics.body),
        (asked.frame_id, &mut settings.frame_id),
    ] {
        if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
            *setting = asked;
        }
    }
    settings.topics.check().map_err(|why| (ErrorCode::InvalidPayload, why.to_owned()))?;
    Ok(settings)
}

fn refusal(error: RecordError) -> Refusal {
    let code = match error {
        RecordError::EmptyPath | RecordError::Outside { .. } | RecordError::Exists(_) => ErrorCode::InvalidPayload,
        RecordError::Busy(_) | RecordError::DiskFull(_) | RecordError::Io { .. } | RecordError::Failed { .. } => {
            ErrorCode::Error
        }
    };
    (code, error.to_string())
}
