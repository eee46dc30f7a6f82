//! How the cameras are: `/healthz` and `/api/cameras`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    camera::{Camera, Condition, Counts},
    cameras::Cameras,
};

/// A camera that counts nothing new for so long is ill.
const FRAME_MAX: Duration = Duration::from_secs(10);
/// An output that does not send for so long is ill.
const OUTPUT_MAX: Duration = Duration::from_secs(10);

/// `/healthz` and `/api/cameras`.
pub fn routes() -> Router<Arc<Cameras>> {
    Router::new().route("/healthz", get(health)).route("/api/cameras", get(cameras))
}

async fn health(State(cameras): State<Arc<Cameras>>) -> Response {
    let all = cameras.all();
    let ill = all.iter().filter_map(|camera| Some((camera.name().to_owned(), illness(camera)?)));
    let ill = ill.map(|(name, why)| json!({ "camera": name, "why": why })).collect::<Vec<_>>();
    let status = if ill.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, &json!({ "healthy": ill.is_empty(), "ill": ill }))
}

async fn cameras(State(cameras): State<Arc<Cameras>>) -> Response {
    let all = cameras.all().iter().map(|camera| account(camera)).collect::<Vec<_>>();
    answer(StatusCode::OK, &json!(all))
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{value}\n")).into_response()
}

fn account(camera: &Camera) -> Value {
    let (state, why) = match camera.condition() {
        Condition::Running { .. } => ("running", None),
        Condition::Waiting { why } => ("waiting", Some(why)),
        Condition::Done => ("done", None),
    };
    let counts = camera.counts();
    let is_slate = |counts: &Arc<Counts>| counts.stream.slate.is_some_and(|slate| slate.shown);
    let state = if state == "running" && counts.as_ref().is_some_and(is_slate) { "slate" } else { state };
    json!({
        "name": camera.name(),
        "state": state,
        "why": why,
        "ill": illness(camera),
        "starts": camera.starts(),
        "bit_rate": counts.as_ref().and_then(|counts| counts.bit_rate),
        "counts": counts.as_ref().map(|counts| json!(counts.stream)),
    })
}

/// Why a camera is ill, if it is.
pub fn illness(camera: &Camera) -> Option<String> {
    let since = match camera.condition() {
        Condition::Running { since } => since,
        Condition::Waiting { why } => return Some(format!("it is not running: {why}")),
        Condition::Done => return None,
    };
    let counts = camera.counts().filter(|counts| counts.at >= since);
    let moved = counts.as_ref().map_or(since, |counts| counts.moved.max(since)).elapsed();
    if moved > FRAME_MAX {
        return Some(format!("no frame for {} s", moved.as_secs()));
    }
    let counts = counts?;
    let failed = counts.stream.recordings.iter().find(|recording| recording.state == "failed");
    if let Some(recording) = failed {
        return Some(format!("the {} recording failed", recording.format));
    }
    let mut down = counts.outputs_down.iter().filter(|(_, down)| down.elapsed() > OUTPUT_MAX);
    down.next().map(|(name, down)| format!("output {name} does not send for {} s", down.elapsed().as_secs()))
}
