//! `record`: the streamer's recorder, or under its older subjects a producer's.

use std::path::Path;

use cvmmap::nats::{
    Client, ControlError, RequestError, Subjects, prost,
    proto::{
        CapabilitiesRequest, CapabilitiesResponse, McapRecordingOptions, RecordingStartRequest, RecordingStatusRequest,
        RecordingStatusResponse, RecordingStopRequest, Reply,
    },
};
use serde::Serialize;
use tools_cli::{failure::Failure, file_format::FileFormat, report};

use super::{
    args::{Options, Record, Recorder, Start},
    failure, output,
};

#[derive(Serialize)]
struct Status {
    format: &'static str,
    can_record: bool,
    is_recording: bool,
    is_paused: bool,
    last_frame_ok: bool,
    frames_ingested: u32,
    frames_encoded: u32,
    active_path: String,
    error_message: String,
}

/// Asks the recorder.
///
/// # Errors
/// When it does not answer, or refuses.
pub fn run(client: &Client, verb: &Record, options: &Options) -> Result<(), Failure> {
    match verb {
        Record::Capabilities(recorder) => {
            let told: CapabilitiesResponse =
                ask(client, recorder, "capabilities", &CapabilitiesRequest {}, options).map_err(failure)?;
            let formats: Vec<_> = told
                .available_recording_formats()
                .map(|format| format.as_str_name().trim_start_matches("RECORDING_FORMAT_").to_lowercase())
                .collect();
            report::print(&serde_json::json!({ "can_seek": told.can_seek, "formats": formats }), options.json, || {
                output::fields(&[("formats", formats.join(" ")), ("can seek", told.can_seek.to_string())])
            })?;
            Ok(())
        }
        Record::Start(start) => {
            let request = start_request(start)?;
            tell(ask(client, &start.recorder, "start", &request, options), &start.recorder, options)
        }
        Record::Stop(recorder) => {
            tell(ask(client, recorder, "stop", &RecordingStopRequest {}, options), recorder, options)
        }
        Record::Status(recorder) => {
            tell(ask(client, recorder, "status", &RecordingStatusRequest {}, options), recorder, options)
        }
    }
}

fn start_request(start: &Start) -> Result<RecordingStartRequest, Failure> {
    let mcap = McapRecordingOptions {
        compression: start.compression.clone(),
        topic: start.topic.clone(),
        depth_topic: start.depth_topic.clone(),
        body_topic: start.body_topic.clone(),
        frame_id: start.frame_id.clone(),
    };
    let given = mcap != McapRecordingOptions::default();
    if given && start.recorder.format != FileFormat::Mcap {
        return Err(Failure::Usage("topics, compression and frame id are for --format mcap alone".to_owned()));
    }
    let format = start.recorder.format;
    let other = match format {
        FileFormat::Mcap => FileFormat::Mp4,
        FileFormat::Mp4 => FileFormat::Mcap,
    };
    if format.contradicts(Path::new(&start.output)) {
        return Err(Failure::Usage(format!(
            "--output {} would hold {}; add --format {}, to stop and status too, or take another name",
            start.output,
            format.name().to_uppercase(),
            other.name()
        )));
    }
    Ok(RecordingStartRequest {
        output_path: start.output.clone(),
        svo_options: None,
        mcap_options: given.then_some(mcap),
    })
}

/// Asks the streamer, and under the older subjects whoever records MCAP there.
fn ask<R: Reply>(
    client: &Client,
    recorder: &Recorder,
    verb: &str,
    request: &impl prost::Message,
    options: &Options,
) -> Result<R, ControlError> {
    let (subjects, format) = (Subjects::from(&recorder.producer.target), recorder.format);
    let answer = client.ask(&subjects.streamer_recorder(format.name(), verb), request, options.timeout());
    match (format, answer) {
        (FileFormat::Mcap, Err(ControlError::Request(RequestError::NoResponders(_)))) => {
            client.ask(&subjects.control_recorder(format.name(), verb), request, options.timeout())
        }
        (_, answer) => answer,
    }
}

fn tell(
    told: Result<RecordingStatusResponse, ControlError>,
    recorder: &Recorder,
    options: &Options,
) -> Result<(), Failure> {
    let told = told.map_err(failure)?;
    let status = Status {
        format: recorder.format.name(),
        can_record: told.can_record,
        is_recording: told.is_recording,
        is_paused: told.is_paused,
        last_frame_ok: told.last_frame_ok,
        frames_ingested: told.frames_ingested,
        frames_encoded: told.frames_encoded,
        active_path: told.active_path,
        error_message: told.error_message,
    };
    report::print(&status, options.json, || {
        let state = match (status.is_recording, status.is_paused, status.can_record) {
            (true, false, _) => "recording",
            (true, true, _) => "paused",
            (false, _, true) => "ready",
            (false, _, false) => "cannot record",
        };
        let mut fields = vec![
            ("state", state.to_owned()),
            ("format", status.format.to_owned()),
            ("frames", format!("{} in, {} written", status.frames_ingested, status.frames_encoded)),
            ("file", status.active_path.clone()),
        ];
        if !status.error_message.is_empty() {
            fields.push(("error", status.error_message.clone()));
        }
        output::fields(&fields)
    })?;
    Ok(())
}
