//! Recordings over NATS: endpoints of the micro service `cvmmap_streamer`.

use std::sync::Arc;

use cvmmap::nats::{
    ServiceBuilder, Subjects,
    prost::{self, Message as _},
    proto::{CapabilitiesRequest, CapabilitiesResponse, ErrorCode, RecordingStatusRequest, RecordingStopRequest},
};
use tools_cli::file_format::FileFormat;

use super::recorder_control::{RecorderControl, Refusal};

/// Answers a request.
type Handle = fn(&RecorderControl, &[u8]) -> Vec<u8>;

/// Adds what can be asked of the recordings of a stream.
pub fn offer(mut service: ServiceBuilder, subjects: &Subjects, recorders: &[Arc<RecorderControl>]) -> ServiceBuilder {
    let verbs: [(&str, Handle); 4] = [
        ("capabilities", |recorder, request| capabilities(recorder, request).encode_to_vec()),
        ("start", |recorder, request| answer(recorder, request, RecorderControl::start)),
        ("stop", |recorder, request| answer(recorder, request, |recorder, _: RecordingStopRequest| recorder.stop())),
        ("status", |recorder, request| answer(recorder, request, |_, _: RecordingStatusRequest| Ok(()))),
    ];
    for recorder in recorders {
        for (verb, handle) in verbs {
            let mut all = vec![subjects.streamer_recorder(recorder.format.name(), verb)];
            // The clients that exist know the streamer's MCAP recorder by this.
            let is_known = recorder.format == FileFormat::Mcap;
            all.extend(is_known.then(|| subjects.control_recorder(recorder.format.name(), verb)));
            for subject in all {
                let recorder = Arc::clone(recorder);
                service = service.endpoint(&subject, move |request| handle(&recorder, request));
            }
        }
    }
    service
}

fn capabilities(recorder: &RecorderControl, request: &[u8]) -> CapabilitiesResponse {
    let mut told = CapabilitiesResponse::default();
    match CapabilitiesRequest::decode(request) {
        Ok(_) if recorder.can_record => told.available_recording_formats.push(recorder.wire_format().into()),
        Ok(_) => {}
        Err(_) => told.set_error(ErrorCode::InvalidPayload),
    }
    told
}

/// Does what is asked and tells how things are then, with what went wrong.
fn answer<R: prost::Message + Default>(
    recorder: &RecorderControl,
    request: &[u8],
    act: impl FnOnce(&RecorderControl, R) -> Result<(), Refusal>,
) -> Vec<u8> {
    let outcome = R::decode(request)
        .map_err(|error| (ErrorCode::InvalidPayload, format!("this is no such request: {error}")))
        .and_then(|request| act(recorder, request));
    let mut told = recorder.status();
    if let Err((code, why)) = outcome {
        told.set_error(code);
        told.error_message = why;
    }
    told.encode_to_vec()
}
