//! The page: files that are part of the program, for it has to work without any other host.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use cvmmap::body::Format;
use tools_mcap::bones;

use super::cameras::Cameras;

/// Nothing but what comes from here is loaded, sent to or framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The page and its files.
pub fn routes() -> Router<Arc<Cameras>> {
    let page = || file("text/html; charset=utf-8", include_str!("page/index.html"));
    Router::new()
        .route("/", page())
        .route("/view/{camera}", page())
        .route("/wall", page())
        .route("/page/style.css", file("text/css; charset=utf-8", include_str!("page/style.css")))
        .route("/page/main.js", file("text/javascript; charset=utf-8", include_str!("page/main.js")))
        .route("/page/player.js", file("text/javascript; charset=utf-8", include_str!("page/player.js")))
        .route("/page/depth.js", file("text/javascript; charset=utf-8", include_str!("page/depth.js")))
        .route("/page/bodies.js", file("text/javascript; charset=utf-8", include_str!("page/bodies.js")))
        .route("/page/bones.js", file("text/javascript; charset=utf-8", bones()))
        .route("/page/operate.js", file("text/javascript; charset=utf-8", include_str!("page/operate.js")))
        .route("/page/cameras.json", get(cameras))
}

/// Pairs of keypoints that are joined, by how many there are.
fn bones() -> String {
    let formats = [Format::Body18, Format::Body34, Format::Body38];
    let bones = formats.map(|format| (format.keypoints(), bones::of(format).collect::<Vec<_>>()));
    format!("export const BONES = {};\n", serde_json::json!(BTreeMap::from(bones)))
}

fn file(kind: &'static str, text: impl Into<Bytes>) -> MethodRouter<Arc<Cameras>> {
    let text = text.into();
    get(move || async move { answer(kind, text) })
}

fn answer(kind: &'static str, text: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Names of the cameras.
async fn cameras(State(cameras): State<Arc<Cameras>>) -> Response {
    let names = serde_json::json!(cameras.names()).to_string();
    ([(header::CONTENT_TYPE, "application/json")], names).into_response()
}
