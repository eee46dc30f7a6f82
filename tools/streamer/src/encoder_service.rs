//! The encoder over NATS: endpoints of the micro service `cvmmap_streamer`.

use std::sync::Arc;

use cvmmap::nats::{
    ServiceBuilder, Subjects,
    prost::{self, Message as _},
    proto::{EncoderResponse, ErrorCode, ForceKeyframeRequest, GetEncoderRequest, SetEncoderRequest},
};

use super::encoder_control::{Control, Refused};

/// Answers a request.
type Handle = fn(&Control, &[u8]) -> Vec<u8>;

/// Adds what can be asked of the encoder.
pub fn offer(mut service: ServiceBuilder, subjects: &Subjects, control: &Arc<Control>) -> ServiceBuilder {
    let verbs: [(&str, Handle); 3] = [
        ("get", |control, request| answer(control, request, |_: GetEncoderRequest| Ok(()))),
        ("set", |control, request| {
            answer(control, request, |request: SetEncoderRequest| control.set(request.bitrate_kbit))
        }),
        ("keyframe", |control, request| answer(control, request, |_: ForceKeyframeRequest| control.force_keyframe())),
    ];
    for (verb, handle) in verbs {
        let control = Arc::clone(control);
        service = service.endpoint(&subjects.streamer_encoder(verb), move |request| handle(&control, request));
    }
    service
}

/// Does what is asked and tells how the encoder does then, with what went wrong.
fn answer<R: prost::Message + Default>(
    control: &Control,
    request: &[u8],
    act: impl FnOnce(R) -> Result<(), Refused>,
) -> Vec<u8> {
    let outcome = R::decode(request)
        .map_err(|error| (ErrorCode::InvalidPayload, format!("this is no such request: {error}")))
        .and_then(|request| act(request).map_err(|refused| (code(&refused), refused.to_string())));
    let told = control.told();
    let mut response = EncoderResponse {
        encoder: told.encoder.to_owned(),
        bitrate_kbit: told.kbit.unwrap_or(0),
        full_bitrate_kbit: told.full_kbit.unwrap_or(0),
        ..EncoderResponse::default()
    };
    if let Err((code, why)) = outcome {
        response.set_error(code);
        response.error_message = why;
    }
    response.encode_to_vec()
}

fn code(refused: &Refused) -> ErrorCode {
    match refused {
        Refused::Invalid(_) => ErrorCode::InvalidPayload,
        Refused::NoEncoder => ErrorCode::Unsupported,
        Refused::NoAnswer => ErrorCode::Error,
    }
}
