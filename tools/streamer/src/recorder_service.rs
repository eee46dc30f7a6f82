//! Recordings over NATS: endpoints of the micro service `cvmmap_streamer`. Who may speak to the server may record, so nothing that
//! is asked for leaves `--record-root` or replaces a file.

use std::{path::Path, sync::Arc, time::Duration};

use clap::ValueEnum as _;
use cvmmap::nats::{
    ServiceBuilder, Subjects,
    prost::{self, Message as _},
    proto::{
        CapabilitiesRequest, CapabilitiesResponse, ErrorCode, McapRecordingOptions, RecordingFormat,
        RecordingStartRequest, RecordingStatusRequest, RecordingStatusResponse, RecordingStopRequest,
    },
};
use tools_cli::file_format::FileFormat;
use tools_mcap::writer::Compression;

use super::plan::Stream;
use crate::recorder::{McapSettings, RecordError, Recorders, Root, State, args::Recordings};

/// How long a request to stop waits for the file to be whole; afterwards its status tells.
const STOP_MAX: Duration = Duration::from_secs(2);
/// Adds what can be asked of the recordings of a stream.
pub fn offer(
    mut service: ServiceBuilder,
    subjects: &Subjects,
    plan: &Stream,
    recorders: &Arc<Recorders>,
) -> ServiceBuilder {
    let has_b_frames = plan.encoding.b_frames > 0;
    for format in FileFormat::ALL {
        let recorder = Arc::new(Recorder {
            format,
            recorders: Arc::clone(recorders),
            recordings: plan.recordings.clone(),
            can_record: format != FileFormat::Mcap || !has_b_frames,
        });
        service = recorder.offer(service, subjects);
    }
    service
}

/// What answers for one format.
struct Recorder {
    format: FileFormat,
    recorders: Arc<Recorders>,
    recordings: Recordings,
    can_record: bool,
}

/// Answers a request.
type Handle = fn(&Recorder, &[u8]) -> Vec<u8>;
/// Why a request is refused.
type Refusal = (ErrorCode, String);

impl Recorder {
    fn offer(self: &Arc<Self>, mut service: ServiceBuilder, subjects: &Subjects) -> ServiceBuilder {
        let verbs: [(&str, Handle); 4] = [
            ("capabilities", |recorder, request| recorder.capabilities(request).encode_to_vec()),
            ("start", |recorder, request| recorder.answer(request, Self::start)),
            ("stop", |recorder, request| recorder.answer(request, Self::stop)),
            ("status", |recorder, request| recorder.answer(request, |_, _: RecordingStatusRequest| Ok(()))),
        ];
        for (verb, handle) in verbs {
            let name = self.format.name();
            let mut all = vec![subjects.streamer_recorder(name, verb)];
            // The clients that exist know the streamer's MCAP recorder by this.
            all.extend((self.format == FileFormat::Mcap).then(|| subjects.control_recorder(name, verb)));
            for subject in all {
                let recorder = Arc::clone(self);
                service = service.endpoint(&subject, move |request| handle(&recorder, request));
            }
        }
        service
    }

    fn capabilities(&self, request: &[u8]) -> CapabilitiesResponse {
        let mut told = CapabilitiesResponse::default();
        match CapabilitiesRequest::decode(request) {
            Ok(_) if self.can_record => told.available_recording_formats.push(self.wire_format().into()),
            Ok(_) => {}
            Err(_) => told.set_error(ErrorCode::InvalidPayload),
        }
        told
    }

    /// Does what is asked and tells how things are then, with what went wrong.
    fn answer<R: prost::Message + Default>(
        &self,
        request: &[u8],
        act: impl FnOnce(&Self, R) -> Result<(), Refusal>,
    ) -> Vec<u8> {
        let outcome = R::decode(request)
            .map_err(|error| (ErrorCode::InvalidPayload, format!("this is no such request: {error}")))
            .and_then(|request| act(self, request));
        let mut told = self.status();
        if let Err((code, why)) = outcome {
            told.set_error(code);
            told.error_message = why;
        }
        told.encode_to_vec()
    }

    fn start(&self, request: RecordingStartRequest) -> Result<(), Refusal> {
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

    fn stop(&self, _: RecordingStopRequest) -> Result<(), Refusal> {
        match self.recorders.stop(self.format, STOP_MAX) {
            Some(_) => Ok(()),
            None => Err((ErrorCode::Error, "nothing is being recorded".to_owned())),
        }
    }

    fn status(&self) -> RecordingStatusResponse {
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
    fn wire_format(&self) -> RecordingFormat {
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
