//! What may be changed while a camera runs: recordings, the encoder's bit rate, the camera's own settings. The same is asked
//! over NATS, and answered by the same code.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use cvmmap::nats::{
    CameraControlChange, CameraControlValue, Control as Producer, ControlError, RequestError,
    proto::{CameraControlSetting, ErrorCode, RecordingStartRequest},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tools_cli::file_format::FileFormat;

use super::{
    body,
    cameras::Cameras,
    desk::Desk,
    refusal::{Refused, refuse},
};
use crate::{
    encoder_control,
    recorder::args::now,
    recorder_control::{self, RecorderControl},
};

/// A camera has this long for an answer,
const ASK_MAX: Duration = Duration::from_secs(2);
/// and for all of its settings.
const ASK_ALL_MAX: Duration = Duration::from_secs(6);

/// `/api/cameras/CAMERA/record`, `/encoder` and `/controls`; refusals for whoever may not.
pub fn routes(may_operate: bool) -> Router<Arc<Cameras>> {
    const PATHS: [&str; 3] =
        ["/api/cameras/{camera}/record", "/api/cameras/{camera}/encoder", "/api/cameras/{camera}/controls"];
    if !may_operate {
        let no = || async { refuse(StatusCode::FORBIDDEN, "nothing is changed for strangers: give --http-token") };
        return PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, any(no)));
    }
    Router::new()
        .route(PATHS[0], get(recordings).post(record))
        .route(PATHS[1], get(encoder).post(set_rate))
        .route(PATHS[2], get(controls).post(set_control))
}

type Site = State<Arc<Cameras>>;
type Answer = Result<Response, Refused>;

/// What to record: begin or end it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    format: String,
    record: bool,
    path: Option<String>,
}

/// The bit rate that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    kbit: u32,
}

/// A setting, and what it is to be: `value`, `"auto": true`, or `min` and `max`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    setting: String,
    value: Option<i32>,
    #[serde(default)]
    auto: bool,
    min: Option<i32>,
    max: Option<i32>,
}

async fn recordings(State(cameras): Site, Path(name): Path<String>) -> Answer {
    Ok(answer(&recorded(&*desk(&cameras, &name)?)))
}

async fn record(State(cameras): Site, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let desk = desk(&cameras, &name)?;
    let Recording { format, record, path } = body::json(&headers, body).await?;
    let Some(format) = FileFormat::ALL.into_iter().find(|known| known.name() == format) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "format has to be mcap or mp4"));
    };
    if path.is_some() && !record {
        return Err(refuse(StatusCode::BAD_REQUEST, "path is for what begins"));
    }
    let output_path = path.unwrap_or_else(|| file_name(&name, format));
    let act = move |recorders: &[Arc<RecorderControl>; 2]| {
        let recorder = &recorders[format as usize];
        let request = RecordingStartRequest { output_path, ..RecordingStartRequest::default() };
        if record { recorder.start(request) } else { recorder.stop() }.map_err(not_recorded)
    };
    desk.recorders.ask(act).await?;
    Ok(answer(&recorded(&desk)))
}

async fn encoder(State(cameras): Site, Path(name): Path<String>) -> Answer {
    Ok(answer(&encoded(&*desk(&cameras, &name)?)))
}

async fn set_rate(State(cameras): Site, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let desk = desk(&cameras, &name)?;
    let Rate { kbit } = body::json(&headers, body).await?;
    desk.encoder.ask(move |control| control.set(kbit).map_err(not_encoded)).await?;
    Ok(answer(&encoded(&desk)))
}

async fn controls(State(cameras): Site, Path(name): Path<String>) -> Answer {
    let desk = desk(&cameras, &name)?;
    let Some(producer) = &desk.producer else {
        return Ok(answer(&Value::Null));
    };
    let told = producer.ask(|producer| match settings(producer) {
        // Nobody is there to ask, which is nothing unusual.
        Err(ControlError::Request(RequestError::NotConnected { .. } | RequestError::NoResponders(_))) => {
            Ok(Value::Null)
        }
        told => told.map_err(not_controlled),
    });
    told.await.map(|settings| answer(&settings))
}

async fn set_control(State(cameras): Site, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let desk = desk(&cameras, &name)?;
    let asked = body::json::<Setting>(&headers, body).await?;
    let Some(producer) = &desk.producer else {
        return Err(refuse(StatusCode::CONFLICT, "the camera is asked over NATS: give --nats-url"));
    };
    let setting = asked.setting.parse::<CameraControlSetting>();
    let setting = setting.map_err(|error| refuse(StatusCode::BAD_REQUEST, error))?;
    let change = match (asked.value, asked.auto, asked.min.zip(asked.max)) {
        (Some(value), false, None) => CameraControlChange::Manual(value),
        (None, true, None) => CameraControlChange::Auto,
        (None, false, Some((min, max))) => CameraControlChange::Range { min, max },
        _ => {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "one of value, \"auto\": true, or min and max has to be given",
            ));
        }
    };
    let act = move |producer: &Producer| producer.set_camera_control(setting, change, ASK_MAX).map_err(not_controlled);
    let value = producer.ask(act).await?;
    Ok(answer(&row(setting, value)))
}

/// Where the camera of this name can be asked for something.
fn desk(cameras: &Cameras, name: &str) -> Result<Arc<Desk>, Refused> {
    cameras.known(name)?.desk().ok_or_else(|| refuse(StatusCode::SERVICE_UNAVAILABLE, "the camera does not run now"))
}

fn answer(value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, format!("{value}\n")).into_response()
}

/// A name that tells camera and time, without what means something in a path.
fn file_name(camera: &str, format: FileFormat) -> String {
    let name = camera.chars().take(100).map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' });
    format!("{}-{}.{}", name.collect::<String>(), now(), format.name())
}

fn recorded(desk: &Desk) -> Value {
    let recorders = desk.recorders.asked.iter().map(|recorder| {
        let told = recorder.status();
        let state = json!({
            "can_record": told.can_record,
            "recording": told.is_recording,
            "frames": told.frames_encoded,
            "path": told.active_path,
            "error": told.error_message,
        });
        (recorder.format.name().to_owned(), state)
    });
    Value::Object(recorders.collect())
}

fn encoded(desk: &Desk) -> Value {
    let told = desk.encoder.asked.told();
    json!({ "encoder": told.encoder, "kbit": told.kbit, "full_kbit": told.full_kbit })
}

/// The settings that a camera has. One that cannot be read hides none of the others.
fn settings(producer: &Producer) -> Result<Value, ControlError> {
    let until = Instant::now() + ASK_ALL_MAX;
    let mut rows = Vec::new();
    for setting in producer.camera_settings(ASK_MAX)? {
        let left = until.saturating_duration_since(Instant::now()).min(ASK_MAX);
        match producer.camera_control(setting, left) {
            Ok(value) => rows.push(row(setting, value)),
            Err(ControlError::Refused { .. } | ControlError::Garbage(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows.into())
}

fn row(setting: CameraControlSetting, value: CameraControlValue) -> Value {
    match value {
        CameraControlValue::Single(value) => json!({ "setting": setting.word(), "value": value }),
        CameraControlValue::Range { min, max } => json!({ "setting": setting.word(), "min": min, "max": max }),
    }
}

fn not_recorded((code, why): recorder_control::Refusal) -> Refused {
    refuse(status_of(code), why)
}

fn not_encoded(why: encoder_control::Refused) -> Refused {
    let status = match why {
        encoder_control::Refused::Invalid(_) => StatusCode::BAD_REQUEST,
        encoder_control::Refused::NoEncoder => StatusCode::CONFLICT,
        encoder_control::Refused::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
    };
    refuse(status, why)
}

fn not_controlled(why: ControlError) -> Refused {
    let status = match &why {
        ControlError::Refused { code, .. } => status_of(*code),
        ControlError::Request(RequestError::TimedOut(_)) => StatusCode::GATEWAY_TIMEOUT,
        ControlError::Request(RequestError::Denied { .. }) => StatusCode::FORBIDDEN,
        ControlError::Request(_) => StatusCode::SERVICE_UNAVAILABLE,
        ControlError::Garbage(_) => StatusCode::BAD_GATEWAY,
    };
    refuse(status, why)
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidPayload | ErrorCode::OutOfRange => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_file_is_no_path() {
        for camera in ["cam0", "../../etc", "/dev/shm/x", ".hidden", "a\0b", &"x".repeat(1000)] {
            let name = file_name(camera, FileFormat::Mp4);
            assert!(name.ends_with(".mp4") && name.len() < 255, "{name}");
            assert!(!name.starts_with('.') && !name.contains(['/', '\0']), "{name}");
        }
        assert!(file_name("cam0", FileFormat::Mcap).starts_with("cam0-20"));
    }
}
